"""A source that loses its data, a target with other writers, and the keys that a migration may touch."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from valkeykit_ops.migrate import glob
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.migration_run import CLEAN_END
from valkeykit_ops.migrate.options import Options, Scope
from valkeykit_ops.migrate.ownership import scratch_prefix
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness

KEYS = {f"key:{number}": number for number in range(2000)}


@pytest.mark.parametrize(
    ("follows", "persistence"),
    [
        (True, "no"), (False, "yes"),
        pytest.param(False, "no", marks=pytest.mark.thorough), pytest.param(True, "yes", marks=pytest.mark.thorough),
    ],
)  # fmt: skip
def test_a_source_that_comes_back_empty(
    follows: bool, persistence: str, new: ServerProcess, theirs: Any, state: Path, tmp_path: Path
) -> None:
    with harness.started(tmp_path / "old", "redis-7.0", "--appendonly", persistence) as source:
        with data.raw(source.port) as client:
            client.mset(KEYS)

        def empty() -> None:
            wait_until(lambda: theirs.dbsize() == len(KEYS), problem="nothing is copied")
            source.kill()
            for left in (*source.folder.glob("dump.rdb"), *source.folder.glob("appendonlydir")):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            source.start()

        if not follows:
            assert harness.migrate(source.url, new.url, state).complete
            empty()
        thread = threading.Thread(target=empty if follows else lambda: None)
        thread.start()
        with (
            harness.prepared(source.url, new.url, state, Options()) as migration,
            pytest.raises(UnsafeOperationError, match="restarted"),
        ):
            migration.run(follow=600.0)
        thread.join()
        assert theirs.dbsize() == len(KEYS)
        assert harness.migrate(source.url, new.url, state, trust_source=True).complete
        assert theirs.dbsize() == 0


@pytest.mark.parametrize(
    ("notifications", "command"),
    [
        ("AKE", "FLUSHDB"), ("", "SWAPDB 0 1"),
        pytest.param("", "FLUSHDB", marks=pytest.mark.thorough),
        pytest.param("AKE", "SWAPDB 0 1", marks=pytest.mark.thorough),
    ],
)  # fmt: skip
def test_a_flush_at_the_source(
    notifications: str, command: str, old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.config_set("notify-keyspace-events", notifications)
    try:
        ours.mset(KEYS)
        assert harness.migrate(old.url, new.url, state).complete
        ours.execute_command(command)
        ours.set("left", 1)
        with pytest.raises(UnsafeOperationError, match=f"{command.split(maxsplit=1)[0]} ran at"):
            harness.migrate(old.url, new.url, state, CutOver(quiet=0.1), verify="sample")
        assert theirs.dbsize() >= len(KEYS)
    finally:
        ours.config_set("notify-keyspace-events", "")


def test_a_source_that_lost_most_of_its_keys(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.mset(KEYS)
    assert harness.migrate(old.url, new.url, state).complete
    ours.delete(*list(KEYS)[:1500])
    with pytest.raises(UnsafeOperationError, match="1,500 keys of the target are not at the source"):
        harness.migrate(old.url, new.url, state)
    assert theirs.dbsize() == len(KEYS)
    assert harness.migrate(old.url, new.url, state, trust_source=True).complete
    assert theirs.dbsize() == 500


def test_keys_that_expired_are_no_loss(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    block = ours.pipeline()
    for key in KEYS:
        block.set(key, 1, px=3000)
    block.set("stays", 1).execute()
    harness.migrate(old.url, new.url, state)
    wait_until(lambda: ours.keys() == [b"stays"], problem="the keys do not expire")
    assert harness.migrate(old.url, new.url, state).complete
    assert theirs.keys() == [b"stays"]


def test_another_writer_at_the_target(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.mset(KEYS)
    assert harness.migrate(old.url, new.url, state).complete
    theirs.incr("counter")  # sent as INCRBY
    theirs.set("key:1", "theirs")
    with pytest.raises(UnsafeOperationError, match="another client wrote to the target: INCRBY 1 times, SET 1 times"):
        harness.migrate(old.url, new.url, state)
    assert theirs.mget("counter", "key:1") == [b"1", b"theirs"]
    assert harness.migrate(old.url, new.url, state, accept_target_writes=True).complete
    assert theirs.mget("counter", "key:1") == [None, b"1"]


def test_another_writer_while_the_target_follows(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.mset(KEYS)

    def write() -> None:
        wait_until(lambda: theirs.dbsize() == len(KEYS), problem="nothing is copied")
        theirs.set("theirs", 1)

    thread = threading.Thread(target=write)
    thread.start()
    with (
        harness.prepared(old.url, new.url, state, Options()) as migration,
        pytest.raises(UnsafeOperationError, match="another client wrote to the target: SET 1 times"),
    ):
        migration.run(follow=600.0)
    thread.join()
    assert theirs.get("theirs") == b"1"


def test_a_target_that_was_flushed_is_filled_again(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.mset(KEYS)
    assert harness.migrate(old.url, new.url, state).complete
    theirs.flushall()
    report = harness.migrate(old.url, new.url, state)
    assert report.complete
    assert report.events == ["FLUSHALL ran at the target since the last run: its keys are copied again"]
    assert report.events[0] in (state / "report.md").read_text()
    assert theirs.dbsize() == len(KEYS)


@pytest.mark.parametrize("notifications", ["AKE", ""])
def test_deleted_keys_do_not_come_back_with_replace(
    notifications: str, old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.config_set("notify-keyspace-events", notifications)
    try:
        ours.mset({"k1": 1, "k2": 2, "k3": 3})
        theirs.mset({"k1": "theirs", "own": "theirs"})
        assert harness.migrate(old.url, new.url, state, conflict="replace").complete
        ours.delete("k1", "k2")
        report = harness.migrate(old.url, new.url, state, CutOver(quiet=0.1), conflict="replace")
        assert report.complete, report.record()
        assert sorted(theirs.keys()) == [b"k3", b"own"]
    finally:
        ours.config_set("notify-keyspace-events", "")


@pytest.mark.parametrize(
    "scope", [Scope(match="shop:*"), Scope(types=frozenset({"hash"})), Scope(rename=("shop:", "s:"))]
)
def test_notifications_change_no_key_out_of_scope(
    scope: Scope, old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.config_set("notify-keyspace-events", "AKE")
    theirs.mset({"mail:1": "theirs", "mail:2": "theirs"})
    ours.hset("shop:1", "a", 1)
    changed = threading.Event()

    def change() -> None:
        wait_until(lambda: theirs.dbsize() == 3, problem="nothing is copied")
        ours.set("mail:1", "ours")
        ours.set("mail:2", "ours")
        ours.delete("mail:2")
        ours.hset("shop:1", "a", 2)
        changed.set()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with harness.prepared(old.url, new.url, state, Options(scope=scope)) as migration:
            report = migration.run(follow=5.0)
        assert changed.is_set()
        assert report.complete, report.record()
        assert theirs.mget("mail:1", "mail:2") == [b"theirs", b"theirs"]
        assert theirs.hget(scope.name(b"shop:1"), "a") == b"2"
    finally:
        thread.join()
        ours.config_set("notify-keyspace-events", "")


def test_an_incomplete_key_of_a_killed_run_is_removed(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.set("a", 1)
    assert harness.migrate(old.url, new.url, state).complete
    with contextlib.closing(MigrationState(state)) as kept:
        scratch = scratch_prefix(kept) + b"{big}"
        kept.put(CLEAN_END, False)
    theirs.rpush(scratch, "half")
    assert harness.migrate(old.url, new.url, state, accept_target_writes=True).complete
    assert theirs.keys() == [b"a"]


def test_keys_of_a_user_that_begin_like_ours(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.mset({"valkeykit:migrate:mine": 1, "valkeykit:migrate:{x}y": 2})
    assert harness.migrate(old.url, new.url, state).complete
    assert sorted(theirs.keys()) == [b"valkeykit:migrate:mine", b"valkeykit:migrate:{x}y"]


def test_patterns_match_as_at_the_server(ours: Any, old: ServerProcess) -> None:  # noqa: ARG001  (empties it)
    dice = random.Random(1)
    alphabet = b"ab-c]^[*?\\"
    words = [bytes(dice.choices(alphabet, k=dice.randrange(5))) for _ in range(300)]
    ours.mset(dict.fromkeys(words, 1))
    for _ in range(500):
        pattern = bytes(dice.choices(alphabet, k=dice.randrange(1, 6)))
        assert set(ours.keys(pattern)) == {word for word in words if glob.matches(pattern, word)}, pattern
