from __future__ import annotations

from typing import Any

import pytest
from valkeykit import errors
from valkeykit.queue import connections

VALKEY = {"server_name": "valkey", "valkey_version": "9.1.2", "redis_version": "7.2.4"}
NOEVICTION = {"maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ({"redis_version": "7.0.15"}, "is Redis 7.0.15"),
        ({"server_name": "redis", "redis_version": "8.2.3"}, "is Redis 8.2.3"),
        ({"server_name": "valkey", "valkey_version": "7.0.1"}, "older than 7.2"),
    ],
)
def test_servers_that_do_not_suit(server: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.UnsupportedServerError, match=text):
        connections.verify_server(server, NOEVICTION, allow_eviction=True)


def test_a_cluster_replies_for_each_node() -> None:
    nodes = {"a:1": VALKEY | {"x": 1, "y": 2, "z": 3}, "b:1": VALKEY | {"x": 1, "y": 2, "z": 3}}
    memory = {"maxmemory_policy": "allkeys-lru", "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}
    with pytest.raises(errors.UnsupportedServerError, match=r"allkeys-lru.*pulumi config set workload mixed"):
        connections.verify_server(nodes, {"a:1": memory}, allow_eviction=False)
    connections.verify_server(nodes, {"a:1": memory}, allow_eviction=True)
