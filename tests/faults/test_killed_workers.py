"""Workers that are killed while they hold jobs of one or two attempts, most of which have not begun."""

from __future__ import annotations

import random
import time
from contextlib import closing

from valkeykit import Queue

from harness.servers import ServerProcess
from tests.faults.harness import ROUNDS, Load, Workers, check_runs
from tests.faults.runs import RunLog
from tests.faults.totals import totals

WAYS = (
    lambda queue: queue.add_many("work", [{"seconds": 0.002}] * 50, attempts=1),
    lambda queue: queue.add_many("work", [{"seconds": 0.002}] * 50, attempts=2),
    lambda queue: queue.add("work", {"seconds": 0.05}, attempts=1),
)


def test_a_job_that_had_not_begun_runs_later(server: ServerProcess, runs: RunLog) -> None:
    begun: set[str] = set()
    with Queue("faults", server.url) as queue, Workers(3, runs, WORKER_URL=server.url) as workers:
        with Load(server.url, *WAYS, pause=0.02) as load:
            for _ in range(ROUNDS):
                totals.rounds += 1
                workers.await_runs_of_all()
                time.sleep(random.uniform(0, 0.3))
                # The server must note the start of a last attempt before it runs: a kill in between ends the job.
                workers.kill_one(before=lambda: begun.update(_begun(server, queue)))
        dead = check_runs(queue, load.acknowledged, runs, killed_at_start=begun)
        counts = queue.statistics()
        assert load.refused == []
        assert counts.completed + len(dead) == len(load.acknowledged)
        assert counts.lost > 0
        workers.check_none_stuck(queue)


def _begun(server: ServerProcess, queue: Queue) -> set[str]:
    """Ids of jobs whose last attempt has begun, by the server's records."""
    with closing(server.client()) as client:
        return {str(job) for job in client.hkeys(f"{queue.protocol.prefix}:started")}
