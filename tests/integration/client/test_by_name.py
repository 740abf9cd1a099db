"""Jobs that are added by name, in a process that doesn't have their handler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from valkeykit import Queue
from valkeykit.queue.handlers import MAX_CACHED_SPECS
from valkeykit.queue.job_options import JobSpec

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled


@pytest.fixture
def producer(server: ServerProcess) -> Iterator[Queue]:
    with Queue("mail", server.url, retry_for=2) as producer:
        yield producer


def test_the_handlers_options_apply(queue: Queue, producer: Queue) -> None:
    attempts: list[str] = []

    @queue.handler(attempts=1, result_ttl=60)
    def send(to: str) -> str:
        attempts.append(to)
        if to == "nobody":
            raise ValueError(to)
        return f"sent to {to}"

    with running_worker(queue):
        sent = producer.add("send", {"to": "ada"}).id
        failed = producer.add("send", {"to": "nobody"}).id
        assert producer.result(sent) == "sent to ada"
        wait_until(lambda: producer.job(failed).state == "dead")
    assert attempts.count("nobody") == 1


def test_options_of_the_producer_win(queue: Queue, producer: Queue) -> None:
    attempts: list[int] = []

    @queue.handler(attempts=1, backoff=60, result_ttl=60)
    def fail() -> None:
        attempts.append(1)
        raise ValueError("no")

    @queue.handler(result_ttl=60)
    def answer() -> int:
        return 1

    with running_worker(queue):
        producer.add("fail", attempts=2, backoff=0.01)
        unkept = producer.add("answer", result_ttl=0).id
        wait_until(lambda: settled(producer))
    assert len(attempts) == 2
    assert producer.job(unkept).state == "missing"


def test_a_last_attempt_by_the_handlers_options_is_not_repeated_when_its_worker_is_lost(
    queue: Queue, producer: Queue
) -> None:
    job = producer.add("send").id
    queue.send(queue.protocol.take("w", 1, 1))
    queue.send(queue.protocol.start("w", [job, 1]))  # the worker's handler has attempts=1
    wait_until(lambda: queue.send(queue.protocol.take("other", 1, 1000)).jobs == [] and queue.job(job).state == "dead")


def test_schedules_leave_the_options_to_the_handler_too(queue: Queue, producer: Queue) -> None:
    runs: list[int] = []

    @queue.handler(attempts=1)
    def beat() -> None:
        runs.append(1)
        raise ValueError("no")

    producer.schedule("beat", every=0.2)
    with running_worker(queue):
        wait_until(lambda: producer.statistics().dead >= 2)
        producer.unschedule("beat")
    assert producer.statistics().retried == 0


def test_a_header_keeps_what_is_left_open() -> None:
    spec = JobSpec("send", 3, 2, 0, 0, 1000, frozenset({"timeout", "backoff"}))
    assert JobSpec.from_spec_line(spec.spec_line) == spec
    assert spec.spec_line == "3 2 00 0 01000 send"


def test_options_that_differ_for_each_job_take_bounded_memory(queue: Queue) -> None:
    @queue.handler(attempts=2)
    def send() -> None:
        pass

    handler = queue.handlers["send"]
    for timeout in range(1, 2 * MAX_CACHED_SPECS):
        completed = handler.complete(JobSpec("send", timeout=timeout, left_open=frozenset({"attempts"})))
        assert (completed.attempts, completed.timeout, completed.left_open) == (2, timeout, frozenset())
    assert len(handler._completed) <= MAX_CACHED_SPECS
