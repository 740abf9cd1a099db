"""The rate limit: no window of its length has more starts than it allows."""

from __future__ import annotations

import time
from contextlib import closing

from valkeykit import Queue

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled, take

STARTS = "valkeykit:{mail}:starts"


def test_a_limit_holds_over_all_workers(queue: Queue) -> None:
    queue.limit(3, per=3600)
    queue.add_many("send", [{}] * 10)
    assert [len(take(queue, worker=name)) for name in "abc"] == [3, 0, 0]
    queue.limit(0)
    assert len(take(queue)) == 7


def test_no_window_has_more_starts_than_the_limit(queue: Queue, server: ServerProcess) -> None:
    starts: list[float] = []
    per = 0.3

    @queue.handler
    def note() -> None:
        starts.append(time.monotonic())

    queue.limit(5, per=per)
    queue.add_many(note, [{}] * 25)
    with running_worker(queue), running_worker(queue):
        wait_until(lambda: settled(queue))
    starts.sort()
    assert len(starts) == 25
    with closing(server.client()) as admin:
        assert admin.llen(STARTS) == 5


def test_starts_are_spread_over_the_server_s_time(queue: Queue) -> None:
    """By the server's clock, on which the limit is kept, whatever the machine's speed."""
    queue.limit(3, per=0.3)
    queue.add_many("send", [{}] * 12)
    taken: list[int] = []
    while len(taken) < 12:
        taken += [queue.send(queue.protocol.now())] * len(take(queue))
    # Each time is read before its take: three later starts lie a period apart, less the way to the server.
    assert all(later - earlier > 0 for earlier, later in zip(taken, taken[3:], strict=False))


def test_setting_a_limit_again_does_not_refill_it(queue: Queue) -> None:
    queue.limit(3, per=3600)
    queue.add_many("send", [{}] * 10)
    assert len(take(queue)) == 3
    queue.limit(3, per=3600)
    assert take(queue) == []
    queue.limit(5, per=3600)
    assert len(take(queue)) == 2
    queue.limit(2, per=3600)
    assert take(queue) == []


def test_starts_that_have_left_the_window_make_room(queue: Queue, server: ServerProcess) -> None:
    queue.limit(3, per=60)
    queue.add_many("send", [{}] * 10)
    now = queue.send(queue.protocol.now())
    with closing(server.client()) as admin:
        admin.rpush(STARTS, now - 30_000, now - 59_000, now - 90_000)
        assert len(take(queue)) == 1
        admin.delete(STARTS)
        admin.rpush(STARTS, now - 62_000, now - 63_000, now - 64_000)
        assert len(take(queue)) == 3


def test_a_clock_that_is_set_back_neither_stalls_nor_opens_a_limit(queue: Queue, server: ServerProcess) -> None:
    queue.limit(3, per=0.2)
    queue.add_many("send", [{}] * 10)
    ahead = queue.send(queue.protocol.now()) + 3_600_000
    with closing(server.client()) as admin:
        admin.rpush(STARTS, ahead, ahead, ahead)
    assert take(queue) == []  # they count as starts of now
    wait_until(lambda: len(take(queue)) == 3)


def test_a_worker_without_a_free_slot_does_not_poll(queue: Queue) -> None:
    queue.limit(10, per=0.01)
    queue.add_many("send", [{}] * 3)
    answer = queue.send(queue.protocol.take("w", 5, 30_000, free=0))
    assert answer.jobs == []
    assert answer.next_due_ms >= 50


def test_jobs_taken_ahead_do_not_count_as_starts(queue: Queue) -> None:
    queue.limit(10, per=3600)
    queue.add_many("send", [{}] * 10)
    assert len(queue.send(queue.protocol.take("w", 10, 30_000, free=4)).jobs) == 4
