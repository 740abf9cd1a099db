"""Filters, conflicts, limits, databases, functions: each as it is documented."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeykit.errors import ConfigurationError
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.latency_monitor import LatencyMonitor
from valkeykit_ops.migrate.options import Options, Scope

from harness.servers import ServerProcess
from tests.migrate import data, harness

CODE = "#!lua name=shop\nredis.register_function('total', function(keys) return 17 end)\n"


def some(client: Any) -> None:
    client.mset({"shop:a": 1, "shop:b": 2, "mail:a": 3})
    client.rpush("shop:list", 1, 2)


def test_a_pattern(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    some(ours)
    theirs.set("other", 1)  # out of scope: neither a conflict nor removed
    assert harness.migrate(old.url, new.url, state, scope=Scope(match="shop:*")).complete
    assert sorted(theirs.keys()) == [b"other", b"shop:a", b"shop:b", b"shop:list"]


def test_types(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    some(ours)
    assert harness.migrate(old.url, new.url, state, scope=Scope(types=frozenset({"list"}))).complete
    assert theirs.keys() == [b"shop:list"]


def test_a_renamed_prefix(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    ours.mset({"a*b:1": 1, "a*b:2": 2, "aXb:3": 3})
    assert harness.migrate(old.url, new.url, state, scope=Scope(rename=("a*b:", "[c]:"))).complete
    assert sorted(theirs.keys()) == [b"[c]:1", b"[c]:2"]
    ours.delete("a*b:1")
    assert harness.migrate(old.url, new.url, state, scope=Scope(rename=("a*b:", "[c]:"))).complete
    assert theirs.keys() == [b"[c]:2"]


def test_databases(old: ServerProcess, new: ServerProcess, state: Path, tmp_path: Path) -> None:
    for number in (0, 3, 5):
        with redis.Redis(port=old.port, db=number) as client:
            client.set(f"in:{number}", number)
    assert harness.migrate(old.url, new.url, state, scope=Scope(databases=frozenset({3}))).complete
    assert _held(new) == {3: [b"in:3"]}
    assert harness.migrate(old.url, new.url, tmp_path / "all", conflict="replace").complete
    assert _held(new) == {0: [b"in:0"], 3: [b"in:3"], 5: [b"in:5"]}


def _held(server: ServerProcess) -> dict[int, list[Any]]:
    found = {}
    for number in range(16):
        with redis.Redis(port=server.port, db=number) as client:
            if keys := client.keys():
                found[number] = keys
    return found


def test_conflicts(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, tmp_path: Path) -> None:
    some(ours)
    theirs.set("shop:a", "theirs")
    theirs.set("extra", "theirs")
    refused = harness.migrate(old.url, new.url, tmp_path / "fail")
    assert not refused.plan.is_go
    assert theirs.dbsize() == 2
    kept = harness.migrate(old.url, new.url, tmp_path / "skip", conflict="skip")
    assert kept.complete
    assert kept.verification is not None
    assert kept.verification.kept == 1
    assert theirs.get("shop:a") == b"theirs"
    assert theirs.get("shop:b") == b"2"
    assert harness.migrate(old.url, new.url, tmp_path / "replace", conflict="replace").complete
    assert theirs.get("shop:a") == b"1"
    assert theirs.get("extra") == b"theirs"


def test_a_large_key_that_the_target_has_is_kept(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    ours.rpush("list", *range(50))
    theirs.rpush("list", "theirs")
    assert harness.migrate(old.url, new.url, state, conflict="skip", chunk_above=1).complete
    assert theirs.lrange("list", 0, -1) == [b"theirs"]


def test_functions(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, tmp_path: Path) -> None:
    ours.function_load(CODE)
    ours.set("a", 1)
    assert harness.migrate(old.url, new.url, state).complete
    assert theirs.fcall("total", 1, "a") == 17
    theirs.function_load(CODE.replace("17", "18"), replace=True)
    theirs.flushall()
    clash = harness.plan(old.url, new.url, tmp_path / "second")
    assert [check.name for check in clash.checks if check.ok is False] == ["functions"]


def test_a_rate(old: ServerProcess, new: ServerProcess, ours: Any, state: Path) -> None:
    ours.mset({f"key:{number}": number for number in range(2000)})
    began = time.monotonic()
    report = harness.migrate(old.url, new.url, state, rate=2000)
    assert report.complete
    assert time.monotonic() - began > 1.5  # a copy and a verification at least


def test_a_slow_source_is_spared(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.mset({f"key:{number}": "x" * 500 for number in range(10_000)})
    harness.migrate(old.url, new.url, state)
    usual = _scans(ours)
    theirs.flushall()
    monkeypatch.setattr("valkeykit_ops.migrate.migration_run.LatencyMonitor", EarlyLatencyMonitor)
    assert harness.migrate(
        old.url, new.url, state.with_name("other"), max_latency=0.001
    ).complete  # no PING is that fast
    assert _scans(ours) - usual > 2 * usual  # many small batches


class EarlyLatencyMonitor(LatencyMonitor):
    """Measures several times before the copy begins, which may be over before the first regular measurement."""

    def __init__(self, server: Any, on_sample: Callable[[float], None]) -> None:
        self._measured = threading.Semaphore(0)

        def measure(milliseconds: float) -> None:
            on_sample(milliseconds)
            self._measured.release()

        super().__init__(server, measure)

    def __enter__(self) -> EarlyLatencyMonitor:
        super().__enter__()
        for _ in range(8):
            assert self._measured.acquire(timeout=60)
        return self


def _scans(client: Any) -> int:
    return int(client.info("commandstats")["cmdstat_scan"]["calls"])


def test_a_sample(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkeykit_ops.migrate.reconcile.SAMPLE_KEYS", 500)
    ours.mset({f"key:{number}": number for number in range(5000)})
    report = harness.migrate(old.url, new.url, state, verify="sample", batch=100)
    assert report.sampled
    assert not report.complete, "a sample does not show that every key is there"
    assert report.verification is not None
    assert 500 <= report.verification.compared < 1000
    assert report.verification.bound == 3 / 500
    assert "at most 0.60% of all keys do, with 95 % confidence" in (state / "report.md").read_text()


def test_a_sample_that_differs_is_widened(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkeykit_ops.migrate.reconcile.SAMPLE_KEYS", 100)
    keys = [f"key:{number}" for number in range(3000)]
    ours.mset(dict.fromkeys(keys, 1))
    assert harness.migrate(old.url, new.url, state).complete
    theirs.mset(dict.fromkeys(keys[::2], 2))
    report = harness.migrate(old.url, new.url, state, verify="sample", batch=100, accept_target_writes=True)
    assert report.complete
    assert report.verification is not None
    assert (report.verification.full, report.verification.repaired) == (True, 1500)
    theirs.delete(*keys[:2])
    report = harness.migrate(old.url, new.url, state, verify="sample", batch=100, accept_target_writes=True)
    assert report.complete, "the numbers of keys differ"
    assert theirs.dbsize() == 3000


def test_exit_codes_of_samples(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, tmp_path: Path) -> None:
    ours.mset({"a": 1, "b": 2})
    assert harness.command("run", old.url, new.url, "--sample", cwd=tmp_path).returncode == 6
    assert harness.command("verify", old.url, new.url, "--sample", cwd=tmp_path).returncode == 6
    assert harness.command("verify", old.url, new.url, cwd=tmp_path).returncode == 0
    theirs.set("a", 2)
    assert harness.command("verify", old.url, new.url, "--sample", cwd=tmp_path).returncode == 4
    assert theirs.get("a") == b"2"


def test_an_evicting_target(old: ServerProcess, ours: Any, state: Path, tmp_path: Path) -> None:
    ours.mset({f"key:{number}": number for number in range(500)})
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    with harness.started(tmp_path / "new", "valkey-9.1", *options) as small, data.raw(small.port) as client:
        refused = harness.migrate(old.url, small.url, state)
        assert [check.name for check in refused.plan.checks if check.ok is False] == ["eviction"]
        assert client.dbsize() == 0
        assert harness.migrate(old.url, small.url, state, allow_eviction=True).complete
        used = client.info("memory")["used_memory"]
        ours.mset({f"new:{number}": "x" * 2000 for number in range(3000)})
        client.config_set("maxmemory", used + (1 << 20))
        report = harness.migrate(old.url, small.url, state, allow_eviction=True)
        assert not report.complete
        assert report.verification is not None
        assert report.verification.evicted > 0
        assert "the target evicted" in (state / "report.md").read_text()


def test_what_was_deleted_meanwhile_is_deleted(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    some(ours)
    harness.migrate(old.url, new.url, state)
    ours.delete("shop:a")
    ours.flushdb()
    ours.set("mail:a", 4)
    report = harness.migrate(old.url, new.url, state, trust_source=True)
    assert report.complete
    assert theirs.keys() == [b"mail:a"]


def test_events(old: ServerProcess, new: ServerProcess, ours: Any, tmp_path: Path) -> None:
    some(ours)
    done = harness.command("run", old.url, new.url, "--json", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert done.stderr == ""
    assert [event["name"] for event in events if event["event"] == "stage"][:2] == ["preflight", "copy"]
    assert events[-1]["event"] == "report"
    assert events[-1]["counts"]["copied"] == 4
    assert any(event["event"] == "progress" for event in events)


def test_the_report_is_a_page_too(old: ServerProcess, new: ServerProcess, ours: Any, state: Path) -> None:
    some(ours)
    harness.migrate(old.url, new.url, state)
    page = (state / "report.md").read_text()
    assert "**Complete: every key was equal on both servers.**" in page
    assert "Every key was compared on both servers." in page
    assert f"| from | redis 7.0.15 at 127.0.0.1:{old.port} |" in page
    assert json.loads((state / "report.json").read_text())["complete"] is True
    assert all(path.stat().st_mode & 0o77 == 0 for path in [state, *state.iterdir()])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scope(types=frozenset({"graph"})),
        lambda: Scope(match="a*", rename=("a", "b")),
        lambda: Options(conflict="merge"),
        lambda: Options(verify="none"),
        lambda: Options(rate=0),
        lambda: Options(batch=0),
    ],
)
def test_options_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_more_differences_than_are_remembered(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkeykit_ops.migrate.reconcile.MAX_TRACKED_DIFFERENCES", 10)
    ours.mset({f"key:{number}": number for number in range(60)})
    assert harness.migrate(old.url, new.url, state).complete
    theirs.flushall()
    assert harness.migrate(old.url, new.url, state).complete
    assert theirs.dbsize() == 60
    ours.flushall()
    assert harness.migrate(old.url, new.url, state, trust_source=True).complete
    assert theirs.dbsize() == 0


def test_a_sampled_cut_over_still_brings_everything(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkeykit_ops.migrate.reconcile.SAMPLE_KEYS", 10)
    ours.mset({f"key:{number}": number for number in range(3000)})
    assert harness.migrate(old.url, new.url, state, verify="sample", batch=10).sampled
    ours.mset({f"key:{number}": "new" for number in range(3000)})
    assert harness.migrate(old.url, new.url, state, CutOver(quiet=0.5), verify="sample", batch=10).complete
    assert set(theirs.mget([f"key:{number}" for number in range(3000)])) == {b"new"}


def test_a_library_that_the_target_refuses(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.function_load(CODE)
    monkeypatch.setattr("valkeykit_ops.migrate.functions.load", lambda *_, **__: "ERR no")
    for _ in range(2):
        report = harness.migrate(old.url, new.url, state)
        assert not report.complete
        assert report.libraries == {"shop": "ERR no"}


def test_a_reader_that_closes_the_output(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, tmp_path: Path
) -> None:
    ours.mset({f"key:{number}": number for number in range(100)})
    running = subprocess.Popen(
        [*harness.COMMAND, "run", old.url, new.url, "--json"], cwd=tmp_path, env=harness.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stderr is not None
    with running.stderr:
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(120) == 0
        assert running.stderr.read() == ""
    assert theirs.dbsize() == 100


def test_a_hangup_ends_a_run_tidily(old: ServerProcess, new: ServerProcess, ours: Any, tmp_path: Path) -> None:
    ours.mset({f"key:{number}": number for number in range(3000)})
    running = subprocess.Popen(
        [*harness.COMMAND, "run", old.url, new.url, "--follow", "600"], cwd=tmp_path, env=harness.environment(),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    while "following" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGHUP)
    assert "interrupted -> run the same command again to resume" in running.communicate(timeout=120)[1]
    assert running.returncode == 1
