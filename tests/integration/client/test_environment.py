"""Clients that know their servers from the environment alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import valkeykit
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from harness.ports import HOST
from harness.servers import Sentinels
from harness.waiting import retry


def test_nothing_but_the_environment_follows_a_failover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Sentinels(tmp_path)
    try:
        group.start()
        nodes = (Node(HOST, group.primary.port), Node(HOST, group.replica.port))
        sentinels = tuple(Node(HOST, sentinel.port) for sentinel in group.sentinels)
        endpoint = Endpoint(
            target="embedded", topology="replicated", nodes=nodes, sentinels=sentinels, tls=False, version="9.1.2",
            workload="queue", maxmemory=1, users=("app",),
        )  # fmt: skip
        for name, value in endpoint.variables(group.primary.url).items():
            monkeypatch.setenv(name, value)
        with closing(valkeykit.connect()) as client:
            assert client.set("before", "1")
            group.primary.kill()
            assert retry(lambda: client.set("after", "2"), Exception)
            assert client.info("server")["tcp_port"] == group.replica.port
    finally:
        group.kill()
