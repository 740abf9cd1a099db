"""Backups of the embedded target, and the drill that loads them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node
from valkeykit.vocabulary import DeploymentTopology

from harness import servers
from harness.ports import HOST, free_port
from infra.drivers import drill
from infra.errors import ProvisioningError
from stackctl import admin_clients
from stackctl.errors import StackError
from stackctl.operations import backup
from stackctl.stack import PROJECT, Stack


def endpoint(*nodes: servers.ServerProcess, topology: DeploymentTopology = "single") -> Endpoint:
    places = tuple(Node(HOST, node.port) for node in nodes)
    return Endpoint("embedded", topology, places, False, "9.1.2", "cache", 2**26, ("app", "admin", "monitor"))


class Fake(Stack):
    """A stack whose outputs are known."""

    known: Endpoint

    def outputs(self) -> dict[str, object]:
        return {"endpoint": self.known.to_dict(), "adminUrl": f"redis://{HOST}:{self.known.nodes[0].port}"}


def fake(folder: Path, known: Endpoint) -> Fake:
    made = Fake("dev", {}, folder, has_own_backend=True)
    object.__setattr__(made, "known", known)
    return made


def test_every_primary_is_saved_and_can_be_loaded(tmp_path: Path) -> None:
    with servers.cluster(tmp_path / "nodes", replicas=1) as known:
        stack = fake(tmp_path, endpoint(*known, topology="cluster"))
        with closing(redis.RedisCluster(HOST, known[0].port)) as client:
            for number in range(99):
                client.set(f"key:{number}", number)
        taken = Path(backup.take(stack))
    assert len(list(taken.glob("*.rdb"))) == 3
    assert all(file.stat().st_mode & 0o77 == 0 for file in (taken, *taken.iterdir()))
    assert sum(drill.load(file).keys for file in taken.iterdir()) == 99
    lines = list(backup.verify(stack))
    assert len(lines) == 3
    assert all("keys in" in line and "it is 0 minutes old" in line for line in lines)


def test_a_node_that_isnt_needed_may_be_down(tmp_path: Path) -> None:
    with servers.cluster(tmp_path / "nodes", replicas=1) as known:
        stack = fake(tmp_path, endpoint(*known, topology="cluster"))
        with closing(redis.RedisCluster(HOST, known[0].port)) as client:
            for number in range(99):
                client.set(f"key:{number}", number)
        known[3].kill()
        taken = Path(backup.take(stack))
        assert sum(drill.load(file).keys for file in taken.iterdir()) == 99
        for node in known:  # so that no replica is promoted
            with closing(node.client()) as client, contextlib.suppress(redis.ConnectionError):
                client.config_set("cluster-replica-no-failover", "yes")
        known[1].kill()
        taken = Path(backup.take(stack))
        assert sum(drill.load(file).keys for file in taken.iterdir()) == 99
        known[4].kill()
        with pytest.raises(StackError) as error:
            backup.take(stack)
    for node in (known[1], known[4]):
        assert f"the node {HOST}:{node.port} does not respond" in str(error.value)
    assert str(error.value).endswith(" -> make up STACK=dev")
    assert len(list((tmp_path / ".valkey/dev/backups").iterdir())) == 2


@pytest.mark.parametrize("survivor", ["primary", "replica"])
def test_a_replicated_stack_is_saved_from_the_node_that_lives(tmp_path: Path, survivor: str) -> None:
    with servers.running(tmp_path / "primary") as primary:
        follows = ("--replicaof", f"{HOST} {primary.port}", "--repl-diskless-sync-delay", "0")
        with servers.running(tmp_path / "replica", *follows) as replica:
            stack = fake(tmp_path, endpoint(primary, replica, topology="replicated"))
            with closing(primary.client()) as client:
                client.set("key", "value")
            with closing(replica.client()) as client:
                while client.info("replication")["master_link_status"] != "up" or client.get("key") != "value":
                    time.sleep(0.05)
            (replica if survivor == "primary" else primary).kill()
            (dump,) = Path(backup.take(stack)).iterdir()
    assert dump.name == f"node-{int(survivor == 'replica')}.rdb"
    assert drill.load(dump).keys == 1


def test_a_full_disk_is_one_error_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with servers.running(tmp_path / "node") as node, pytest.raises(StackError) as error:
        backup.take(fake(tmp_path, endpoint(node)))
    assert "No space left on device -> free space there, then make backup STACK=dev" in str(error.value)
    assert list((tmp_path / ".valkey/dev/backups").iterdir()) == []


def test_a_server_that_cant_save_is_one_error(tmp_path: Path) -> None:
    with servers.running(tmp_path / "node") as node:
        (tmp_path / "node" / "dump.rdb").mkdir()
        with closing(node.client()) as client:
            client.set("key", "value")
        with pytest.raises(StackError, match="can't save its data -> free space on its disk"):
            backup.take(fake(tmp_path, endpoint(node)))
    assert list((tmp_path / ".valkey/dev/backups").iterdir()) == []


_KILLED = """
import sys, time
from pathlib import Path
from stackctl.operations import backup
from stackctl.stack import Stack
with backup._new_folder(Stack("dev", {}, Path(sys.argv[1]), has_own_backend=True)) as folder:
    (folder / "node-0.rdb").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_backup_left_goes_with_the_next_one(tmp_path: Path) -> None:
    with servers.running(tmp_path / "node") as node:
        stack = fake(tmp_path, endpoint(node))
        command = [sys.executable, "-c", _KILLED, str(tmp_path)]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as other:
            try:
                assert other.stdout
                half = Path(other.stdout.readline().strip())
                assert half.suffix == ".part"
                taken = {Path(backup.take(stack))}
                assert half.exists()  # that one is at work
            finally:
                other.kill()
        assert backup.newest(stack) in taken
        taken.add(Path(backup.take(stack)))
    assert set((tmp_path / ".valkey/dev/backups").iterdir()) == taken
    assert len(taken) == 2


def test_a_dead_node_is_named() -> None:
    port = free_port()
    known = Endpoint("embedded", "single", (Node(HOST, port),), False, "9.1.2", "cache", 2**26, ("admin",))
    outputs = {"endpoint": known.to_dict(), "adminUrl": f"redis://{HOST}:{port}"}
    with pytest.raises(StackError) as error:
        list(admin_clients.as_admin(outputs, "web"))
    assert str(error.value).startswith(f"the node {HOST}:{port} does not respond: ")
    assert str(error.value).endswith(" -> make up STACK=web")


def test_a_damaged_backup_is_reported(tmp_path: Path) -> None:
    with servers.running(tmp_path / "node") as node:
        stack = fake(tmp_path, endpoint(node))
        with closing(node.client()) as client:
            client.set("key", "x" * 1000)
        (dump,) = Path(backup.take(stack)).iterdir()
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 255
    dump.write_bytes(data)
    with pytest.raises(ProvisioningError):
        list(backup.verify(stack))


def test_a_missing_backup_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"there is no backup .* -> make backup STACK=dev"):
        list(backup.verify(fake(tmp_path, Endpoint.from_dict(endpoint().to_dict()))))


def test_the_age_is_that_of_the_file(tmp_path: Path) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(b"x")
    os.utime(dump, (time.time() - 3600,) * 2)
    assert 3590 < drill.age(dump) < 3700
