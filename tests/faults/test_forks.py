"""Queues that are used before, during and after a fork, from many threads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from valkeykit import Queue
from valkeykit.queue.call_ids import MAX_CALLS_PER_PRODUCER, CallIds

from harness.servers import ServerProcess
from tests.faults.harness import ROUNDS, Workers, check_runs, start
from tests.faults.prefork import CHILDREN, THREADS
from tests.faults.runs import RunLog
from tests.faults.totals import totals

ROLLOVERS = 50


PARENTS: tuple[dict[str, str], ...] = ({}, {"USED": "1"}, {"ADDING": "1"}, {"USED": "1", "ADDING": "1"})


@pytest.mark.parametrize("parent", PARENTS, ids=" ".join)
def test_no_add_is_lost_behind_a_server_that_forks(
    server: ServerProcess, runs: RunLog, tmp_path: Path, parent: dict[str, str]
) -> None:
    restarts = 1 + 5 * ROUNDS // len(PARENTS)
    file = tmp_path / "added"
    totals.rounds += restarts
    forking = start("-m", "tests.faults.prefork", str(restarts), str(file), WORKER_URL=server.url, **parent)
    try:
        assert forking.wait(60 + 10 * restarts) == 0
    finally:
        forking.kill()
        forking.wait()
    added = file.read_text().split()
    assert len(added) >= restarts * CHILDREN * THREADS * 2
    assert len(set(added)) == len(added)
    with Queue("faults", server.url) as queue, Workers(2, runs, WORKER_URL=server.url) as workers:
        assert check_runs(queue, added, runs) == set()
        assert queue.statistics().completed == len(added)
        workers.check_none_stuck(queue)


FIRST_CALL = """\
import ssl, sys
from valkeykit import Queue
ssl.SSLContext = None
queue = Queue("faults", sys.argv[1])
before = set(sys.modules)
queue.add("work")
sys.exit(", ".join(set(sys.modules) - before) or None)
"""


def test_the_first_call_imports_nothing_and_leaves_openssl_unused(server: ServerProcess) -> None:
    """Both take locks, and a child that is forked while a thread of its parent holds one waits for it forever."""
    assert start("-c", FIRST_CALL, server.url).wait(60) == 0


def test_no_two_threads_get_the_same_number_when_the_numbers_of_a_producer_end() -> None:
    producer = CallIds()
    for _ in range(ROLLOVERS):
        while producer.next()[1] < MAX_CALLS_PER_PRODUCER - 400:
            pass
        pairs: list[tuple[str, int]] = []
        barrier = threading.Barrier(16)

        def cross(pairs: list[tuple[str, int]] = pairs, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            pairs += [producer.next() for _ in range(50)]

        threads = [threading.Thread(target=cross) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({name for name, _ in pairs}) > 1
        assert len(set(pairs)) == len(pairs) == 800
