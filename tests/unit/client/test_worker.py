"""The worker on a real server: jobs in, outcomes out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeykit import Queue, Worker, current_job, errors
from valkeykit.queue.events import Event

from tests import servers
from tests.servers import Server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def queue(server: Server) -> Iterator[Queue]:
    with Queue("mail", server.url, retry_for=2) as queue:
        yield queue


@contextmanager
def working(queue: Queue, **options: Any) -> Iterator[Worker]:
    """A worker that runs beside the test and is stopped at its end."""
    worker = Worker(queue, **({"concurrency": 4, "drain": 2} | options))
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(worker.serve())
        except BaseException as error:  # noqa: BLE001  (the test gets it)
            failure.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(15)
        assert not thread.is_alive()
        if failure:
            raise failure[0]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it didn't happen in time"
        time.sleep(0.01)


def settled(queue: Queue) -> bool:
    counts = queue.statistics()
    return counts.waiting == counts.active == counts.delayed == 0


def test_functions_and_coroutines_run_with_their_arguments(queue: Queue) -> None:
    @queue.handler(result_ttl=60)
    def add(a: int, b: int) -> int:
        return a + b

    @queue.handler(result_ttl=60)
    async def shout(text: str) -> str:
        await asyncio.sleep(0.01)
        return text.upper()

    with working(queue):
        jobs = queue.add(add, {"a": 1, "b": 2}).id, queue.add("shout", {"text": "hi"}).id
        assert [queue.result(job) for job in jobs] == [3, "HI"]
    assert queue.statistics().completed == 2


def test_many_jobs_each_once(queue: Queue) -> None:
    seen: list[int] = []

    @queue.handler
    def note(n: int) -> None:
        seen.append(n)

    queue.add_many("note", ({"n": n} for n in range(5000)))
    with working(queue):
        until(lambda: settled(queue))
    assert sorted(seen) == list(range(5000))


def test_a_failing_job_is_retried_with_growing_pauses_and_then_set_aside(queue: Queue) -> None:
    times: list[float] = []

    @queue.handler(attempts=3, backoff=0.1)
    def broken() -> None:
        times.append(time.monotonic())
        raise ValueError("no luck")

    with working(queue):
        job = queue.add("broken").id
        until(lambda: queue.statistics().dead == 1)
    first, second = (later - earlier for earlier, later in pairwise(times))
    assert 0.05 <= first < 1  # half of the pause at least; its end wakes the worker
    assert 0.1 <= second < 1
    (letter,) = queue.dead_letters()
    assert (letter.id, letter.attempts, letter.error) == (job, 3, "ValueError: no luck")


def test_anything_a_handler_raises_fails_its_job_only(queue: Queue) -> None:
    @queue.handler(attempts=1)
    def leave() -> None:
        raise SystemExit(3)

    @queue.handler(attempts=1)
    async def leave_async() -> None:
        raise KeyboardInterrupt

    @queue.handler(attempts=1, result_ttl=60)
    def odd() -> object:
        return object()

    @queue.handler(result_ttl=60)
    def fine() -> int:
        return 1

    with working(queue):
        for name in ("leave", "leave_async", "odd", "nobody", "fine"):
            last = queue.add(name, {}, attempts=1)
        queue.add("fine", {"unexpected": 1}, attempts=1)
        until(lambda: queue.statistics().dead == 5)
        assert queue.result(last.id) == 1
    errors_by_name = {letter.name: letter.error for letter in queue.dead_letters() if letter.name != "fine"}
    assert errors_by_name["leave"] == "SystemExit: 3"
    assert errors_by_name["leave_async"].startswith("KeyboardInterrupt")
    assert "isn't JSON" in errors_by_name["odd"]
    assert "no handler for 'nobody'" in errors_by_name["nobody"]


@pytest.mark.parametrize(
    "record", [b"", b"nonsense", b"1 2 3\n{}", b"1 0 5 0 0 0 note\n{not json", b"1 0 5 0 0 0 note\n[1]", b"\xff\xfe\n"]
)
def test_a_corrupt_job_is_set_aside(queue: Queue, server: Server, record: bytes) -> None:
    @queue.handler
    def note() -> None: ...

    with closing(server.client()) as admin, working(queue):
        job = queue.add("note", delay=0.2).id
        admin.hset("valkeykit:{mail}:jobs", job, record)
        good = queue.add("note").id
        until(lambda: queue.statistics().dead == 1 and queue.job(good).state == "missing")
    assert queue.dead_letters()[0].id == job


def test_a_job_that_takes_too_long_is_ended(queue: Queue) -> None:
    @queue.handler(timeout=0.2, attempts=1)
    async def sleepy() -> None:
        await asyncio.sleep(30)

    @queue.handler(timeout=0.2, attempts=1)
    def spinning() -> None:
        while True:
            time.sleep(0.01)

    with working(queue):
        queue.add("sleepy")
        queue.add("spinning")
        until(lambda: queue.statistics().dead == 2)
    assert {letter.error for letter in queue.dead_letters()} == {"JobTimeoutError: it ran longer than 0.2 s"}


def test_leases_are_renewed_while_a_job_runs_and_cancelling_ends_it(queue: Queue) -> None:
    events: list[Event] = []

    @queue.handler
    def long() -> None:
        while True:
            time.sleep(0.01)

    with working(queue, lease=1, listeners=[events.append]):
        job = queue.add("long").id
        time.sleep(1.5)
        assert (queue.job(job).state, queue.job(job).attempts, queue.statistics().lost) == ("active", 1, 0)
        assert queue.cancel(job) == "active"
        until(lambda: queue.job(job).state == "missing")
        until(lambda: [event.kind for event in events] == ["cancelled"])


def test_progress_can_be_seen(queue: Queue) -> None:
    go_on = threading.Event()

    @queue.handler
    def stepwise() -> None:
        current_job().progress({"step": 2})
        go_on.wait(5)

    with working(queue):
        job = queue.add("stepwise").id
        until(lambda: queue.job(job).progress == {"step": 2})
        go_on.set()
        until(lambda: settled(queue))


def test_repeats_run_once_each_though_two_workers_look_for_them(queue: Queue, server: Server) -> None:
    runs: list[float] = []

    @queue.handler
    def beat() -> None:
        runs.append(time.time())

    with closing(server.client()) as admin, working(queue), working(queue):
        begin = time.time()
        queue.repeat("beat", every=0.2)
        until(lambda: len(runs) >= 5)
        assert (admin.zscore("valkeykit:{mail}:repeating", "beat") or 1) % 200 == 0
        queue.stop_repeating("beat")
        came = (time.time() - begin) // 0.2 + 1  # at most, of the times that are due
    assert len(runs) <= came


def test_a_corrupt_repeat_is_removed_and_the_rest_goes_on(queue: Queue, server: Server) -> None:
    done: list[int] = []

    @queue.handler
    def note() -> None:
        done.append(1)

    with closing(server.client()) as admin, working(queue):
        admin.hset("valkeykit:{mail}:repeats", "bad", "nonsense")
        admin.zadd("valkeykit:{mail}:repeating", {"bad": 1})
        queue.add("note")
        until(lambda: done == [1] and not admin.exists("valkeykit:{mail}:repeats"))


@contextmanager
def blocked(queue: Queue) -> Iterator[tuple[Worker, list[int], threading.Event]]:
    """A worker whose job waits for the event, with 50 quick jobs taken ahead; 2,000 have told it how quick they are."""
    go_on, done = threading.Event(), list[int]()

    @queue.handler
    def quick() -> None:
        done.append(1)

    @queue.handler
    def block() -> None:
        go_on.wait(8)

    with working(queue, concurrency=1) as worker:
        queue.add_many("quick", [{}] * 2000)
        until(lambda: len(done) == 2000)
        queue.add("block")
        queue.add_many("quick", [{}] * 50)
        yield worker, done, go_on


def test_a_blocked_worker_gives_back_what_it_took_ahead(queue: Queue) -> None:
    with blocked(queue) as (first, done, go_on):
        with working(queue, concurrency=1):
            until(lambda: len(done) == 2050, 5)
        assert first.last_take > 0
        go_on.set()


def test_an_idle_worker_is_quiet_and_wakes_at_once(queue: Queue, server: Server) -> None:
    @queue.handler(result_ttl=60)
    def when() -> float:
        return time.time()

    with working(queue), closing(server.client()) as admin:
        until(lambda: "cmdstat_blpop" in admin.info("commandstats"))
        time.sleep(0.1)
        before = commands_sent(admin)
        time.sleep(3)
        sent = commands_sent(admin) - before
        waits = []
        for _ in range(3):
            added = time.time()
            waits.append(queue.result(queue.add("when").id) - added)
    assert 0 < sent / 3 <= 2
    assert min(waits) < 0.1  # without being woken it looks after two seconds


def commands_sent(admin: redis.Redis) -> int:
    """Without those that scripts run inside the server."""
    return sum(counts["calls"] for name, counts in admin.info("commandstats").items() if name in {
        "cmdstat_evalsha", "cmdstat_eval", "cmdstat_blpop",
    })  # fmt: skip


def test_sigterm_finishes_what_runs_and_gives_back_the_rest(queue: Queue, tmp_path: Path) -> None:
    module = tmp_path / "app.py"
    module.write_text(
        "import os, time\nfrom valkeykit import Queue, Worker\n"
        "queue = Queue('mail', os.environ['VALKEY_URL'])\n"
        "@queue.handler\ndef slow(seconds: float) -> None:\n    time.sleep(seconds)\n"
        "Worker(queue, concurrency=2, drain=1).run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(module)], env=os.environ | {"VALKEY_URL": str(queue.source)}, cwd=ROOT
    )
    try:
        queue.add("slow", {"seconds": 0.6})
        long = queue.add("slow", {"seconds": 60}).id
        until(lambda: queue.statistics().active == 2)
        waiting = queue.add("slow", {"seconds": 0}).id
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
    assert queue.statistics().completed == 1
    assert [(queue.job(job).state, queue.job(job).attempts) for job in (long, waiting)] == [("waiting", 0)] * 2


def test_a_worker_that_is_stopped_while_it_is_busy_loses_no_lease(queue: Queue) -> None:
    @queue.handler
    def note() -> None: ...

    queue.add_many("note", [{}] * 60_000)
    for _ in range(4):
        before = queue.statistics().completed
        with working(queue):
            until(lambda before=before: queue.statistics().completed > before + 500)  # type: ignore[misc]
        counts = queue.statistics()
        assert (counts.active, counts.waiting + counts.completed) == (0, 60_000)


def test_a_report_that_is_on_its_way_arrives_before_the_worker_ends(queue: Queue, server: Server) -> None:
    go_on = threading.Event()

    @queue.handler
    def note() -> None:
        go_on.wait(5)

    with closing(server.client()) as admin:
        with working(queue, concurrency=1):
            queue.add("note")
            until(lambda: queue.statistics().active == 1)
            admin.client_pause(3000, all=False)  # longer than a stop waits for a take
            go_on.set()
            until(lambda: is_held_up(admin))
        counts = queue.statistics()
    assert (counts.active, counts.completed) == (0, 1)


def test_jobs_on_their_way_back_arrive_before_the_worker_ends(queue: Queue, server: Server) -> None:
    with closing(server.client()) as admin:
        with blocked(queue) as (worker, _, go_on):
            until(lambda: queue.statistics().active > 1)
            admin.client_pause(1500, all=False)
            until(lambda: worker._slots.ready == 0)
            go_on.set()
        counts = queue.statistics()
    assert (counts.active, counts.waiting + counts.completed) == (0, 2051)


def is_held_up(admin: redis.Redis) -> bool:
    """Whether a script waits for the end of a pause."""
    return any("b" in client["flags"] and client["cmd"] in {"evalsha", "eval"} for client in admin.client_list())


def test_a_worker_waits_for_its_server_and_outlives_it(own_server: Server) -> None:
    own_server.stop()
    done: list[int] = []
    with Queue("mail", own_server.url) as queue:

        @queue.handler
        def note(n: int) -> None:
            done.append(n)

        with working(queue):
            time.sleep(0.3)
            own_server.start()
            queue.add("note", {"n": 1})
            until(lambda: done == [1])
            own_server.kill()
            own_server.start()
            queue.add("note", {"n": 2})
            until(lambda: done == [1, 2])


def test_a_worker_ends_although_its_server_is_gone(own_server: Server) -> None:
    started = threading.Semaphore(0)
    with Queue("mail", own_server.url) as queue:

        @queue.handler
        def note(seconds: float) -> None:
            started.release()
            time.sleep(seconds)

        with working(queue, drain=0.5):
            queue.add_many("note", [{"seconds": 0.5}, {"seconds": 1}])
            assert started.acquire(timeout=5)
            assert started.acquire(timeout=5)
            own_server.kill()
            time.sleep(1.5)  # one end is being told in vain, the other waits for its turn
            began = time.monotonic()
        assert time.monotonic() - began < 10


def test_a_server_that_does_not_suit_stops_the_worker(own_server: Server) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
    queue = Queue("mail", own_server.url)
    queue.handler(until)
    with pytest.raises(errors.UnsupportedServerError):
        Worker(queue).run()


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"lease": 0.5}, {"drain": -1}])
def test_bad_numbers(options: dict[str, Any]) -> None:
    queue = Queue("mail")
    queue.handler(until)
    with pytest.raises(errors.ConfigurationError):
        Worker(queue, **options)


def test_job_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue("mail")
    with pytest.raises(errors.ConfigurationError, match="no handler"):
        Worker(queue)
    queue.handler(until)
    monkeypatch.setenv("JOB_CONCURRENCY", "3")
    assert Worker(queue).concurrency == 3
    monkeypatch.setenv("JOB_CONCURRENCY", "many")
    with pytest.raises(errors.ConfigurationError, match="'many'"):
        Worker(queue)


def test_the_queue_off_runs_jobs_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_VALKEY_QUEUE", "off")
    queue = Queue("mail", f"redis://{servers.HOST}:1")

    @queue.handler
    async def double(n: int) -> int:
        return n * 2

    @queue.handler(attempts=2)
    def broken() -> None:
        raise ValueError("no")

    assert queue.result(queue.add("double", {"n": 4}).id) == 8
    assert not (queue.add("double", {"n": 4}, id="once").new and queue.add("double", {"n": 4}, id="once").new)
    with pytest.raises(errors.JobFailedError, match="no"):
        queue.result(queue.add("broken").id)
    with pytest.raises(errors.InvalidJobError, match="no handler"):
        queue.add("nobody")
    monkeypatch.setenv("USE_VALKEY_QUEUE", "perhaps")
    with pytest.raises(errors.ConfigurationError, match="USE_VALKEY_QUEUE"):
        Queue("mail")
