"""A removed server leaves its last state, and a new one loads it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from infra import hardening
from infra.drivers.processes import process, running_server, server
from infra.drivers.processes.folder import ServerFolder
from infra.drivers.processes.running_server import ServerSpec
from infra.errors import ProvisioningError
from tests.support import killed
from tests.support.single_server import client_of, count_keys, dump_of, pid_of, write_keys


def test_remove_leaves_the_last_state(spec: ServerSpec, tmp_path: Path) -> None:
    server.ensure(spec)
    write_keys(spec)
    server.remove(spec, keep_snapshot=True)
    assert process.find(spec.folder) is None
    (snapshot,) = spec.folder.path.iterdir()
    other = replace(spec, folder=ServerFolder(tmp_path / "other"), restore_from=snapshot)
    try:
        server.ensure(other)
        assert count_keys(other) == 1000
    finally:
        server.remove(other, keep_snapshot=False)
    assert not other.folder.path.exists()


def test_remove_of_a_dead_server_leaves_the_last_state_too(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    time.sleep(1.1)
    os.kill(pid_of(spec), signal.SIGKILL)
    server.remove(spec, keep_snapshot=True)
    (snapshot,) = spec.folder.path.iterdir()
    assert snapshot.suffix == ".rdb"
    assert process.find(spec.folder) is None


def test_remove_of_a_server_that_rejects_logins_leaves_the_last_state_too(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    with client_of(spec) as client:
        client.execute_command("ACL", "SETUSER", "admin", "resetpass", ">another")
    server.remove(spec, keep_snapshot=True)
    (snapshot,) = spec.folder.path.iterdir()
    assert snapshot.suffix == ".rdb"
    assert process.find(spec.folder) is None


def test_remove_of_a_server_that_cant_start_keeps_its_files(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    os.kill(pid_of(spec), signal.SIGKILL)
    (log,) = spec.folder.data.glob("appendonlydir/*.incr.aof")
    whole = log.read_bytes()
    log.write_bytes(whole[:2000] + bytes(500) + whole[2500:])
    server.remove(spec, keep_snapshot=True)
    (kept,) = spec.folder.path.iterdir()
    assert list(kept.glob("appendonlydir/*.incr.aof"))


def test_remove_leaves_a_folder_alone_that_another_resource_claimed(spec: ServerSpec) -> None:
    server.ensure(spec)
    pid = pid_of(spec)
    server.ensure(replace(spec, ownership=replace(spec.ownership, resource="resource-2")))  # as a replacement does
    server.remove(spec, keep_snapshot=False)
    assert pid_of(spec) == pid


def test_a_restore_has_all_of_it_in_the_append_only_file(spec: ServerSpec, tmp_path: Path) -> None:
    server.ensure(spec)
    write_keys(spec)
    dump = dump_of(spec, tmp_path / "dump.rdb")
    server.remove(spec, keep_snapshot=False)

    restored = replace(spec, restore_from=dump)
    state = server.ensure(restored)
    assert (state.directives["appendonly"], state.directives["maxmemory"]) == ("yes", str(64 * 1024**2))
    os.kill(pid_of(spec), signal.SIGKILL)
    dump.unlink()
    server.ensure(restored)
    assert count_keys(spec) == 1000


def test_an_interrupted_restore_begins_again(spec: ServerSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.ensure(spec)
    write_keys(spec)
    dump = dump_of(spec, tmp_path / "dump.rdb")
    server.remove(spec, keep_snapshot=False)

    def killed(_client: redis.Redis) -> None:
        raise KeyboardInterrupt

    restored = replace(spec, restore_from=dump)
    monkeypatch.setattr(running_server, "wait_for_append_only", killed)
    with pytest.raises(KeyboardInterrupt):
        server.ensure(restored)
    monkeypatch.undo()
    server.ensure(replace(spec, restore_from=None))  # the ownership remembers the file
    assert count_keys(spec) == 1000


@pytest.mark.parametrize(
    "call",
    [
        "infra.drivers.processes.folder.ServerFolder.clear_data",
        "shutil.copyfile",
        "infra.drivers.processes.process.start",
        "infra.drivers.processes.running_server.wait_for_append_only",
        "infra.drivers.processes.running_server.inspect",
    ],
)
def test_a_restore_killed_at_any_moment_starts_again_and_has_all(spec: ServerSpec, tmp_path: Path, call: str) -> None:
    """The server that it started keeps running."""
    server.ensure(spec)
    write_keys(spec)
    dump = dump_of(spec, tmp_path / "dump.rdb")
    server.remove(spec, keep_snapshot=False)
    killed.ensure("infra.drivers.processes.server", call, tmp_path, replace(spec, restore_from=dump))
    server.ensure(replace(spec, restore_from=dump))
    assert count_keys(spec) == 1000
    os.kill(pid_of(spec), signal.SIGKILL)
    server.ensure(spec)
    assert count_keys(spec) == 1000


def test_a_restore_that_does_not_fit_is_rejected_and_resumes_with_more_memory(spec: ServerSpec, tmp_path: Path) -> None:
    server.ensure(spec)
    with client_of(spec) as admin:
        for number in range(40):
            admin.set(f"key:{number}", os.urandom(1024**2))
    dump = dump_of(spec, tmp_path / "dump.rdb")
    server.remove(spec, keep_snapshot=False)
    small = replace(spec, restore_from=dump, directives=hardening.directives("cache", 16 * 1024**2, "embedded"))
    with pytest.raises(ProvisioningError, match="pulumi config set memory"):
        server.ensure(small)
    server.ensure(replace(spec, restore_from=dump))
    assert count_keys(spec) == 40
