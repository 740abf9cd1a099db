"""Clients that know their servers from the environment alone."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
import valkeykit
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from harness import servers
from harness.ports import HOST
from harness.servers import Sentinels


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
            assert _eventually_writes(client)
            assert client.info("server")["tcp_port"] == group.replica.port
    finally:
        group.kill()


def _eventually_writes(client: valkeykit.connection.Client) -> bool:
    deadline = time.monotonic() + servers.STARTS_WITHIN
    while time.monotonic() < deadline:
        try:
            return bool(client.set("after", "2"))
        except Exception:  # noqa: BLE001 — whatever it is, it must end
            time.sleep(0.1)
    return False
