"""Takes: numbered, bounded, and an attempt counts only where a worker had the job."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from valkeykit import Queue, errors
from valkeykit.queue.protocol import ScriptCall

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled, take

BASE = "valkeykit:{mail}"


def test_a_take_that_is_sent_again_returns_the_same_jobs(queue: Queue) -> None:
    ids = queue.add_many("send", [{}] * 5)
    call = queue.protocol.take("w", 3, 30_000)
    first, second = queue.send(call), queue.send(call)
    assert first.jobs == second.jobs
    assert [key.decode() for key, _, _ in first.jobs] == ids[:3]
    assert {attempt for _, attempt, _ in second.jobs} == {1}
    assert queue.statistics().active == 3


def test_a_take_that_is_sent_again_returns_only_what_the_worker_still_holds(queue: Queue) -> None:
    first, second = queue.add_many("send", [{}] * 2)
    call = queue.protocol.take("w", 2, 30_000)
    queue.send(call)
    queue.send(queue.protocol.finish("w", [first, 1], []))
    assert [key.decode() for key, _, _ in queue.send(call).jobs] == [second]


@pytest.mark.parametrize("leased_nothing", [False, True])
def test_a_copy_of_a_take_that_arrives_late_leases_nothing(queue: Queue, leased_nothing: bool) -> None:
    late = queue.protocol.take("w", 1, 30_000)
    if leased_nothing:
        assert queue.send(late).jobs == []
    else:
        assert queue.send(queue.protocol.take("w", 1, 30_000)).jobs == []
    queue.add("send")
    assert queue.send(late).jobs == []
    assert queue.statistics().active == 0
    assert len(take(queue)) == 1


def test_a_paused_queue_remembers_its_takes_too(queue: Queue) -> None:
    queue.pause()
    call = queue.protocol.take("w", 1, 30_000)
    queue.send(call)
    queue.resume()
    queue.add("send")
    assert queue.send(call).jobs == []


def test_the_reply_of_a_take_is_bounded_in_bytes(queue: Queue) -> None:
    ids = queue.add_many("send", [{"text": "x" * 300_000}] * 10)
    batches = []
    while batch := take(queue):
        batches.append([one for one, _ in batch])
    assert [one for batch in batches for one in batch] == ids
    assert max(len(batch) for batch in batches) == 3


def test_one_job_that_is_larger_than_the_bound_is_taken_alone(queue: Queue) -> None:
    ids = queue.add_many("send", [{"text": "x" * 1000}] * 3)
    for job in ids:
        answer = queue.send(queue.protocol.take("w", 10, 30_000, max_bytes=100))
        assert [key.decode() for key, _, _ in answer.jobs] == [job]


def test_a_last_attempt_that_never_began_is_given_again(queue: Queue) -> None:
    job = queue.add("send", attempts=1).id
    for _ in range(3):
        assert take(queue, lease_ms=30) == [(job, 1)]
        time.sleep(0.05)
    assert queue.statistics().dead == 0
    assert take(queue) == [(job, 1)]
    assert queue.send(queue.protocol.start("thief", [job, 1])) == [job.encode()]
    assert queue.send(queue.protocol.start("w", [job, 1])) == []


def test_attempts_that_were_lost_count_up_to_the_last_one(queue: Queue) -> None:
    job = queue.add("send", attempts=3).id
    taken = []
    for _ in range(5):
        taken += take(queue, lease_ms=30)
        time.sleep(0.05)
    assert taken == [(job, attempt) for attempt in (1, 2, 3, 3, 3)]
    assert queue.job(job).state == "active"


def test_a_lost_job_is_first_among_those_of_its_priority(queue: Queue) -> None:
    lost = queue.add("send").id
    take(queue, lease_ms=30)
    urgent, later = queue.add("send", priority=9).id, queue.add("send").id
    time.sleep(0.05)
    assert [one for one, _ in take(queue, worker="other")] == [urgent, lost, later]


def test_priorities_hold_among_delayed_jobs(queue: Queue) -> None:
    queue.add_many("send", [{}] * 300, delay=0.01)
    urgent = queue.add("send", priority=9, delay=0.02).id
    time.sleep(0.05)
    assert take(queue, 1) == [(urgent, 1)]


@pytest.mark.parametrize("key", ["active", "leases"])
def test_an_error_half_way_in_a_take_loses_no_job(queue: Queue, server: ServerProcess, key: str) -> None:
    ids = queue.add_many("send", [{}] * 3)
    with closing(server.client()) as admin:
        admin.set(f"{BASE}:{key}", "of the wrong type")
        with pytest.raises(errors.RefusedError):
            take(queue)
        admin.delete(f"{BASE}:{key}")
    assert [one for one, _ in take(queue)] == ids


def test_a_broken_entry_of_one_job_does_not_stop_the_others(queue: Queue, server: ServerProcess) -> None:
    ids = queue.add_many("send", [{}] * 3)
    with closing(server.client()) as admin:
        admin.hset(f"{BASE}:active", ids[1], "broken")
    assert [one for one, _ in take(queue)] == ids


def test_jobs_whose_records_are_gone_are_passed_over(queue: Queue, server: ServerProcess) -> None:
    gone, left = queue.add_many("send", [{}] * 2)
    with closing(server.client()) as admin:
        admin.hdel(f"{BASE}:jobs", gone)
    assert take(queue) == [(left, 1)]


def test_a_worker_runs_all_jobs_although_replies_to_its_takes_are_lost(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from valkeykit.queue.aqueue import AsyncQueue

    ran, lost = list[int](), list[str]()
    run = AsyncQueue._run

    async def run_and_forget(self: AsyncQueue, call: ScriptCall[object]) -> object:
        answer = await run(self, call)
        if call.script.sha == queue.protocol.take("w", 1, 1).script.sha and len(answer) > 4 and len(lost) < 2:
            lost.append("an answer")
            raise ConnectionResetError("the answer is lost")
        return answer

    monkeypatch.setattr(AsyncQueue, "_run", run_and_forget)

    @queue.handler(attempts=1)
    async def note(n: int) -> None:
        ran.append(n)

    queue.add_many(note, [{"n": n} for n in range(20)])
    with running_worker(queue):
        wait_until(lambda: settled(queue))
    assert sorted(ran) == list(range(20))
    assert len(lost) == 2
    assert (queue.statistics().dead, queue.statistics().lost) == (0, 0)


def test_calls_of_a_producer_expire_with_it(queue: Queue, server: ServerProcess) -> None:
    queue.add("send")
    queue.add("send", id="mine")
    queue.add("send", id="mine")
    queue.add_many("send", [{}] * 3)
    queue.cancel("nothing")
    with closing(server.client()) as admin:
        keys = [*admin.scan_iter(f"{BASE}:seen:*"), *admin.scan_iter(f"{BASE}:answers:*")]
        assert len(keys) == 2
        assert all(admin.ttl(key) > 0 for key in keys)


def test_the_number_of_stored_replies_is_bounded(queue: Queue, server: ServerProcess) -> None:
    for _ in range(2500):
        queue.cancel("nothing")
    with closing(server.client()) as admin:
        (key,) = admin.scan_iter(f"{BASE}:answers:*")
        assert admin.hlen(key) <= 2048
