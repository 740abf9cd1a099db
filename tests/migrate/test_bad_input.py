"""Errors are clear, and the same command resumes once they are fixed."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError, LoginError, OutOfMemoryError, UnreachableError
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.options import Scope

from harness import binaries
from harness.ports import HOST
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness

SECRET = "s3cret:p@ss"
ENCODED = "s3cret%3Ap%40ss"


def refusals(plan: Any) -> dict[str, str]:
    return {check.name: check.text + check.fix for check in plan.checks if check.ok is False}


def with_user(url: str, user: str, password: str = "x") -> str:
    return url.replace("redis://", f"redis://{user}:{password}@")


def test_the_same_server_twice(new: ServerProcess, state: Path, tmp_path: Path) -> None:
    report = harness.migrate(new.url, new.url.replace("127.0.0.1", "localhost"), state)
    assert "the same server" in refusals(report.plan)["two servers"]
    shown = harness.command("plan", new.url, new.url, cwd=tmp_path)
    assert shown.returncode == 3
    assert "no-go" in shown.stdout


def test_a_target_that_has_data(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    ours.set("a", 1)
    theirs.set("b", 1)
    report = harness.migrate(old.url, new.url, state)
    assert "database 0 (1 keys)" in refusals(report.plan)["target"]
    theirs.flushall()
    assert harness.migrate(old.url, new.url, state).complete


def test_a_target_that_is_too_small(old: ServerProcess, ours: Any, state: Path, tmp_path: Path) -> None:
    ours.mset({f"key:{number}": "x" * 1000 for number in range(20_000)})
    with harness.started(tmp_path / "small", "valkey-9.1", "--maxmemory", "8mb") as small:
        report = harness.migrate(old.url, small.url, state)
        assert "increase maxmemory" in refusals(report.plan)["memory"]
        with data.raw(small.port) as client:
            assert client.dbsize() == 0
            client.config_set("maxmemory", "100mb")
        assert harness.migrate(old.url, small.url, state).complete


@pytest.mark.parametrize("endpoint", [0, 1])
def test_a_wrong_password(endpoint: int, new: ServerProcess, old: ServerProcess, state: Path, tmp_path: Path) -> None:
    urls = [old.url, new.url]
    urls[endpoint] = with_user(urls[endpoint], "nobody", ENCODED)
    with pytest.raises(LoginError):
        harness.migrate(urls[0], urls[1], state)
    shown = harness.command("run", *urls, cwd=tmp_path)
    assert shown.returncode == 1
    named = f"{['source', 'target'][endpoint]} {HOST}:{[old, new][endpoint].port}"
    assert shown.stderr.splitlines()[-1].startswith(f"error: {named}: the server rejected the login")
    assert SECRET not in shown.stderr + shown.stdout
    assert ENCODED not in shown.stderr + shown.stdout


def test_no_secret_anywhere(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, tmp_path: Path) -> None:
    for client in (ours, theirs):
        client.acl_setuser("mover", enabled=True, passwords=[f"+{SECRET}"], categories=["+@all"], keys=["*"])
    ours.mset({f"key:{number}": number for number in range(5000)})
    (tmp_path / "source").write_text(with_user(old.url, "mover", ENCODED) + "\n")
    running = subprocess.Popen(
        [*harness.COMMAND, "run", "@source", "--rate", "5000", "--batch", "100"], cwd=tmp_path, text=True,
        env=harness.environment(TARGET_URL=with_user(new.url, "mover", ENCODED)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    time.sleep(1)
    seen = Path(f"/proc/{running.pid}/cmdline").read_text()
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    kept = "".join(path.read_text() for path in (tmp_path / "valkeykit-migration").iterdir())
    for text in (seen, out, kept):
        assert SECRET not in text
        assert ENCODED not in text


def test_a_url_in_place_of_the_sub_command(new: ServerProcess, tmp_path: Path) -> None:
    shown = harness.command(with_user(new.url, "mover", SECRET), new.url, cwd=tmp_path)
    assert shown.returncode == 2
    assert "plan, run, verify, cut-over, reverse, survey" in shown.stderr
    assert SECRET not in shown.stderr + shown.stdout


def test_a_source_that_drops_and_returns(new: ServerProcess, theirs: Any, state: Path, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-7.0", "--appendonly", "yes") as source:
        with data.raw(source.port) as client:
            client.mset({f"key:{number}": number for number in range(6000)})
        with _on_the_way(theirs, lambda: _restarted(source)):
            report = harness.migrate(source.url, new.url, state, rate=4000, batch=100)
        assert report.complete
        assert report.counts["reconnects"] > 0
        assert theirs.dbsize() == 6000


@contextlib.contextmanager
def _on_the_way(theirs: Any, happen: Callable[[], object]) -> Iterator[None]:
    """Let something happen when some keys have arrived."""

    def wait() -> None:
        wait_until(lambda: theirs.dbsize() > 0, problem="nothing is copied")
        happen()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _restarted(server: ServerProcess) -> None:
    server.kill()
    time.sleep(0.5)
    server.start()


def test_a_source_that_stays_away(new: ServerProcess, theirs: Any, state: Path, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-7.0", "--appendonly", "yes") as source:
        with data.raw(source.port) as client:
            client.mset({f"key:{number}": number for number in range(6000)})
        with _on_the_way(theirs, source.kill), pytest.raises(UnreachableError):
            harness.migrate(source.url, new.url, state, rate=4000, batch=100, reconnect_timeout=1.0)
        assert 0 < theirs.dbsize() < 6000
        source.start()
        assert harness.migrate(source.url, new.url, state).complete
        assert theirs.dbsize() == 6000


def test_a_target_that_fills_up(old: ServerProcess, ours: Any, state: Path, tmp_path: Path) -> None:
    with harness.started(tmp_path / "small", "valkey-9.1", "--maxmemory", "200mb") as small:
        with data.raw(small.port) as client:
            ours.mset({f"key:{number}": random.Random(number).randbytes(1000) for number in range(20_000)})
            ours.rpush("large", *(random.Random(number).randbytes(2000) for number in range(2000)))
            fill = _on_the_way(client, lambda: client.config_set("maxmemory", "10mb"))
            with fill, pytest.raises(OutOfMemoryError, match="maxmemory"):
                harness.migrate(old.url, small.url, state, rate=10_000, batch=200)
            client.config_set("maxmemory", "200mb")
        assert harness.migrate(old.url, small.url, state).complete


@pytest.mark.parametrize("command", ["scan", "dump"])
def test_a_command_that_is_forbidden(
    command: str, old: ServerProcess, new: ServerProcess, ours: Any, state: Path
) -> None:
    ours.set("a", 1)
    ours.execute_command("ACL", "SETUSER", "mover", "on", ">x", "~*", "&*", "+@all", f"-{command}")
    report = harness.migrate(with_user(old.url, "mover"), new.url, state)
    assert f"the source rejects {command.upper()}" in refusals(report.plan)["permissions at the source"]
    assert f"+{command}" in refusals(report.plan)["permissions at the source"]
    ours.execute_command("ACL", "SETUSER", "mover", f"+{command}")
    assert harness.migrate(with_user(old.url, "mover"), new.url, state).complete


def test_a_target_that_may_not_be_written_to(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.set("a", 1)
    theirs.execute_command("ACL", "SETUSER", "reader", "on", ">x", "~*", "&*", "+@all", "-restore", "-rename")
    report = harness.migrate(old.url, with_user(new.url, "reader"), state)
    assert "the target rejects RESTORE, RENAME" in refusals(report.plan)["permissions at the target"]


def test_a_key_that_cannot_be_restored(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that refuses one payload gets the key by commands."""
    from valkeykit_ops.migrate import commands

    ours.mset({"good": 1, "bad": 2})
    restore = commands.restore

    def broken(key: bytes, expires: int, payload: bytes, **options: Any) -> bytes:
        return restore(key, expires, payload[:-1] + b"x" if key == b"bad" else payload, **options)

    monkeypatch.setattr(commands, "restore", broken)
    report = harness.migrate(old.url, new.url, state)
    assert report.complete
    assert report.counts["chunked"] == 1
    assert theirs.mget("good", "bad") == [b"1", b"2"]


def test_what_cannot_be_moved_is_named_first(new: ServerProcess, theirs: Any, state: Path, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-8.2", "--loadmodule", binaries.module()) as source:
        with data.raw(source.port) as client:
            client.set("plain", 1)
            client.execute_command("GRAPH.QUERY", "graph", "CREATE (:A {name: 'x'})")
            client.execute_command("VADD", b"vectors\xff", "VALUES", 2, 1.0, 0.5, "element")
        refused = harness.migrate(source.url, new.url, state)
        assert (
            "2 keys of types and 0 hashes with field TTLs that the target does not support"
            in refusals(refused.plan)["types"]
        )
        assert theirs.dbsize() == 0
        named = (state / "unmovable.jsonl").read_text()
        assert '"graph"' in named
        assert '"vectors\\\\xff"' in named
        left = harness.migrate(source.url, new.url, state, accept_loss=True)
        assert left.complete
        assert left.unmovable == 2
        assert theirs.keys() == [b"plain"]


def test_field_ttls_that_the_target_does_not_have(state: Path, tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "old", "redis-7.4") as source,
        harness.started(tmp_path / "new", "valkey-8.1") as target,
    ):
        with data.raw(source.port) as client:
            data.fields_that_end(client, b"ends")
            client.hset("stays", "a", 1)
        report = harness.migrate(source.url, target.url, state)
        assert "1 hashes with field TTLs" in refusals(report.plan)["types"]
        assert (state / "unmovable.jsonl").read_text().count("\n") == 1
        assert harness.migrate(source.url, target.url, state, accept_loss=True).complete


def test_a_database_that_the_target_lacks(old: ServerProcess, state: Path, tmp_path: Path) -> None:
    with data.raw(old.port) as client, harness.started(tmp_path / "new", "valkey-9.1", "--databases", "1") as few:
        client.select(3)
        client.set("a", 1)
        assert "the target does not have 3" in refusals(harness.plan(old.url, few.url, state))["databases"]


def test_a_state_of_another_migration(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, tmp_path: Path
) -> None:
    ours.set("a", 1)
    harness.migrate(old.url, new.url, state)
    with (
        harness.started(tmp_path / "third", "valkey-9.1") as third,
        pytest.raises(ConfigurationError, match="target differ"),
    ):
        harness.migrate(old.url, third.url, state)


def test_two_at_once(old: ServerProcess, new: ServerProcess, state: Path) -> None:
    from valkeykit_ops.migrate.state import MigrationState

    held = MigrationState(state)
    with pytest.raises(ConfigurationError, match="another migration uses"):
        harness.migrate(old.url, new.url, state)
    held.close()


def test_a_state_that_is_broken(old: ServerProcess, new: ServerProcess, state: Path) -> None:
    state.mkdir()
    (state / "run.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"run\.json is damaged"):
        harness.migrate(old.url, new.url, state)


def test_a_redis_is_no_target(old: ServerProcess, new: ServerProcess, state: Path) -> None:
    assert "the target is not a Valkey" in refusals(harness.plan(new.url, old.url, state))["versions"]


def test_missing_endpoints(tmp_path: Path) -> None:
    for arguments, text in (
        ([], "the source is missing"),
        (["redis://x:1"], "the target is missing"),
        (["@gone", "redis://x:1"], "cannot read"),
    ):
        shown = harness.command("run", *arguments, cwd=tmp_path, SOURCE_URL="", TARGET_URL="")
        assert shown.returncode == 1
        assert text in shown.stderr
        assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("damage", ["truncated", "nonsense after the signature"])
def test_a_broken_rdb_file(damage: str, old: ServerProcess, ours: Any, new: ServerProcess, tmp_path: Path) -> None:
    data.fill(ours, random.Random(1), 300)
    ours.save()
    whole = (old.folder / "dump.rdb").read_bytes()
    file = tmp_path / "dump.rdb"
    file.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"REDIS" + os.urandom(100))
    shown = harness.command("run", file, new.url, cwd=tmp_path)
    assert shown.returncode == 1
    assert "dump.rdb cannot be loaded; the server reports" in shown.stderr


def test_a_file_that_is_not_there(new: ServerProcess, tmp_path: Path) -> None:
    assert "does not exist" in harness.command("run", tmp_path / "gone.rdb", new.url, cwd=tmp_path).stderr


def test_a_replica_is_not_written_to(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, tmp_path: Path
) -> None:
    ours.set("a", 1)
    with harness.started(tmp_path / "replica", "valkey-9.1", "--replicaof", f"{HOST} {new.port}") as replica:
        found = refusals(harness.plan(old.url, replica.url, state))
        assert list(found) == ["role of the target"]
        assert f"the target is a replica of {HOST}:{new.port}" in found["role of the target"]
        found = refusals(harness.plan(replica.url, old.url, state, reverse=True))
        assert "the source is a replica" in found["role of the source"]


def test_a_target_that_rejects_writes(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.set("a", 1)
    theirs.config_set("min-replicas-to-write", 1)
    try:
        found = refusals(harness.plan(old.url, new.url, state))
    finally:
        theirs.config_set("min-replicas-to-write", 0)
    assert list(found) == ["writes at the target"]
    assert "min-replicas-to-write" in found["writes at the target"]


def test_a_user_that_may_not_pause_writes(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.set("a", 1)
    ours.execute_command("ACL", "SETUSER", "mover", "reset", "on", ">x", "~*", "&*", "+@all", "-client|pause")
    url = with_user(old.url, "mover")
    warned = harness.plan(url, new.url, state)
    assert warned.is_go
    assert [check.fix for check in warned.checks if check.name == "permissions for the cut-over"] == [
        "at the source: ACL SETUSER mover +client|pause"
    ]
    report = harness.migrate(url, new.url, state, CutOver(pause=5.0))
    assert "rejects CLIENT PAUSE" in refusals(report.plan)["permissions for the cut-over"]
    assert theirs.dbsize() == 0
    assert harness.migrate(url, new.url, state, CutOver(quiet=0.1)).cut_over


def test_a_user_of_some_keys(old: ServerProcess, new: ServerProcess, ours: Any, state: Path) -> None:
    ours.mset({"shop:1": 1, "mail:1": 1})
    ours.execute_command("ACL", "SETUSER", "mover", "reset", "on", ">x", "~shop:*", "&*", "+@all")
    url = with_user(old.url, "mover")
    assert harness.migrate(url, new.url, state, scope=Scope(match="shop:*")).complete
    ours.execute_command("ACL", "SETUSER", "mover", "resetkeys", "~other:*")
    found = refusals(harness.plan(url, new.url, state.with_name("other"), scope=Scope(match="shop:*"), conflict="skip"))
    assert "ACL SETUSER mover ~shop:*" in found["permissions at the source"]
