"""The server runs a call, and its reply is lost. The sender sends the call again."""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import ExitStack, closing
from typing import Any

from valkeykit import Queue
from valkeykit.queue.responses import Added

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.faults.harness import ROUNDS, Load, Workers, check_runs
from tests.faults.runs import RunLog
from tests.faults.totals import totals
from tests.support.proxy import LossyProxy

SHARES = {
    "add": 0.2, "add_unique": 0.2, "take": 0.2, "start": 0.2, "finish": 0.2, "fail": 0.2, "release": 0.2, "renew": 0.5
}  # fmt: skip
LEASE = 10
"""Seconds: none ends here, unless the machine is very slow."""


def test_calls_whose_replies_are_lost_take_effect_once(server: ServerProcess, runs: RunLog) -> None:
    wrong: list[tuple[Added, Added]] = []

    def add_twice(queue: Queue) -> Added:
        key = secrets.token_hex(8)
        by: dict[str, Any] = {"key": key, "key_ttl": 600} if secrets.randbelow(2) else {"id": key, "result_ttl": 600}
        first, second = (queue.add("work", attempts=1, **by) for _ in range(2))
        if not first.new or second.new or first.id != second.id:
            wrong.append((first, second))
        return first

    failing: set[str] = set()

    def add_failing(queue: Queue) -> Added:
        job = queue.add("fail_first", {"attempts": 1}, attempts=2, backoff=0.05)
        failing.add(job.id)
        return job

    ways = (
        lambda queue: queue.add("work", attempts=1),
        lambda queue: queue.add("fresh", attempts=1),  # one of the workers gives it back
        lambda queue: queue.add_many("work", [{"seconds": 0}] * 5, attempts=1),
        add_twice,
        add_failing,
    )
    with ExitStack() as stack:
        proxy = stack.enter_context(closing(LossyProxy(server, SHARES)))
        queue = stack.enter_context(Queue("faults", server.url))
        knowing = stack.enter_context(Workers(1, runs, WORKER_URL=proxy.url, LEASE=str(LEASE), FRESH="1"))
        other = stack.enter_context(Workers(1, runs, WORKER_URL=proxy.url, LEASE=str(LEASE)))
        with Load(proxy.url, *ways, pause=0.02) as load:
            _await_losses(proxy, ROUNDS)
        totals.rounds += ROUNDS
        dead = check_runs(queue, load.acknowledged, runs)
        counts = queue.statistics()
        assert (wrong, load.refused) == ([], [])
        assert counts.completed + len(dead) == len(load.acknowledged)
        if not counts.lost:
            assert dead == set()
            times = Counter(run.job for run in runs.read())
            assert {job for job, number in times.items() if number != 1 + (job in failing)} == set()
        for workers in (knowing, other):
            assert workers.all_alive()
            workers.check_none_stuck(queue)


def _await_losses(proxy: LossyProxy, number: int) -> None:
    """Wait until this many answers of each script were lost."""
    wait_until(
        lambda: all(proxy.dropped[name] >= number for name in SHARES), 120 + 10 * number, lambda: str(proxy.dropped)
    )
