"""How a worker waits, stops and outlives its server: no job is lost, none is held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import redis
from valkeykit import Queue, Worker, errors
from valkeykit.queue.worker import prefetch, worker_run

from harness.servers import ServerProcess
from harness.waiting import WAIT_SECONDS, wait_until
from tests.integration.client.running_worker import running_worker

ROOT = Path(__file__).parents[3]


@contextmanager
def blocked(queue: Queue) -> Iterator[tuple[Worker, list[int], threading.Event]]:
    """A worker whose job waits for the event, with 50 short jobs prefetched; 2,000 have shown it how short they are."""
    go_on, done = threading.Event(), list[int]()

    @queue.handler
    def quick() -> None:
        done.append(1)

    @queue.handler
    def block() -> None:
        go_on.wait(2 * WAIT_SECONDS)

    with running_worker(queue, concurrency=1) as worker:
        queue.add_many("quick", [{}] * 2000)
        wait_until(lambda: len(done) == 2000)
        queue.add("block")
        queue.add_many("quick", [{}] * 50)
        try:
            yield worker, done, go_on
        finally:
            go_on.set()


def test_a_blocked_worker_gives_back_what_it_took_ahead(queue: Queue) -> None:
    with blocked(queue) as (first, done, _):
        with running_worker(queue, concurrency=1):
            wait_until(lambda: len(done) == 2050)
        assert first.last_contact > 0


def test_an_idle_worker_is_quiet(queue: Queue, server: ServerProcess) -> None:
    queue.handler(commands_sent)  # never called
    with running_worker(queue), closing(server.client()) as admin:
        wait_until(lambda: "cmdstat_blpop" in admin.info("commandstats"))
        time.sleep(0.1)
        before, began = commands_sent(admin), time.monotonic()
        time.sleep(3)
        wait_until(lambda: commands_sent(admin) > before)
        sent = commands_sent(admin) - before
        assert sent / (time.monotonic() - began) <= 2


def test_an_idle_worker_is_woken_by_a_job(queue: Queue, server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (prefetch, worker_run):
        monkeypatch.setattr(module, "POLL_BLOCK_SECONDS", 3600.0)  # no poll finds the job

    @queue.handler(result_ttl=3600)
    def double(n: int) -> int:
        return 2 * n

    with running_worker(queue), closing(server.client()) as admin:
        wait_until(lambda: "cmdstat_blpop" in admin.info("commandstats"))
        for n in range(3):
            assert queue.result(queue.add("double", {"n": n}).id, timeout=WAIT_SECONDS) == 2 * n


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
        "Worker(queue, concurrency=2, shutdown_timeout=3).run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(module)], env=os.environ | {"VALKEY_URL": str(queue.source)}, cwd=ROOT
    )
    try:
        queue.add("slow", {"seconds": 0.6})
        long = queue.add("slow", {"seconds": 60}).id
        wait_until(lambda: queue.statistics().active == 2)
        waiting = queue.add("slow", {"seconds": 0}).id
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
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
        with running_worker(queue):
            wait_until(lambda before=before: queue.statistics().completed > before + 500)  # type: ignore[misc]
        counts = queue.statistics()
        assert (counts.active, counts.waiting + counts.completed) == (0, 60_000)


def test_a_report_that_is_on_its_way_arrives_before_the_worker_ends(queue: Queue, server: ServerProcess) -> None:
    go_on = threading.Event()

    @queue.handler
    def note() -> None:
        go_on.wait(WAIT_SECONDS)

    with closing(server.client()) as admin:
        with running_worker(queue, concurrency=1):
            queue.add("note")
            wait_until(lambda: queue.statistics().active == 1)
            admin.client_pause(3000, all=False)  # longer than a stop waits for a take
            go_on.set()
            wait_until(lambda: is_held_up(admin))
        counts = queue.statistics()
    assert (counts.active, counts.completed) == (0, 1)


def test_jobs_on_their_way_back_arrive_before_the_worker_ends(queue: Queue, server: ServerProcess) -> None:
    with closing(server.client()) as admin:
        with blocked(queue) as (worker, _, go_on):
            wait_until(lambda: queue.statistics().active > 1)
            admin.client_pause(1500, all=False)
            wait_until(lambda: worker._run is not None and worker._run._executor.ready == 0)
            go_on.set()
        counts = queue.statistics()
    assert (counts.active, counts.waiting + counts.completed) == (0, 2051)


def is_held_up(admin: redis.Redis) -> bool:
    """Whether a script waits for the end of a pause."""
    return any("b" in client["flags"] and client["cmd"] in {"evalsha", "eval"} for client in admin.client_list())


def test_a_worker_waits_for_its_server_and_outlives_it(own_server: ServerProcess) -> None:
    own_server.stop()
    done: list[int] = []
    with Queue("mail", own_server.url) as queue:

        @queue.handler
        def note(n: int) -> None:
            done.append(n)

        with running_worker(queue):
            time.sleep(0.3)
            own_server.start()
            queue.add("note", {"n": 1})
            wait_until(lambda: done == [1])
            own_server.kill()
            own_server.start()
            queue.add("note", {"n": 2})
            wait_until(lambda: done == [1, 2])


def test_a_worker_ends_although_its_server_is_gone(own_server: ServerProcess) -> None:
    started = threading.Semaphore(0)
    with Queue("mail", own_server.url) as queue:

        @queue.handler
        def note(seconds: float) -> None:
            started.release()
            time.sleep(seconds)

        with running_worker(queue, shutdown_timeout=0.5):
            queue.add_many("note", [{"seconds": 0.5}, {"seconds": 1}])
            assert started.acquire(timeout=WAIT_SECONDS)
            assert started.acquire(timeout=WAIT_SECONDS)
            own_server.kill()
            time.sleep(1.5)  # one end is being told in vain, the other waits for its turn
            began = time.monotonic()
        assert time.monotonic() - began < 120  # a guard against a hang


def test_a_server_that_does_not_suit_stops_the_worker(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
    queue = Queue("mail", own_server.url)
    queue.handler(wait_until)
    with pytest.raises(errors.UnsupportedServerError):
        Worker(queue).run()


def test_jobs_run_although_the_system_had_no_thread_for_a_while(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    start, failures = threading.Thread.start, [1, 2, 3]

    def fail_at_first(thread: threading.Thread) -> None:
        if thread.name == "valkeykit-job" and failures:
            failures.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_at_first)
    queue.handler(name="quick", attempts=1)(lambda: None)
    queue.add_many("quick", [{}] * 5)
    with running_worker(queue, concurrency=3):
        wait_until(lambda: queue.statistics().completed == 5)
    assert not failures


def test_a_run_that_lost_its_lease_does_not_end_the_next_run_of_its_worker(queue: Queue, server: ServerProcess) -> None:
    runs, ends = list[int](), [threading.Event(), threading.Event()]

    @queue.handler(attempts=1, result_ttl=60)
    def work() -> str:
        runs.append(len(runs))
        if len(runs) > 1:
            ends[1].wait(60)
            return "second"
        while not ends[0].is_set():
            with suppress(BaseException):  # it can't be interrupted
                time.sleep(0.01)
        raise ValueError("first")

    lost = list[str]()
    with running_worker(queue, listeners=[lambda event: lost.append(event.kind)]), closing(server.client()) as client:
        job = queue.add(work).id
        wait_until(lambda: len(runs) == 1)
        client.zadd(f"{queue.protocol.prefix}:leases", {job: 0})
        queue.send(queue.protocol.take("other", 0, 1000))
        assert queue.requeue([job]) == 1
        wait_until(lambda: len(runs) == 2)
        ends[0].set()
        wait_until(lambda: "lost" in lost)
        assert queue.job(job).state == "active"
        ends[1].set()
        assert queue.result(job, timeout=60) == "second"
