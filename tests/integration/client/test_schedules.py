"""Repeats: each time once, by whichever worker; none is lost by a worker that can't read it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from contextlib import closing

import pytest
from valkeykit import Queue
from valkeykit.queue.responses import DueSchedule
from valkeykit.queue.worker import prefetch

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker

BASE = "valkeykit:{mail}"


def test_schedules_are_added_by_one_worker_each_time(queue: Queue) -> None:
    assert queue.schedule("cleanup", {"days": 3}, every=0.1)
    assert not queue.schedule("cleanup", {"days": 3}, every=0.1)
    time.sleep(0.15)
    due = queue.send(queue.protocol.due_schedules())
    assert [queue.send(queue.protocol.fire(one)) for one in (*due, *due)] == [True, False]
    assert queue.statistics().waiting == 1
    assert [schedule.name for schedule in queue.schedules()] == ["cleanup"]
    assert queue.unschedule("cleanup")
    assert not queue.unschedule("cleanup")


def test_schedules_run_once_each_though_two_workers_look_for_them(queue: Queue, server: ServerProcess) -> None:
    runs: list[float] = []

    @queue.handler
    def beat() -> None:
        runs.append(time.time())

    with closing(server.client()) as admin, running_worker(queue), running_worker(queue):
        begin = time.time()
        queue.schedule("beat", every=0.2)
        wait_until(lambda: len(runs) >= 5)
        assert (admin.zscore("valkeykit:{mail}:schedule_times", "beat") or 1) % 200 == 0
        queue.unschedule("beat")
        came = (time.time() - begin) // 0.2 + 1  # at most, of the times that are due
    assert len(runs) <= came


def test_one_that_may_not_overlap_waits_for_the_job_before_it(queue: Queue) -> None:
    queue.schedule("cleanup", every=0.1, overlap=False)
    assert not queue.schedules()[0].overlap

    def fire() -> bool:
        time.sleep(0.12)
        (due,) = queue.send(queue.protocol.due_schedules())
        return queue.send(queue.protocol.fire(due))

    assert fire()
    assert not fire()
    (job,) = queue.send(queue.protocol.take("w", 10, 30_000)).jobs
    assert not fire()
    queue.send(queue.protocol.fail("w", [job[0], 1, -1, "ValueError: no", ""]))
    assert fire()  # a dead letter holds up nothing
    assert queue.statistics().waiting == 1


def test_all_schedules_are_listed(queue: Queue) -> None:
    for number in range(405):
        queue.schedule("cleanup", name=f"cleanup-{number}", every=60 + number)
    schedules = queue.schedules()
    assert len({schedule.name for schedule in schedules}) == 405
    assert [schedule.next_at for schedule in schedules] == sorted(schedule.next_at or 0 for schedule in schedules)


def test_a_reply_with_large_schedules_is_bounded(queue: Queue) -> None:
    for number in range(5):
        queue.schedule("cleanup", {"text": "x" * 400_000}, name=f"cleanup-{number}", every=60)
    assert len(queue.send(queue.protocol.schedules())) == 2
    assert len(queue.schedules()) == 5


def test_a_schedule_that_this_version_can_not_read_is_left_to_others(
    queue: Queue, server: ServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    @queue.handler
    def note() -> None:
        done.append(1)

    queue.schedule("note", cron="* * * * *")
    plan = json.loads(queue.send(queue.protocol.schedules())[0].serialized)
    plans = {
        "newer": json.dumps(plan | {"v": 2}),
        "field": json.dumps(plan | {"new": 1}),
        "zone": json.dumps(plan | {"zone": "Mars/Olympus"}),
        "corrupt": "nonsense",
        "never": json.dumps(plan | {"cron": "0 0 30 2 *"}),
    }
    queue.unschedule("note")
    with closing(server.client()) as admin, running_worker(queue):
        for name, changed in plans.items():
            admin.hset(f"{BASE}:schedules", name, changed)
        admin.zadd(f"{BASE}:schedule_times", dict.fromkeys(plans, 1))
        queue.schedule("note", every=0.1)
        queue.add("note")
        wait_until(lambda: len(done) > 3)
        queue.unschedule("note")
        assert admin.hgetall(f"{BASE}:schedules") == plans
    assert {schedule.name for schedule in queue.schedules()} == set(plans)
    texts = [record.getMessage() for record in caplog.records if "left to other workers" in record.getMessage()]
    assert len(texts) == len(plans)


def test_schedules_that_are_due_all_the_time_do_not_keep_a_worker_from_its_jobs(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    fire = prefetch.JobFetcher._fire

    async def fire_slowly(self: prefetch.JobFetcher, due: DueSchedule) -> bool:
        await asyncio.sleep(0.005)
        return await fire(self, due)

    monkeypatch.setattr(prefetch.JobFetcher, "_fire", fire_slowly)

    @queue.handler
    def note() -> None:
        done.append(1)

    queue.handler(name="beat")(lambda: None)
    for number in range(100):
        queue.schedule("beat", name=f"beat-{number}", every=0.1)
    with running_worker(queue):
        wait_until(lambda: queue.statistics().waiting > 0)
        queue.add("note", priority=9)
        wait_until(lambda: done == [1])


def test_jobs_without_a_handler_go_back_unchanged(
    queue: Queue, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "RELEASE_DELAY_SECONDS", 0.05)
    queue.handler(name="known", result_ttl=60)(lambda: 1)
    unknown = queue.add("unknown", attempts=1).id
    newer = queue.add("known", attempts=1).id
    wider = queue.add("known", attempts=1).id
    with closing(server.client()) as admin:
        record = str(admin.hget(f"{BASE}:jobs", newer))
        newer_record = "v2" + record.removeprefix("v1")
        wider_record = record.replace("\n", " more\n", 1)
        admin.hset(f"{BASE}:jobs", mapping={newer: newer_record, wider: wider_record})
        with running_worker(queue):
            assert queue.result(queue.add("known").id) == 1
            wait_until(lambda: queue.statistics().delayed == 3)
        assert [queue.job(job).attempts for job in (unknown, newer, wider)] == [0, 0, 0]
        assert queue.job(newer).name == "known"
        assert admin.hmget(f"{BASE}:jobs", newer, wider) == [newer_record, wider_record]
    counts = queue.statistics()
    assert (counts.dead, counts.retried, counts.lost) == (0, 0, 0)
    queue.handler(name="unknown", result_ttl=60)(lambda: 2)
    with running_worker(queue):
        wait_until(lambda: queue.job(unknown).state == "completed")
    assert queue.statistics().completed == 2


def test_a_job_that_keeps_coming_goes_back_for_longer_and_longer() -> None:
    from valkeykit.queue.job import Job
    from valkeykit.queue.job_options import JobSpec
    from valkeykit.queue.worker.prefetch import (
        MAX_RELEASE_DELAY_SECONDS,
        RELEASE_DELAY_SECONDS,
        RELEASES_BEFORE_BACKOFF,
        JobFetcher,
    )

    one = JobFetcher.__new__(JobFetcher)
    one._releases = OrderedDict()
    job = Job(b"1", 1, JobSpec("unknown"), b"{}", None)
    delays = [one._release_delay(job) for _ in range(RELEASES_BEFORE_BACKOFF + 10)]
    assert delays[:RELEASES_BEFORE_BACKOFF] == [RELEASE_DELAY_SECONDS] * RELEASES_BEFORE_BACKOFF
    assert delays[RELEASES_BEFORE_BACKOFF] == 2 * RELEASE_DELAY_SECONDS
    assert delays[-1] == MAX_RELEASE_DELAY_SECONDS
