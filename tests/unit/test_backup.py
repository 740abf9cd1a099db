"""Backups of the embedded target, and the drill that loads them."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra.errors import ProvisioningError
from infra.local import drill
from tests import servers
from tools import backup
from tools.errors import ToolError
from tools.stack import Stack


def endpoint(*nodes: servers.Server, topology: str = "single") -> Endpoint:
    places = tuple(Node(servers.HOST, node.port) for node in nodes)
    return Endpoint("embedded", topology, places, False, "9.1.2", "cache", 2**26, ("app", "admin", "monitor"))


class Fake(Stack):
    """A stack whose outputs are known."""

    known: Endpoint

    def outputs(self) -> dict[str, object]:
        return {"endpoint": self.known.to_dict(), "adminUrl": f"redis://{servers.HOST}:{self.known.nodes[0].port}"}


def fake(folder: Path, known: Endpoint) -> Fake:
    made = Fake("dev", {}, folder, has_own_backend=True)
    object.__setattr__(made, "known", known)
    return made


def test_every_primary_is_saved_and_can_be_loaded(tmp_path: Path) -> None:
    with servers.cluster(tmp_path / "nodes", replicas=1) as nodes:
        stack = fake(tmp_path, endpoint(*nodes, topology="cluster"))
        with closing(redis.RedisCluster(servers.HOST, nodes[0].port)) as client:
            for number in range(99):
                client.set(f"key:{number}", number)
        taken = Path(backup.take(stack))
    assert len(list(taken.glob("*.rdb"))) == 3
    assert all(file.stat().st_mode & 0o77 == 0 for file in (taken, *taken.iterdir()))
    assert sum(drill.load(file).keys for file in taken.iterdir()) == 99
    lines = list(backup.rehearse(stack))
    assert len(lines) == 3
    assert all("keys in" in line and "it is 0 minutes old" in line for line in lines)


def test_a_damaged_backup_is_told(tmp_path: Path) -> None:
    with servers.running(tmp_path / "node") as node:
        stack = fake(tmp_path, endpoint(node))
        with closing(node.client()) as client:
            client.set("key", "x" * 1000)
        (dump,) = Path(backup.take(stack)).iterdir()
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 255
    dump.write_bytes(data)
    with pytest.raises(ProvisioningError):
        list(backup.rehearse(stack))


def test_no_backup_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"there is no backup .* -> make backup STACK=dev"):
        list(backup.rehearse(fake(tmp_path, Endpoint.from_dict(endpoint().to_dict()))))


def test_the_age_is_that_of_the_file(tmp_path: Path) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(b"x")
    os.utime(dump, (time.time() - 3600,) * 2)
    assert 3590 < drill.age(dump) < 3700
