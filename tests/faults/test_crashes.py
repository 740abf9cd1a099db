"""A handler that ends its own worker, among jobs that do no harm."""

from __future__ import annotations

import time

from valkeykit import Queue

from harness.servers import ServerProcess
from tests.faults.harness import WAIT_SECONDS, Workers, check_runs
from tests.faults.runs import RunLog
from tests.faults.totals import totals

INNOCENT = 200
SUSPECTS = 12


def test_a_job_that_ends_its_worker_harms_no_other_job(server: ServerProcess, runs: RunLog) -> None:
    with Queue("faults", server.url) as queue, Workers(2, runs, WORKER_URL=server.url) as workers:
        innocent = queue.add_many("work", [{"seconds": 0.02}] * (INNOCENT // 2))
        culprit = queue.add("crash").id
        innocent += queue.add_many("work", [{"seconds": 0.02}] * (INNOCENT // 2))
        crashes, urgent, end = 0, list[str](), time.monotonic() + WAIT_SECONDS
        while not queue.statistics().dead:
            assert time.monotonic() < end, queue.statistics()
            ended = workers.replace_ended()
            crashes += ended
            if ended:
                urgent.append(queue.add("work", priority=9).id)
            time.sleep(0.05)
        crashes += workers.replace_ended()
        totals.rounds += crashes
        assert check_runs(queue, [*innocent, culprit, *urgent], runs) == {culprit}
        assert sum(run.job == culprit for run in runs.read()) == crashes <= 5
        assert queue.statistics().completed == INNOCENT + len(urgent)
        workers.check_none_stuck(queue)


def test_a_job_of_high_priority_does_not_wait_for_suspects(server: ServerProcess, runs: RunLog) -> None:
    with Queue("faults", server.url) as queue:
        suspects = queue.add_many("work", [{"seconds": 0.05}] * SUSPECTS)
        for _ in range(2):  # a worker that is gone before its leases end
            taken = queue.send(queue.protocol.take("gone", SUSPECTS, 1))
            assert len(taken.jobs) == SUSPECTS
            time.sleep(0.1)
        urgent = queue.add("work", priority=9).id
        with Workers(1, runs, WORKER_URL=server.url) as workers:
            assert check_runs(queue, [*suspects, urgent], runs) == set()
            order = [run.job for run in runs.read()]
            assert [job for job in order if job in suspects] == sorted(suspects, key=order.index)
            assert order.index(urgent) < sorted(order.index(job) for job in suspects)[2]
            workers.check_none_stuck(queue)
