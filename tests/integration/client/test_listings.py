"""Listings, purging, and what a queue keeps of dead letters."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from valkeykit import Queue
from valkeykit.queue.protocol import PAGE_BYTES

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, take

BASE = "valkeykit:{mail}"


def add_dead_letters(queue: Queue, number: int, trace: str = "") -> list[str]:
    ids = queue.add_many("send", [{}] * number)
    take(queue, number)
    for job in ids:
        queue.send(queue.protocol.fail("w", [job, 1, -1, "ValueError: no", trace]))
    return ids


def test_jobs_are_listed_by_their_state(queue: Queue) -> None:
    (dead,) = add_dead_letters(queue, 1, "a trace")
    active = queue.add("send", {"n": 1}).id
    take(queue)
    queue.send(queue.protocol.progress("w", active.encode(), 1, {"done": 1}))
    later = queue.add("send", delay=60).id
    urgent_later = queue.add("send", delay=90, priority=9).id
    waiting, urgent = queue.add("send", {"to": "ü"}).id, queue.add("send", priority=9).id
    assert [job.id for job in queue.jobs("waiting")] == [urgent, waiting]
    assert [job.id for job in queue.jobs("delayed")] == [urgent_later, later]
    (listed,) = queue.jobs("active")
    assert (listed.id, listed.name, listed.arguments, listed.attempts) == (active, "send", {"n": 1}, 1)
    assert listed.progress == {"done": 1}
    assert listed.due is not None
    (letter,) = queue.jobs("dead")
    assert (letter.id, letter.error, letter.traceback) == (dead, "ValueError: no", "a trace")
    assert queue.jobs("waiting")[1].arguments == {"to": "ü"}
    assert queue.jobs("waiting")[1].due is None


def test_suspects_are_listed_among_the_waiting(queue: Queue) -> None:
    ids = queue.add_many("send", [{}] * 2)
    for _ in range(2):
        take(queue, lease_ms=30)
        time.sleep(0.05)
    queue.send(queue.protocol.take("w", 2, 30_000, suspect=False))
    assert {job.id for job in queue.jobs("waiting")} == set(ids)
    assert queue.statistics().waiting == 2
    assert {queue.job(job).state for job in ids} == {"waiting"}


@pytest.mark.parametrize("state", ["waiting", "delayed"])
def test_pages_of_a_listing_over_several_lines(queue: Queue, state: str) -> None:
    delay = 60 if state == "delayed" else 0
    ids = [job for priority in (9, 5, 0) for job in queue.add_many("send", [{}] * 400, priority=priority, delay=delay)]
    listed = [job.id for job in queue.jobs(state, limit=10_000)]  # type: ignore[arg-type]
    assert [set(listed[first : first + 400]) for first in (0, 400, 800)] == [
        set(ids[first : first + 400]) for first in (0, 400, 800)
    ]
    assert state == "delayed" or listed == ids
    for skip, limit in ((0, 3), (399, 2), (400, 400), (799, 600), (1199, 5), (1200, 5), (5000, 5), (0, 0)):
        assert [job.id for job in queue.jobs(state, limit, skip)] == listed[skip : skip + limit]  # type: ignore[arg-type]


def test_the_reply_of_a_listing_is_bounded_in_bytes(queue: Queue) -> None:
    ids = queue.add_many("send", [{"text": "x" * 300_000}] * 8)
    page = queue.send(queue.protocol.jobs("waiting", 0, 100))
    assert (len(page.jobs), page.is_cut) == (3, True)
    assert [job.id for job in queue.jobs("waiting")] == ids


def test_progress_and_tracebacks_count_towards_that_bound(queue: Queue) -> None:
    ids = queue.add_many("send", [{}] * 40)
    take(queue)
    for job in ids:
        queue.send(queue.protocol.progress("w", job.encode(), 1, "x" * 60_000))
    page = queue.send(queue.protocol.jobs("active", 0, 100))
    assert len(page.jobs) == PAGE_BYTES // 60_100
    assert {job.id for job in queue.jobs("active")} == set(ids)


def test_dead_letters_are_listed_latest_first_up_to_the_limit(queue: Queue) -> None:
    first = add_dead_letters(queue, 2)
    time.sleep(0.01)
    (last,) = add_dead_letters(queue, 1)
    assert queue.dead_letters(0) == []
    assert [letter.id for letter in queue.dead_letters(1)] == [last]
    assert {letter.id for letter in queue.dead_letters()} == {*first, last}


def test_dead_letters_are_limited_by_their_number(queue: Queue) -> None:
    add_dead_letters(queue, 5)
    queue.limit_dead_letters(count=3)
    time.sleep(0.01)
    (last,) = add_dead_letters(queue, 1)
    letters = [letter.id for letter in queue.dead_letters()]
    assert (len(letters), letters[0]) == (3, last)
    queue.limit_dead_letters(count=0)
    add_dead_letters(queue, 1)
    assert queue.dead_letters() == []
    queue.limit_dead_letters()
    add_dead_letters(queue, 4)
    assert len(queue.dead_letters()) == 4


def test_dead_letters_are_limited_by_their_age_and_leave_nothing(queue: Queue, server: ServerProcess) -> None:
    queue.limit_dead_letters(age=3600)
    old = add_dead_letters(queue, 3, "trace")
    with closing(server.client()) as admin:
        for job in old:
            admin.zincrby(f"{BASE}:dead", -3_700_000, job)
        (last,) = add_dead_letters(queue, 1, "trace")
        assert [letter.id for letter in queue.dead_letters()] == [last]
        assert all(admin.hkeys(f"{BASE}:{key}") == [last] for key in ("jobs", "errors", "traces", "active"))
    assert {queue.job(job).state for job in old} == {"missing"}


@pytest.mark.parametrize("state", ["waiting", "delayed", "dead"])
def test_purging_one_state_leaves_the_others_and_nothing_behind(
    queue: Queue, server: ServerProcess, state: str
) -> None:
    add_dead_letters(queue, 700 if state == "dead" else 2)
    queue.add("running")
    take(queue)
    for priority in (0, 9):
        queue.add_many("send", [{}] * (700 if state == "waiting" else 2), priority=priority)
        queue.add_many("send", [{}] * (700 if state == "delayed" else 2), priority=priority, delay=60)
    queue.add("send", id="mine", key="key", delay=60 if state == "delayed" else 0)
    before = queue.statistics()
    assert queue.purge(state) == getattr(before, state)  # type: ignore[arg-type]
    after = queue.statistics()
    for other in ("waiting", "delayed", "dead", "active"):
        assert getattr(after, other) == (0 if other == state else getattr(before, other))
    if state != "dead":
        assert queue.add("send", id="mine", key="key").new
    assert queue.purge(state) == (1 if state == "waiting" else 0)  # type: ignore[arg-type]
    with closing(server.client()) as admin:
        counts = queue.statistics()
        assert admin.hlen(f"{BASE}:jobs") == counts.waiting + counts.delayed + counts.dead + counts.active


def test_workers_describe_themselves(queue: Queue) -> None:
    queue.handler(name="note")(lambda: None)
    with running_worker(queue, concurrency=3) as worker:
        wait_until(lambda: [one.name for one in queue.workers()] == [worker.name])
        (state,) = queue.workers()
        assert (state.concurrency, state.running, state.handlers) == (3, 0, ["note"])
        assert state.pid > 0
        assert state.started <= time.time()
        assert 0 <= state.last_report_seconds < 60
        queue.send(queue.protocol.renew(worker.name, 1000, []))  # without news
        assert queue.workers()[0].handlers == ["note"]


def test_a_worker_reports_its_jobs_and_lists_those_that_it_completed(queue: Queue) -> None:
    release = threading.Event()
    queue.handler(name="wait")(lambda: release.wait(60) and None)
    queue.handler(name="note", result_ttl=60)(lambda: 1)
    with running_worker(queue, lease=1):
        waiting = queue.add("wait").id
        try:
            wait_until(lambda: [job.id for one in queue.workers() for job in one.jobs] == [waiting])
            ((job,),) = (one.jobs for one in queue.workers())
            assert (job.name, job.seconds >= 0) == ("wait", True)
            noted = queue.add("note").id
            wait_until(lambda: [job.id for job in queue.recent()] == [noted])
        finally:
            release.set()
        wait_until(lambda: queue.statistics().completed == 2)
    assert [(job.id, job.name, job.attempts) for job in queue.recent()] == [(waiting, "wait", 1), (noted, "note", 1)]
    assert [job.id for job in queue.recent(1, skip=1)] == [noted]
    assert queue.recent(0) == []
    assert queue.recent()[0].seconds > 0
    assert abs(queue.recent()[0].finished_at - time.time()) < 600
    assert queue.statistics().run_ms > 0
    minutes = queue.history()
    assert (len(minutes), sum(minute.completed for minute in minutes)) == (60, 2)


def test_lists_of_recent_jobs_and_of_workers_are_bounded(queue: Queue, server: ServerProcess) -> None:
    for number in range(1101):
        queue.add("send", id=str(number))
        queue.send(queue.protocol.renew(f"w{number}", 60_000, [], "{}"))
    take(queue, 1101)
    for number in range(1101):
        queue.send(queue.protocol.finish("w", [str(number), 1], [], recent=f"1 1 send {number}"))
    with closing(server.client()) as admin:
        assert admin.llen(f"{BASE}:recent") == 1000
        assert (admin.zcard(f"{BASE}:beats"), admin.hlen(f"{BASE}:workers")) == (1000, 1000)
    assert [job.id for job in queue.recent(2)] == ["1100", "1099"]
    assert queue.workers()[0].name == "w1100"


def test_delayed_jobs_that_are_due_are_counted(queue: Queue) -> None:
    queue.add("send", delay=0.001)
    queue.add("send", delay=600)
    wait_until(lambda: queue.statistics().due == 1)
    assert queue.statistics().delayed == 2


def test_a_worker_of_another_version_may_report_less(queue: Queue) -> None:
    queue.send(queue.protocol.renew("w", 1000, [], '{"host": "h"}'))
    queue.send(queue.protocol.renew("v", 1000, [], "nonsense"))
    assert {state.name: (state.host, state.handlers) for state in queue.workers()} == {"w": ("h", []), "v": ("?", [])}
    queue.send(queue.protocol.leave("w"))
    assert [state.name for state in queue.workers()] == ["v"]
