"""Workers and producers of this version and of the next one use the same queue, as in a rolling deployment."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from valkeykit import Queue

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.faults.harness import NEXT, ROUNDS, Load, Workers, all_done, check_runs, start
from tests.faults.runs import RunLog
from tests.faults.totals import totals


@pytest.mark.parametrize("attempts", [1, 100])
def test_two_versions_that_are_restarted_at_random(
    server: ServerProcess, runs: RunLog, tmp_path: Path, attempts: int
) -> None:
    """With one attempt workers are stopped, with a hundred they may be killed as well."""
    file = tmp_path / "added"
    lease = "10" if attempts == 1 else "1"
    ways = [lambda queue, name=name: queue.add(name, attempts=attempts) for name in ("work", "fresh")]
    with (
        Queue("faults", server.url) as queue,
        Workers(2, runs, WORKER_URL=server.url, LEASE=lease) as current,
        Workers(2, runs, program=NEXT, WORKER_URL=server.url, LEASE=lease) as following,
    ):
        queue.schedule("work", name="current", every=0.2, attempts=attempts)
        arguments = ("-m", "tests.faults.next_version", "produce", str(file))
        producer = start(*arguments, WORKER_URL=server.url, ATTEMPTS=str(attempts))
        try:
            with Load(server.url, *ways, pause=0.02) as load:
                for _ in range(ROUNDS):
                    totals.rounds += 1
                    time.sleep(random.uniform(0.2, 0.5))
                    workers = random.choice([current, following])
                    random.choice([workers.restart_one, workers.kill_one] if attempts > 1 else [workers.restart_one])()
                _await_both_schedules(runs)
            producer.terminate()
            assert producer.wait(60) == 0
        finally:
            producer.kill()
            producer.wait()
        assert {schedule.name for schedule in queue.schedules()} == {"current", "next"}
        for name in ("current", "next"):
            assert queue.unschedule(name)
        acknowledged = load.acknowledged | set(file.read_text().split())
        assert len(file.read_text().split()) > 2
        assert check_runs(queue, acknowledged, runs) == set()
        # An attempt was counted only where a lease ended.
        log, lost = runs.read(), queue.statistics().lost
        last = Counter[str]()
        for run in log:
            last[run.job] = max(last[run.job], run.attempt)
        assert sum(attempt - 1 for attempt in last.values()) <= lost
        if attempts == 1 and not lost:
            assert len(log) == len(last)
        for workers in (current, following):
            assert workers.all_alive()
            workers.check_none_stuck(queue)
        all_done(queue)


def _await_both_schedules(runs: RunLog) -> None:
    """Wait until a job of each schedule has run."""
    wait_until(
        lambda: len({run.job.split("@")[0] for run in runs.read() if "@" in run.job}) == 2,
        problem="a schedule adds no jobs",
    )
