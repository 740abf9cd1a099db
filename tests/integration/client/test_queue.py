"""The queue on a real server: what producers and operators see."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from valkeykit import AsyncQueue, Queue, errors
from valkeykit.queue.protocol import ScriptCall

from harness import servers
from harness.ports import HOST
from harness.servers import ServerProcess
from tests.integration.client.running_worker import take


def test_jobs_are_taken_in_order_and_by_priority(queue: Queue) -> None:
    first, second = queue.add("send").id, queue.add("send", {"to": "b"}).id
    urgent = queue.add("send", priority=9).id
    assert [one for one, _ in take(queue)] == [urgent, first, second]
    assert queue.statistics().active == 3


def test_a_leased_job_is_not_taken_again_until_its_lease_ends(queue: Queue) -> None:
    job = queue.add("send").id
    assert take(queue, lease_ms=60) == [(job, 1)]
    assert take(queue, worker="other") == []
    time.sleep(0.08)
    assert take(queue, worker="other") == [(job, 2)]
    assert queue.statistics().lost == 1


def test_an_acknowledgement_that_is_late_does_nothing(queue: Queue) -> None:
    job = queue.add("send", result_ttl=60).id
    take(queue, lease_ms=50)
    time.sleep(0.07)
    take(queue, worker="other")
    lost = queue.send(queue.protocol.finish("w", [], [job, 1, 60_000, '"stale"']))
    assert lost == [job.encode()]
    assert queue.job(job).state == "active"
    assert queue.send(queue.protocol.finish("other", [], [job, 2, 60_000, '"right"'])) == []
    assert queue.result(job) == "right"


def test_a_job_that_kills_its_worker_ends_in_the_dead_letters(queue: Queue) -> None:
    job = queue.add("bomb", {"size": 3}, attempts=2).id
    for attempt in (1, 2):
        assert take(queue, lease_ms=50) == [(job, attempt)]
        if attempt == 2:
            assert queue.send(queue.protocol.start("w", [job, attempt])) == []
        time.sleep(0.07)
    assert take(queue) == []
    (letter,) = queue.dead_letters()
    assert (letter.id, letter.name, letter.arguments, letter.attempts) == (job, "bomb", {"size": 3}, 2)
    assert "worker was lost" in letter.error
    assert queue.requeue([job]) == 1
    assert take(queue) == [(job, 1)]


def test_jobs_that_were_lost_once_are_taken_again_together(queue: Queue) -> None:
    lost = [queue.add("send").id for _ in range(3)]
    take(queue, lease_ms=30)
    time.sleep(0.05)
    later = queue.add("send").id
    answer = queue.send(queue.protocol.take("w", 100, 30_000))
    assert {key.decode() for key, _, _ in answer.jobs} == {*lost, later}
    assert answer.suspects == 0


def test_a_worker_takes_one_at_a_time_of_the_jobs_that_were_lost_twice(queue: Queue) -> None:
    suspects = {queue.add("send").id for _ in range(2)}
    for _ in range(2):
        take(queue, lease_ms=30)
        time.sleep(0.05)
    later = queue.add("send", priority=9).id
    first = queue.send(queue.protocol.take("w", 100, 30_000))
    assert first.suspects == 1
    assert {first.jobs[0][0].decode()} < suspects
    assert first.jobs[1][0].decode() == later
    assert queue.send(queue.protocol.take("w", 100, 30_000, suspect=False)).jobs == []
    second = queue.send(queue.protocol.take("other", 100, 30_000))
    assert {job[0].decode() for job in (first.jobs[0], second.jobs[0])} == suspects


def test_a_released_job_is_first_in_line_and_its_attempt_does_not_count(queue: Queue) -> None:
    first, second = queue.add("send").id, queue.add("send").id
    take(queue, 1)
    assert queue.send(queue.protocol.release("w", [first, 1])) == 1
    assert take(queue) == [(first, 1), (second, 1)]


def test_delayed_jobs_wait(queue: Queue) -> None:
    later = queue.add("send", delay=0.1).id
    tomorrow = queue.add("send", at=datetime.now(timezone.utc) + timedelta(days=1)).id
    past = queue.add("send", at=datetime.now(timezone.utc) - timedelta(days=1)).id
    assert take(queue) == [(past, 1)]
    time.sleep(0.12)
    assert take(queue) == [(later, 1)]
    assert queue.job(tomorrow).state == "delayed"


def test_an_id_exists_once_until_its_result_is_gone(queue: Queue) -> None:
    assert queue.add("send", id="welcome-5", result_ttl=0.05).new
    assert not queue.add("send", id="welcome-5").new
    take(queue)
    queue.send(queue.protocol.finish("w", [], ["welcome-5", 1, 50, "1"]))
    assert not queue.add("send", id="welcome-5").new
    time.sleep(0.07)
    assert queue.add("send", id="welcome-5").new


def test_a_key_lets_one_job_through_in_its_time(queue: Queue) -> None:
    first = queue.add("report", key="report-5", key_ttl=0.05)
    second = queue.add("report", key="report-5")
    assert (first.new, second.new, second.id) == (True, False, first.id)
    time.sleep(0.07)
    assert queue.add("report", key="report-5").new


def test_a_call_that_is_sent_twice_takes_effect_once(queue: Queue) -> None:
    calls: list[ScriptCall[Any]] = [
        queue.protocol.add(queue.build_request("send", None, 0, None, None, None, 0, {})),
        queue.protocol.add(queue.build_request("send", None, 0, None, "mine", None, 0, {})),
        *queue.protocol.add_many(queue.build_request("send", {"n": n}, 0, None, None, None, 0, {}) for n in range(3)),
    ]
    for call in (*calls, *calls):
        queue.send(call)
    assert queue.statistics().waiting == 5
    done = [one for one, _ in take(queue)]
    queue.send(queue.protocol.finish("w", [part for one in done for part in (one, 1)], []))
    for call in calls:  # the stalled first copy arrives when the second is long done
        queue.send(call)
    assert queue.statistics().waiting == 0


def test_add_many_keeps_order_over_batches(queue: Queue) -> None:
    ids = queue.add_many("send", ({"n": n} for n in range(1203)))
    assert len(set(ids)) == 1203
    taken: list[str] = []
    while batch := take(queue, 500):
        taken += [one for one, _ in batch]
    assert taken == ids


def test_cancel_wherever_a_job_is(queue: Queue) -> None:
    active = queue.add("send").id
    take(queue)
    waiting, delayed = queue.add("send").id, queue.add("send", delay=60).id
    assert [queue.cancel(job) for job in (waiting, delayed, active, "nobody")] == [
        "waiting",
        "delayed",
        "active",
        "missing",
    ]
    assert queue.send(queue.protocol.renew("w", 1000, [active, 1])) == ([], [active.encode()])
    assert queue.send(queue.protocol.drop("w", [active, 1])) == []
    assert [queue.job(job).state for job in (waiting, delayed, active)] == ["missing"] * 3
    assert queue.statistics().cancelled == 3


def test_no_job_of_a_paused_queue_is_taken(queue: Queue) -> None:
    queue.add("send")
    queue.pause()
    assert take(queue) == []
    assert queue.statistics().paused
    queue.resume()
    assert len(take(queue)) == 1


def test_the_state_of_a_job(queue: Queue) -> None:
    job = queue.add("send").id
    assert queue.job(job).state == "waiting"
    take(queue)
    queue.send(queue.protocol.progress("w", job.encode(), 1, {"done": 0.5}))
    assert queue.send(queue.protocol.progress("thief", job.encode(), 1, 1)) is False
    state = queue.job(job)
    assert (state.state, state.name, state.attempts, state.progress) == ("active", "send", 1, {"done": 0.5})
    queue.send(queue.protocol.fail("w", [job, 1, 60_000, "ValueError: no", ""]))
    assert (queue.job(job).state, queue.job(job).error) == ("delayed", "ValueError: no")


def test_waiting_for_a_result(queue: Queue) -> None:
    with pytest.raises(errors.InvalidJobError, match="is unknown"):
        queue.result("nobody", timeout=0.05)
    job = queue.add("send").id
    with pytest.raises(errors.OperationTimeoutError, match="still waiting"):
        queue.result(job, timeout=0.05)
    take(queue)
    queue.send(queue.protocol.fail("w", [job, 1, -1, "ValueError: no", ""]))
    with pytest.raises(errors.JobFailedError, match="ValueError: no"):
        queue.result(job)


def test_a_full_server_rejects_adds_and_serves_workers(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin, Queue("mail", own_server.url, retry_for=0.2) as queue:
        job = queue.add("send", result_ttl=60).id
        admin.config_set("maxmemory", "1mb")
        for adding in (
            lambda: queue.add("send"),
            lambda: queue.add("send", id="x"),
            lambda: queue.add_many("send", [{}]),
        ):
            with pytest.raises(errors.OutOfMemoryError, match="full"):
                adding()
        assert take(queue) == [(job, 1)]
        assert queue.send(queue.protocol.renew("w", 30_000, [job, 1])) == ([], [])
        assert queue.send(queue.protocol.finish("w", [], [job, 1, 60_000, "5"])) == []
        assert queue.result(job) == 5


def test_a_server_that_evicts_jobs_is_rejected_unless_allowed(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        with Queue("mail", own_server.url) as queue, pytest.raises(errors.UnsupportedServerError, match="allkeys-lru"):
            queue.add("send")
        with Queue("mail", own_server.url, allow_eviction=True) as queue:
            assert queue.add("send").new
        admin.config_set("maxmemory-policy", "volatile-lru")
        with Queue("mail", own_server.url) as queue:
            assert queue.add("send").new


def test_a_replica_is_explained(tmp_path: Path, server: ServerProcess) -> None:
    following = servers.running(tmp_path, "--replicaof", f"{HOST} {server.port}")
    with following as replica, Queue("mail", replica.url, retry_for=0.2) as queue, pytest.raises(errors.ReadOnlyError):
        queue.add("send")


def test_enqueue_works_after_a_restart(own_server: ServerProcess) -> None:
    with Queue("mail", own_server.url) as queue:
        queue.add("send")
        own_server.stop()
        starting = threading.Timer(0.3, own_server.start)
        starting.start()
        queue.add("send")
        starting.join()
        assert queue.statistics().waiting == 2


def test_threads_and_forked_processes_share_a_queue(queue: Queue) -> None:
    queue.add("send")
    threads = [threading.Thread(target=lambda: [queue.add("send") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    process = multiprocessing.get_context("fork").Process(target=lambda: [queue.add("send") for _ in range(50)])
    process.start()
    process.join()
    for thread in threads:
        thread.join()
    assert process.exitcode == 0
    assert queue.statistics().waiting == 451


def test_a_cluster_holds_a_queue_on_one_node(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes, Queue("mail", nodes[0].url) as queue:
        ids = [*queue.add_many("send", [{}] * 10), queue.add("send", id="mine").id]
        assert [one for one, _ in take(queue)] == ids


def test_the_asyncio_queue_has_the_same_methods(server: ServerProcess) -> None:
    async def use() -> None:
        async with AsyncQueue("mail", server.url) as queue:
            job = (await queue.add("send", {"to": "a"}, result_ttl=60)).id
            await queue.add_many("send", [{}] * 3)
            assert (await queue.statistics()).waiting == 4
            assert (await queue.job(job)).state == "waiting"
            await queue.pause()
            await queue.resume()
            await queue.limit(5)
            assert await queue.schedule("send", every=60)
            assert len(await queue.schedules()) == 1
            assert await queue.unschedule("send")
            assert await queue.cancel(job) == "waiting"
            assert await queue.dead_letters() == []
            assert await queue.requeue([]) == 0
            with pytest.raises(errors.InvalidJobError):
                await queue.result(job)

    asyncio.run(use())
    public = {name for name in vars(Queue) if not name.startswith("_")}
    assert public <= {name for name in vars(AsyncQueue) if not name.startswith("_")}


def test_no_password_shows(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("requirepass", "hush")
    with Queue("mail", f"redis://:not-hush@{HOST}:{own_server.port}") as queue:
        with pytest.raises(errors.LoginError) as caught:
            queue.add("send")
        assert "not-hush" not in f"{queue!r}{queue.settings()!r}{caught.value!r}"
