"""Kills, stalls and lost primaries under load, on real servers. ROUNDS is the number of faults; 10 by default."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import redis
from valkeykit import Queue, errors

from harness import servers
from harness.ports import HOST
from harness.servers import Sentinels, ServerProcess
from tests.faults.harness import ROUNDS, Producer, Workers, check, duplicates
from tests.faults.runs import RunLog
from tests.faults.totals import totals
from tests.support.proxy import Proxy

RETRY_SECONDS = 60.0
"""Seconds in which work resumes after a primary is lost."""


def test_workers_that_are_killed(
    server: ServerProcess, runs: RunLog, record_property: Callable[[str, object], None]
) -> None:
    workers = Workers(3, runs, WORKER_URL=server.url)
    producer = Producer(server.url)
    producer.start()
    try:
        for _ in range(ROUNDS):
            totals.rounds += 1
            time.sleep(random.uniform(0.3, 0.9))
            workers.kill_one()
        producer.stop()
        with Queue("faults", server.url) as queue:
            check(queue, producer, runs)
            twice, lost = duplicates(runs), queue.statistics().lost
            record_property("duplicates", twice)
            # A job runs twice only where its worker was killed between the run and the acknowledgement.
            assert twice <= lost
            assert queue.statistics().completed == len(producer.acknowledged)
    finally:
        workers.stop()  # first: a check that follows may fail, and no process may stay behind
        producer.stop()


def test_a_server_that_is_killed(server: ServerProcess, runs: RunLog) -> None:
    workers = Workers(2, runs, WORKER_URL=server.url)
    producer = Producer(server.url)
    producer.start()
    try:
        for _ in range(ROUNDS):
            totals.rounds += 1
            time.sleep(random.uniform(0.2, 0.6))
            server.kill()
            time.sleep(random.uniform(0, 0.3))
            server.start()
        producer.stop()
        assert workers.all_alive()
        with Queue("faults", server.url) as queue:
            check(queue, producer, runs)
            # Exactly: an add that was sent again after the crash was known, and no job was counted twice.
            assert queue.statistics().completed == len(producer.acknowledged) + producer.refused
    finally:
        workers.stop()  # first: a check that follows may fail, and no process may stay behind
        producer.stop()


def test_connections_that_stall_are_cut_or_reset(server: ServerProcess, runs: RunLog) -> None:
    proxy = Proxy(server)
    workers = Workers(2, runs, WORKER_URL=proxy.url)
    producer = Producer(proxy.url)
    producer.start()
    try:
        for _ in range(ROUNDS):
            totals.rounds += 1
            time.sleep(random.uniform(0.2, 0.6))
            fault = random.choice(["cut", "reset", "stall"])
            if fault == "stall":
                proxy.stall(random.uniform(0.3, 1.5))
            else:
                getattr(proxy, fault)()
        producer.stop()
        assert workers.all_alive()
        with Queue("faults", server.url) as queue:
            check(queue, producer, runs)
            assert producer.refused == 0
            assert queue.statistics().completed == len(producer.acknowledged)
    finally:
        workers.stop()  # first: a check that follows may fail, and no process may stay behind
        producer.stop()
        proxy.close()


def test_an_enqueue_through_a_stall_never_doubles_a_job(server: ServerProcess) -> None:
    proxy = Proxy(server)
    try:
        with Queue("faults", proxy.url, read_timeout=0.2) as queue, Queue("faults", server.url) as direct:
            queue.add("note", {"n": 0})
            for number in range(1, ROUNDS + 1):
                totals.rounds += 1
                stalled = Producer(proxy.url, pause=10)
                stalled.start()
                proxy.stall(random.uniform(0, 1.2))
                stalled.stop(at_least=0)
                assert direct.statistics().waiting == number + 1
    finally:
        proxy.close()


def test_a_worker_whose_clock_jumps(server: ServerProcess, runs: RunLog) -> None:
    workers = Workers(2, runs, WORKER_URL=server.url, CLOCK_JUMPS="1")
    producer = Producer(server.url)
    producer.start()
    try:
        time.sleep(4)
        producer.stop()
        with Queue("faults", server.url) as queue:
            check(queue, producer, runs)
            assert (duplicates(runs), queue.statistics().lost) == (0, 0)
    finally:
        workers.stop()  # first: a check that follows may fail, and no process may stay behind
        producer.stop()


def test_a_primary_that_is_lost_under_sentinel(tmp_path: Path, runs: RunLog) -> None:
    group = Sentinels(tmp_path)
    try:
        group.start()
        _lose(group.url, group.primary, runs)
    finally:
        group.kill()


def test_a_primary_that_is_lost_in_a_cluster(tmp_path: Path, runs: RunLog) -> None:
    with servers.cluster(tmp_path, primaries=3, replicas=1) as nodes:
        url = "valkey+cluster://" + ",".join(f"{HOST}:{node.port}" for node in nodes)
        with Queue("faults", url) as queue:
            owner = _owner(nodes, queue)
        _lose(url, owner, runs)


def _owner(nodes: list[ServerProcess], queue: Queue) -> ServerProcess:
    """The primary that holds the queue: the node that doesn't send elsewhere for its keys."""
    for node in nodes:
        with closing(node.client()) as client, contextlib.suppress(redis.ResponseError):
            client.exists(f"{queue.protocol.prefix}:jobs")
            return node
    raise AssertionError("no node owns the queue")


def _lose(url: str, primary: ServerProcess, runs: RunLog) -> None:
    workers = Workers(2, runs, WORKER_URL=url)
    producer = Producer(url, pause=0.005)
    producer.start()
    try:
        time.sleep(2)
        producer.stop()  # what replication has not copied when the primary dies is lost: let it catch up
        time.sleep(1)
        primary.kill()
        killed = time.monotonic()
        with Queue("faults", url, retry_for=RETRY_SECONDS) as queue:
            job = queue.add("note", {"n": 1}, result_ttl=600).id
            while True:
                try:
                    assert queue.result(job, timeout=RETRY_SECONDS) == 2
                    break
                except errors.ValkeykitError:
                    assert time.monotonic() - killed < RETRY_SECONDS
            assert time.monotonic() - killed < RETRY_SECONDS
            check(queue, producer, runs)
        assert workers.all_alive()
    finally:
        workers.stop()  # first: a check that follows may fail, and no process may stay behind
        producer.stop()
