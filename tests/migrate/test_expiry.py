"""Expiry times of keys and fields: capability is decided for each key, and what has expired makes no difference."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeykit_ops.migrate import access_checks
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.options import Options

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness


@pytest.fixture(scope="module")
def with_fields(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A Redis 7.4, which supports TTLs of fields."""
    with harness.started(tmp_path_factory.mktemp("fields"), "redis-7.4", "--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
def fields(with_fields: ServerProcess) -> Iterator[Any]:
    with contextlib.closing(data.raw(with_fields.port)) as client:
        client.flushall()
        yield client


@pytest.mark.parametrize("size", [3, 400])
def test_field_ttls_after_the_preflight_are_not_lost_in_silence(
    size: int, with_fields: ServerProcess, fields: Any, state: Path, tmp_path: Path
) -> None:
    with harness.started(tmp_path / "new", "valkey-8.1") as target, data.raw(target.port) as theirs:
        fields.hset("h", mapping={f"f{number}": "v" * 10 for number in range(size)})
        assert harness.migrate(with_fields.url, target.url, state, chunk_above=2000).complete
        fields.execute_command("HEXPIRE", "h", 1000, "FIELDS", 1, "f0")
        fields.hset("h", "f1", "changed")
        continued = CutOver(quiet=0.1)
        report = harness.migrate(with_fields.url, target.url, state, continued, accept_loss=True, chunk_above=2000)
        assert report.complete
        assert report.unmovable == 1
        assert "except 1 that the target does not support" in report.verdict
        assert '"h"' in (state / "unmovable.jsonl").read_text()
        assert theirs.hget("h", "f1") == b"changed"


def test_verification_finds_lost_field_ttls(
    with_fields: ServerProcess, fields: Any, state: Path, tmp_path: Path
) -> None:
    with harness.started(tmp_path / "new", "valkey-8.1") as target:
        fields.hset("h", mapping={"f0": 1, "f1": 1})
        assert harness.migrate(with_fields.url, target.url, state).complete
        fields.execute_command("HEXPIRE", "h", 1000, "FIELDS", 1, "f0")
        with harness.prepared(with_fields.url, target.url, state, Options()) as migration:
            report = migration.verify()
        assert not report.complete
        assert report.unmovable == 1


@pytest.mark.parametrize("chunk_above", [1, 1 << 20])
def test_fields_that_expired_at_one_server_make_no_difference(
    chunk_above: int, with_fields: ServerProcess, fields: Any, new: ServerProcess, theirs: Any, state: Path
) -> None:
    fields.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)  # expired fields stay until they are asked for
    try:
        for number in range(20):
            fields.hset(f"h{number}", mapping={"stays": 1, "goes": 2})
            fields.execute_command("HPEXPIRE", f"h{number}", 3000, "FIELDS", 1, "goes")
        assert harness.migrate(with_fields.url, new.url, state, chunk_above=chunk_above).complete
        wait_until(lambda: theirs.hlen("h1") == 1, problem="fields do not expire at the target")
        time.sleep(3)
        assert fields.hlen("h1") == 2, "expired, but still counted"
        report = harness.migrate(with_fields.url, new.url, state, CutOver(quiet=0.1), chunk_above=chunk_above)
        assert report.complete, report.record()
        theirs.hset("h1", "other", 3)  # as many fields as HLEN counts at the source
        report = harness.migrate(with_fields.url, new.url, state.with_name("other"), conflict="replace")
        assert theirs.hkeys("h1") == [b"stays"]
    finally:
        fields.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)


def test_expiry_times_of_a_busy_server_without_absolute_ones(new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-6.2") as source, data.raw(source.port) as ours:
        ends = int(time.time() * 1000) + data.DAY
        block = ours.pipeline()
        for number in range(300):
            block.set(number, "v").pexpireat(number, ends)
        block.execute()
        stop = threading.Event()

        def keep_busy() -> None:
            with data.raw(source.port) as client:
                while not stop.wait(0.005):
                    client.execute_command("DEBUG", "SLEEP", 0.02)

        thread = threading.Thread(target=keep_busy)
        thread.start()
        try:
            report = harness.migrate(source.url, new.url, tmp_path / "state")
        finally:
            stop.set()
            thread.join()
        assert report.complete, report.record()
        there = {theirs.execute_command("PEXPIRETIME", number) for number in range(300)}
        assert max(abs(end - ends) for end in there) <= 3


@pytest.mark.parametrize(("ahead", "ok"), [(0.2, True), (5, None), (-5, None), (600, False), (-600, False)])
def test_clocks_that_disagree(
    ahead: float, ok: bool | None, old: ServerProcess, new: ServerProcess, ours: Any, state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ours.set("a", 1, ex=1000)
    offset = access_checks._offset
    monkeypatch.setattr(
        access_checks, "_offset", lambda server: offset(server) + (ahead if server.engine == "valkey" else 0)
    )
    plan = harness.plan(old.url, new.url, state)
    check = next(check for check in plan.checks if check.name == "clocks")
    assert check.ok is ok
    assert ok or ("ahead" if ahead > 0 else "behind") in check.text
    assert plan.is_go is (ok is not False)
