"""The slot of a queue moves repeatedly between the nodes of a cluster while the queue is in use."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator

import pytest
from redis.crc import key_slot
from valkeykit import Queue

from harness import servers
from harness.ports import HOST
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.faults.harness import ROUNDS, AsyncLoad, Load, Workers, check_runs
from tests.faults.runs import RunLog
from tests.faults.totals import totals
from tests.support import resharding

MOVES = max(2, ROUNDS // 5)
SLOT = key_slot(b"faults")

WAYS = (
    lambda queue: queue.add("note", {"n": 1}, attempts=100, result_ttl=2),
    lambda queue: queue.add("work", attempts=100, priority=random.randrange(10)),
    lambda queue: queue.add("work", attempts=100, id=secrets.token_hex(8)),
    lambda queue: queue.add("work", attempts=100, delay=0.05),
    lambda queue: queue.add_many("work", [{}] * 10, attempts=100),
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    with servers.cluster(tmp_path_factory.mktemp("cluster"), primaries=3) as nodes:
        yield nodes


def move_slowly(nodes: list[ServerProcess], slot: int, target: ServerProcess) -> None:
    """Up to two seconds, which is more than a lease and more than redis-py tries again for."""
    resharding.move_by_keys(nodes, slot, target, pause=random.choice([0.01, 0.05, 0.2]))


@pytest.mark.parametrize("move", [move_slowly, resharding.move_atomically])
def test_a_slot_that_moves_under_load_loses_no_job(
    nodes: list[ServerProcess], move: Callable[..., object], runs: RunLog
) -> None:
    url = f"valkey+cluster://{HOST}:{nodes[0].port}"
    with Queue("faults", url, retry_for=60) as queue:
        before = queue.statistics().completed
        with Workers(2, runs, WORKER_URL=url) as workers:
            with Load(url, *WAYS, pause=0.01) as load, AsyncLoad(url, *WAYS, pause=0.01) as async_load:
                _await_runs(runs, 20)
                for _ in range(MOVES):
                    totals.rounds += 1
                    target = random.choice([node for node in nodes if node is not resharding.owner(nodes, SLOT)])
                    move(nodes, SLOT, target)
                    _await_runs(runs, len(runs.read()) + 20)
            acknowledged = load.acknowledged | async_load.acknowledged
            assert load.refused + async_load.refused == []
            assert check_runs(queue, acknowledged, runs) == set()
            assert queue.statistics().completed - before == len(acknowledged)
            assert workers.all_alive()
            workers.check_none_stuck(queue)


def _await_runs(runs: RunLog, number: int) -> None:
    """Wait until work continues."""
    wait_until(lambda: len(runs.read()) >= number, problem="no job runs")
