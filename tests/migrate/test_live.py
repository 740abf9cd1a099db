"""Copies under writes: killed at random, continued, cut over, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError
from valkeykit_ops.migrate.comparer import Comparer
from valkeykit_ops.migrate.cut_over_step import CutOver

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.migrate import data, harness, independent
from tests.migrate.writers import Writers

KEYS = 1500

EXPIRED_AFTER_SECONDS = 1.6
"""Seconds after which the keys have ended that the writers let end soon."""

QUICKLY = ("--quiet", "0.5", "--json")


@pytest.mark.parametrize(
    ("source", "target", "notify", "seed"),
    [
        ("redis-7.0", "valkey-9.1", "AKE", 1),
        ("redis-7.0", "valkey-9.1", "", 2),
        ("redis-7.4", "valkey-9.1", "AKE", 3),
        ("redis-8.2", "valkey-8.1", "", 4),
        ("redis-6.2", "valkey-8.1", "AKE", 5),
        ("valkey-9.1", "valkey-9.1", "AKE", 6),
    ],
)
def test_nothing_is_lost_whenever_it_is_killed(
    source: str, target: str, notify: str, seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    with (
        harness.started(tmp_path / "old", source, "--notify-keyspace-events", notify) as old,
        harness.started(tmp_path / "new", target) as new,
        contextlib.closing(data.raw(old.port)) as ours,
    ):
        data.fill(ours, dice, KEYS)
        knows = source in {"redis-7.4", "valkey-9.1"}
        with Writers(lambda: data.raw(old.port), seed, keys=KEYS, fields=knows) as writers:
            for _ in range(3):
                _killed(old.url, new.url, tmp_path, after=dice.uniform(0.5, 2.0))
            running = _start(tmp_path, old.url, new.url, *QUICKLY)
            time.sleep(1)
            writers.stop()
            out, said = running.communicate(timeout=60)
        assert running.returncode == 0, said + out[-2000:]
        assert writers.writes > 300
        report = json.loads(out.splitlines()[-1])
        assert report["complete"]
        assert report["cut_over"]
        assert report["downtime_seconds"] < 30
        plain = source == "redis-6.2"
        assert independent.differences([old.port], [new.port], plain=plain) == []


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*harness.COMMAND, "cut-over", *arguments, "--state", folder / "state", "--rate", "1500", "--batch", "100"],
        env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _killed(source: str, target: str, folder: Path, after: float) -> None:
    running = _start(folder, source, target, *QUICKLY)
    time.sleep(after)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL


def test_a_killed_copy_resumes(tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "old", "redis-7.0") as old,
        harness.started(tmp_path / "new", "valkey-9.1") as new,
        contextlib.closing(data.raw(old.port)) as ours,
        contextlib.closing(data.raw(new.port)) as theirs,
    ):
        ours.mset({f"key:{number}": "v" * 50 for number in range(9000)})
        running = subprocess.Popen(
            [
                *harness.COMMAND,
                "run",
                old.url,
                new.url,
                "--state",
                str(tmp_path / "state"),
                "--rate",
                "2000",
                "--batch",
                "100",
            ],
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: theirs.dbsize() > 2000, problem="nothing is copied")
        running.kill()
        running.wait()
        before = theirs.dbsize()
        assert 2000 < before < 8000
        report = harness.migrate(old.url, new.url, tmp_path / "state")
        assert report.complete
        assert report.counts["copied"] < 9000 - before + 2500  # what half a second brings isn't remembered
        assert theirs.dbsize() == 9000


def test_writes_are_held_back_for_the_cut_over(tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "old", "redis-7.0") as old,
        harness.started(tmp_path / "new", "valkey-9.1") as new,
        contextlib.closing(data.raw(old.port)) as ours,
    ):
        data.fill(ours, random.Random(1), 500)
        with Writers(lambda: data.raw(old.port), 1, keys=500):
            report = harness.migrate(old.url, new.url, tmp_path / "state", CutOver(pause=120.0))
            assert report.complete
            assert report.downtime is not None
            assert report.downtime < 120
            time.sleep(EXPIRED_AFTER_SECONDS)
            assert independent.differences([old.port], [new.port]) == []
            ours.execute_command("CLIENT UNPAUSE")


def test_a_constantly_changing_key_is_not_reported_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = Comparer.handle
    with (
        harness.started(tmp_path / "old", "redis-7.0") as old,
        harness.started(tmp_path / "new", "valkey-9.1") as new,
        contextlib.closing(data.raw(old.port)) as ours,
    ):
        ours.set("counter", 0)

        def changed_then_compared(self: Comparer, keys: Sequence[bytes]) -> None:
            ours.incr("counter")  # a thread alone may be starved for as long as a look takes
            compare(self, keys)

        monkeypatch.setattr(Comparer, "handle", changed_then_compared)
        stop = threading.Event()
        thread = threading.Thread(target=lambda: [ours.incr("counter") for _ in iter(stop.is_set, True)])
        thread.start()
        report = harness.migrate(old.url, new.url, tmp_path / "state")
        stop.set()
        thread.join()
        assert report.verification is not None
        assert not report.complete
        assert (report.verification.unstable, report.verification.missing, report.verification.different) == (1, 0, 0)


def test_a_reverse_migration(tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "old", "redis-7.0") as old,
        harness.started(tmp_path / "new", "valkey-9.1", "--notify-keyspace-events", "AKE") as new,
        contextlib.closing(data.raw(old.port)) as ours,
        contextlib.closing(data.raw(new.port)) as theirs,
    ):
        data.fill(ours, random.Random(1), 500)
        assert harness.migrate(old.url, new.url, tmp_path / "there", CutOver(quiet=0.1)).complete
        with Writers(lambda: data.raw(new.port), 2, keys=500):
            time.sleep(1)
        theirs.delete(*theirs.keys("1*"))
        back = harness.command(
            "reverse", old.url, new.url, "--yes", "--state", tmp_path / "there", "--follow", 3, cwd=tmp_path
        )
        assert back.returncode == 0, back.stderr + back.stdout
        assert independent.differences([old.port], [new.port]) == []


def test_a_reverse_migration_follows(tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "old", "redis-7.0") as old,
        harness.started(tmp_path / "new", "valkey-9.1") as new,
        contextlib.closing(data.raw(old.port)) as ours,
        contextlib.closing(data.raw(new.port)) as theirs,
    ):
        harness.switched(old.url, new.url, tmp_path / "valkeykit-migration")
        data.fill(theirs, random.Random(1), 300)
        running = subprocess.Popen(
            [*harness.COMMAND, "reverse", old.url, new.url, "--yes", "--follow", "4", "--notifications"],
            env=harness.environment(), cwd=tmp_path, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: ours.dbsize() == 300, problem="nothing is copied")
        theirs.set("written:later", "yes")
        assert running.wait(60) == 0
        assert ours.get("written:later") == b"yes"
        assert theirs.config_get("notify-keyspace-events") == {"notify-keyspace-events": ""}


def test_a_pause_that_is_too_short(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients wait for as long as configured, and no longer."""
    ours.mset({f"key:{number}": number for number in range(100)})

    def slow(self: Comparer, keys: Sequence[bytes]) -> None:
        time.sleep(2)
        compare(self, keys)

    compare = Comparer.handle
    monkeypatch.setattr(Comparer, "handle", slow)
    with pytest.raises(ConfigurationError, match="longer than the pause of 1 s"):
        harness.migrate(old.url, new.url, state, CutOver(pause=1.0))
    ours.set("key:1", "not paused any more")
    monkeypatch.undo()
    assert harness.migrate(old.url, new.url, state, CutOver(quiet=0.1)).complete


def test_consumers_that_find_nothing_are_no_writers(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path
) -> None:
    ours.rpush("list", 3, 1, 2)
    stop = threading.Event()

    def poll() -> None:
        with data.raw(old.port) as client:
            while not stop.wait(0.05):
                client.lpop("empty")
                client.sort("list")

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        assert harness.migrate(old.url, new.url, state, CutOver(quiet=2.0, timeout=300.0)).cut_over
    finally:
        stop.set()
        thread.join()


def test_what_keeps_a_cut_over_waiting_is_named(old: ServerProcess, new: ServerProcess, state: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with data.raw(old.port) as client:
            while not stop.wait(0.05):
                client.set("a", 1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with pytest.raises(ConfigurationError, match=r"clients still write to the source after 1 s: SET \d"):
            harness.migrate(old.url, new.url, state, CutOver(quiet=2.0, timeout=1.0))
    finally:
        stop.set()
        thread.join()
