"""Numbers of calls: no pair of name and number is given twice."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection

import pytest
from valkeykit import Queue
from valkeykit.queue import call_ids
from valkeykit.queue.call_ids import CallIds

from tests.integration.client.running_worker import take

FORK = get_context("fork")


@pytest.fixture(autouse=True)
def threads_that_switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def numbers_of_threads(one: CallIds, threads: int, calls: int) -> list[tuple[str, int]]:
    given: list[tuple[str, int]] = []
    barrier = threading.Barrier(threads)

    def call() -> None:
        barrier.wait()
        given.extend([one.next() for _ in range(calls)])

    running = [threading.Thread(target=call) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return given


def test_threads_get_different_numbers_while_names_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_ids, "MAX_CALLS_PER_PRODUCER", 64)
    given = numbers_of_threads(CallIds(), 16, 500)
    assert len(set(given)) == len(given) == 8000
    assert max(number for _, number in given) < 64


def send_numbers(one: CallIds, answers: Connection) -> None:
    answers.send((os.getpid(), numbers_of_threads(one, 4, 4)))


@pytest.mark.parametrize("was_used", [False, True])
def test_forked_processes_get_names_of_their_own(was_used: bool) -> None:
    one = CallIds()
    given = [one.next()] if was_used else []
    for _ in range(25):
        receiving, sending = FORK.Pipe(duplex=False)
        children = [FORK.Process(target=send_numbers, args=(one, sending)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            given += receiving.recv()[1]
            child.join()
    given += [one.next()]
    assert len(set(given)) == len(given) == 25 * 2 * 16 + 1 + was_used


def add_some(queue: Queue, answers: Connection) -> None:
    ids: list[str] = []
    barrier = threading.Barrier(4)

    def add() -> None:
        barrier.wait()
        ids.extend([queue.add("send").id for _ in range(3)])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.send(ids)


def test_no_job_of_forked_processes_with_threads_is_lost(queue: Queue) -> None:
    ids: list[str] = []
    for _ in range(5):
        receiving, sending = FORK.Pipe(duplex=False)
        children = [FORK.Process(target=add_some, args=(queue, sending)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            ids += receiving.recv()
            child.join()
    assert len(ids) == len(set(ids)) == 240
    assert {one for one, _ in take(queue, 1000)} == set(ids)
