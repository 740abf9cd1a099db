"""The driver on a real server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

from harness.waiting import wait_until
from infra import hardening
from infra.drivers import binary
from infra.drivers.processes import logwriter, ports, process, running_server, server
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.running_server import ServerSpec
from infra.engine_parameters import SELF_HOSTED
from infra.errors import ProvisioningError
from tests.support.single_server import client_of, count_keys, pid_of, write_keys


def test_a_server_comes_up_hardened(spec: ServerSpec) -> None:
    state = server.ensure(spec)
    assert state.version == binary.version()
    assert {name: state.directives[name] for name in ("maxmemory", "maxmemory-policy", "appendonly")} == {
        "maxmemory": str(64 * 1024**2),
        "maxmemory-policy": "allkeys-lru",
        "appendonly": "yes",
    }
    with client_of(spec, "app") as app:
        app.set("key", "value")
        with pytest.raises(redis.exceptions.NoPermissionError):
            app.flushall()
    addresses = {c.laddr[0] for c in psutil.Process(pid_of(spec)).net_connections() if c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


def test_other_users_cannot_read_the_files(spec: ServerSpec) -> None:
    server.ensure(spec)
    time.sleep(0.2)  # the log is written by another process
    paths = [spec.folder.path, *spec.folder.path.rglob("*")]
    assert spec.folder.log in paths
    assert {path: oct(stat.S_IMODE(path.stat().st_mode) & 0o077) for path in paths} == dict.fromkeys(paths, "0o0")


def test_the_environment_of_the_server_holds_nothing(spec: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a-passphrase")
    server.ensure(spec)
    assert psutil.Process(pid_of(spec)).environ() == {}


def test_a_second_time_changes_nothing(spec: ServerSpec) -> None:
    first, pid = server.ensure(spec), pid_of(spec)
    assert server.ensure(spec) == first
    assert pid_of(spec) == pid


def test_a_frozen_server_is_named_and_left_alone(spec: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_server, "RESPONSE_TIMEOUT_SECONDS", 1)
    first, running = server.ensure(spec), psutil.Process(pid_of(spec))
    running.suspend()
    try:
        for look in (server.ensure, server.inspect):
            with pytest.raises(ProvisioningError, match=f"pid {running.pid}. runs, but has not responded"):
                look(spec)
    finally:
        running.resume()
    assert server.ensure(spec) == first
    assert pid_of(spec) == running.pid


def test_a_server_that_cannot_save_is_one_error_and_keeps_running(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    spec.folder.snapshot.mkdir()  # as on a full disk, no snapshot can be written
    (spec.folder.snapshot / "file").touch()
    with client_of(spec) as admin:
        admin.config_set("stop-writes-on-bgsave-error", "yes")
        admin.execute_command("BGSAVE")
        wait_until(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    pid = pid_of(spec)
    assert server.inspect(spec) is not None  # although it answers PING with MISCONF
    with pytest.raises(ProvisioningError, match=r"can't write to the disk of .* MB free -> free space on that disk"):
        server.remove(spec, keep_snapshot=True)
    assert pid_of(spec) == pid
    shutil.rmtree(spec.folder.snapshot)
    server.remove(spec, keep_snapshot=True)
    assert [file.suffix for file in spec.folder.path.glob("final-*")] == [".rdb"]


def test_a_live_setting_is_changed_live(spec: ServerSpec) -> None:
    server.ensure(spec)
    pid = pid_of(spec)
    state = server.ensure(replace(spec, directives=hardening.directives("queue", 128 * 1024**2, "embedded")))
    assert (state.directives["maxmemory-policy"], state.directives["maxmemory"]) == ("noeviction", str(128 * 1024**2))
    assert pid_of(spec) == pid


def test_a_fixed_setting_takes_a_restart_that_keeps_the_data(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    pid = pid_of(spec)
    state = server.ensure(replace(spec, directives={**spec.directives, "databases": "4"}))
    assert state.directives["databases"] == "4"
    assert pid_of(spec) != pid
    assert count_keys(spec) == 1000


def test_the_server_has_every_parameter(spec: ServerSpec) -> None:
    server.ensure(spec)
    with client_of(spec) as admin:
        defaults = admin.config_get(*SELF_HOSTED)
        assert defaults.keys() == SELF_HOSTED.keys()
        for name, value in defaults.items():
            assert SELF_HOSTED[name].accepts(value) or name == "maxmemory-clients", f"{name} is {value}"
            if SELF_HOSTED[name].live:
                admin.config_set(name, value)


def test_a_parameter_is_changed_live_and_removed_by_a_restart(spec: ServerSpec) -> None:
    server.ensure(spec)
    pid = pid_of(spec)
    faster = replace(spec, directives={**spec.directives, "hz": "20", "notify-keyspace-events": "Ex"})
    assert server.ensure(faster).directives["hz"] == "20"
    assert pid_of(spec) == pid
    server.ensure(spec)
    assert pid_of(spec) != pid
    with client_of(spec) as admin:
        assert admin.config_get("hz", "notify-keyspace-events") == {"hz": "10", "notify-keyspace-events": ""}


def test_what_the_machine_doesnt_allow_takes_no_restart(spec: ServerSpec) -> None:
    server.ensure(spec)
    pid = pid_of(spec)
    with client_of(spec) as admin:
        admin.config_set("maxclients", 50)
        psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE, (100, 100))
    assert server.ensure(spec).directives["maxclients"] == "50"
    assert pid_of(spec) == pid


def test_data_is_saved_before_a_restart_although_saving_was_turned_off(spec: ServerSpec) -> None:
    server.ensure(spec)
    with client_of(spec) as admin:
        admin.config_set("appendonly", "no")
        admin.config_set("save", "")
    write_keys(spec)
    server.ensure(replace(spec, directives={**spec.directives, "databases": "4"}))
    assert count_keys(spec) == 1000


def test_memory_that_would_be_full_at_once_is_refused(spec: ServerSpec) -> None:
    queue = replace(spec, directives=hardening.directives("queue", 64 * 1024**2, "embedded"))
    server.ensure(queue)
    with client_of(spec) as admin:
        for number in range(20):
            admin.set(f"key:{number}", b"x" * 1024**2)
    with pytest.raises(ProvisioningError, match="every write would fail"):
        server.ensure(replace(queue, directives=hardening.directives("queue", 16 * 1024**2, "embedded")))
    with client_of(spec) as admin:
        assert admin.config_get("maxmemory")["maxmemory"] == str(64 * 1024**2)


def test_a_killed_server_restarts_with_its_port_and_its_data(spec: ServerSpec) -> None:
    state = server.ensure(spec)
    write_keys(spec)
    time.sleep(1.1)  # appendfsync everysec
    os.kill(pid_of(spec), signal.SIGKILL)
    assert server.ensure(spec).port == state.port
    assert count_keys(spec) == 1000


def test_a_lost_password_is_replaced_with_the_data_kept(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    others = {user.name: f"other-{user.name}" for user in hardening.USERS}
    server.ensure(replace(spec, acl=hardening.acl(others), password=others["admin"]))
    running = process.find(spec.folder)
    assert running is not None
    with redis.Redis(port=ports.configured(spec.folder), username="admin", password=others["admin"]) as admin:
        assert admin.dbsize() == 1000


def test_a_process_id_in_a_file_is_never_signalled(spec: ServerSpec) -> None:
    server.ensure(spec)
    os.kill(pid_of(spec), signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        spec.folder.pid.write_text(f"{bystander.pid}\n")
        server.ensure(spec)
        server.remove(spec, keep_snapshot=False)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_the_first_free_port_is_taken_and_a_given_one_is_not_exchanged(spec: ServerSpec) -> None:
    with socket.socket() as busy:
        busy.bind((ports.HOST, 0))
        busy.listen()
        taken = busy.getsockname()[1]
        with pytest.raises(ProvisioningError, match=f"port {taken} is in use by .*pid {os.getpid()}"):
            server.ensure(replace(spec, port=taken))
    assert server.ensure(spec).port >= 6379


def test_a_port_taken_meanwhile_leaves_the_server_on_the_old_one(spec: ServerSpec) -> None:
    old = server.ensure(spec).port
    with socket.socket() as busy:
        busy.bind((ports.HOST, 0))
        busy.listen()
        with pytest.raises(ProvisioningError, match="is in use"):
            server.ensure(replace(spec, port=busy.getsockname()[1]))
    with client_of(spec) as admin:
        assert admin.info("server")["tcp_port"] == old


def test_what_an_interrupted_change_of_port_left_is_finished(spec: ServerSpec) -> None:
    server.ensure(spec)
    write_keys(spec)
    running_server.write_files(spec, 7999)  # killed after this, before the restart
    assert server.inspect(spec) is not None
    server.ensure(replace(spec, port=7999))
    assert count_keys(spec) == 1000


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path.write_text("a file"), "is a file"),
        (
            lambda path: (path.mkdir(), (path / "thesis.doc").touch()),
            "has files that belong to something else .thesis.doc",
        ),
        (
            lambda path: ServerFolder(path).acquire(Ownership("valkey/other", "x", "9.1.2")),
            "belongs to the stack valkey/other",
        ),
        (
            lambda path: ServerFolder(path).acquire(Ownership("valkey/test", "x", "99.0.0")),
            "was written by Valkey 99.0.0",
        ),
        (lambda path: (path.mkdir(), (path / "claim.json").write_text("{")), "is damaged"),
    ],
)
def test_a_folder_that_isnt_ours_is_refused_and_left_as_it_is(spec: ServerSpec, prepare: object, message: str) -> None:
    assert callable(prepare)
    prepare(spec.folder.path)
    before = sorted(spec.folder.path.rglob("*"))
    with pytest.raises(ProvisioningError, match=message):
        server.ensure(spec)
    assert sorted(spec.folder.path.rglob("*")) == before


def test_a_folder_of_another_user_is_refused(spec: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec.folder.path.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: spec.folder.path.stat().st_uid + 1)
    with pytest.raises(ProvisioningError, match="belongs to another user"):
        server.ensure(spec)
    assert list(spec.folder.path.iterdir()) == []


def test_a_read_only_data_folder_is_refused(spec: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec.folder.acquire(spec.ownership)
    spec.folder.data.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != spec.folder.data)
    with pytest.raises(ProvisioningError, match="data is read-only"):
        server.ensure(spec)


def test_a_full_disk_is_reported_in_one_line(spec: ServerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device", "users.acl")

    monkeypatch.setattr(running_server, "write_private", full)
    with pytest.raises(ProvisioningError, match=r"No space left on device: users\.acl"):
        server.ensure(spec)


def test_a_server_that_does_not_start_is_reported_with_the_reason(spec: ServerSpec) -> None:
    with pytest.raises(ProvisioningError, match=r"didn't start: .*no-such-directive"):
        server.ensure(replace(spec, directives={**spec.directives, "no-such-directive": "1"}))
    assert process.find(spec.folder) is None


def test_the_reason_of_a_failed_start_is_reported_although_its_log_is_slow(
    spec: ServerSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow.py"
    each = "        handler.emit("
    slow.write_text(
        Path(logwriter.__file__).read_text().replace(each, f"        __import__('time').sleep(0.3)\n{each}")
    )
    monkeypatch.setattr(logwriter, "__file__", str(slow))
    with pytest.raises(ProvisioningError, match=r"didn't start: .*no-such-directive.*Bad directive"):
        server.ensure(replace(spec, directives={**spec.directives, "no-such-directive": "1"}))


def test_nothing_secret_shows_in_a_repr(spec: ServerSpec) -> None:
    assert spec.password not in repr(spec)
    assert "user admin" not in repr(spec)


def test_a_log_that_was_removed_before_its_writer_was_ready_stays_away(tmp_path: Path) -> None:
    command = [sys.executable, logwriter.__file__, str(tmp_path / "valkey.log")]
    subprocess.run(command, input="a line\n", text=True, check=True)
    assert not list(tmp_path.iterdir())


def test_the_log_stays_within_its_size(tmp_path: Path) -> None:
    log = tmp_path / "valkey.log"
    log.touch()
    line = "x" * 1023 + "\n"
    lines = 6 * logwriter.MAX_BYTES // len(line)
    subprocess.run(
        [sys.executable, logwriter.__file__, str(log)],
        input=line * lines,
        text=True,
        check=True,
    )
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == logwriter.OLD_FILES + 1
    assert max(sizes) <= logwriter.MAX_BYTES
