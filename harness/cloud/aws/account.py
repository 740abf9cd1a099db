"""An AWS account on loopback, by moto."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import boto3
from moto.elasticache.models import ElastiCacheBackend
from moto.server import ThreadedMotoServer


@contextmanager
def served() -> Iterator[str]:
    """Its address, while it is served."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with mock.patch.object(ElastiCacheBackend, "delete_replication_group", _delete):
        server.start()
        try:
            yield "http://{}:{}".format(*server.get_host_and_port())
        finally:
            server.stop()


def client(address: str, service: str) -> Any:
    """boto3's client of an account."""
    return boto3.client(
        service, "eu-central-1", endpoint_url=address, aws_access_key_id="test", aws_secret_access_key="test"
    )


_marked = ElastiCacheBackend.delete_replication_group


def _delete(backend: Any, replication_group_id: str, retain_primary_cluster: bool | None) -> Any:
    """moto marks a deleted group and keeps it for ever; AWS ends by freeing its name."""
    group = _marked(backend, replication_group_id, retain_primary_cluster)
    del backend.replication_groups[replication_group_id]
    return group
