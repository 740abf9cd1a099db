"""How a worker starts and stops: by `stop`, by signals, and by itself when nothing is left."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from redis.credentials import CredentialProvider
from valkeykit import Queue, Worker, errors
from valkeykit.queue.aqueue import AsyncQueue
from valkeykit.queue.job import Job
from valkeykit.queue.protocol import ScriptCall
from valkeykit.queue.worker.leases import LeaseManager

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker, settled

ROOT = Path(__file__).parents[3]


@pytest.fixture
def known(queue: Queue) -> Queue:
    queue.handler(name="note", result_ttl=60)(lambda: 1)
    return queue


def test_a_burst_ends_when_nothing_is_left(known: Queue) -> None:
    known.add_many("note", [{}] * 100)
    known.add("note", delay=600)
    Worker(known).run(burst=True)
    assert (known.statistics().completed, known.statistics().delayed) == (100, 1)
    Worker(known).run(burst=True)


def test_a_burst_waits_for_running_jobs_and_skips_jobs_without_a_handler(known: Queue) -> None:
    done: list[int] = []

    async def slow() -> None:
        await asyncio.sleep(0.3)
        done.append(1)

    known.handler(slow)
    known.add("slow")
    known.add("unknown")
    Worker(known).run(burst=True)
    assert done == [1]
    assert known.statistics().completed == 1
    assert known.statistics().waiting + known.statistics().delayed == 1


def test_a_worker_that_is_stopped_before_it_serves_does_nothing(known: Queue) -> None:
    worker = Worker(known)
    worker.stop()
    worker.stop()
    known.add("note")
    worker.run()
    assert known.statistics().waiting == 1
    worker.run(burst=True)  # and may serve later
    assert known.statistics().completed == 1
    worker.stop()


def test_a_worker_serves_once_at_a_time(known: Queue) -> None:
    with running_worker(known) as worker:
        wait_until(lambda: worker.last_contact > 0)
        with pytest.raises(errors.ConfigurationError, match="already running"):
            worker.run()
        assert known.result(known.add("note").id) == 1


def test_run_in_a_running_loop_raises_an_error_with_a_fix(known: Queue) -> None:
    async def start() -> None:
        with pytest.raises(errors.ConfigurationError, match="event loop") as caught:
            Worker(known).run()
        assert "serve()" in caught.value.fix

    asyncio.run(start())


def test_a_worker_runs_in_any_thread(known: Queue) -> None:
    failures: list[BaseException] = []
    worker = Worker(known)

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001  (the test gets it)
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert known.result(known.add("note").id, timeout=30) == 1
    finally:
        worker.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert failures == []


def test_a_second_stop_does_not_wait_for_what_runs(queue: Queue) -> None:
    began = threading.Event()

    @queue.handler
    async def long() -> None:
        began.set()
        await asyncio.sleep(600)

    job = queue.add(long).id
    worker = Worker(queue, shutdown_timeout=600)
    thread = threading.Thread(target=lambda: asyncio.run(worker.serve()))
    thread.start()
    assert began.wait(30)
    worker.stop()
    thread.join(0.5)
    assert thread.is_alive()
    worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    state = queue.job(job)
    assert (state.state, state.attempts) == ("waiting", 0)
    assert queue.workers() == []


def test_a_second_sigint_ends_a_worker_at_once(queue: Queue, tmp_path: Path) -> None:
    module = tmp_path / "app.py"
    module.write_text(
        "import asyncio, os\nfrom valkeykit import Queue, Worker\n"
        "queue = Queue('mail', os.environ['VALKEY_URL'])\n"
        "@queue.handler\nasync def long() -> None:\n    await asyncio.sleep(600)\n"
        "Worker(queue, shutdown_timeout=600).run()\n"
    )
    job = queue.add("long").id
    process = subprocess.Popen(
        [sys.executable, str(module)], env=os.environ | {"VALKEY_URL": str(queue.source)}, cwd=ROOT
    )
    try:
        wait_until(lambda: queue.job(job).state == "active")
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert (queue.job(job).state, queue.job(job).attempts) == ("waiting", 0)


def test_jobs_of_a_take_without_a_reply_go_back_at_the_end(known: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run, sha = AsyncQueue._run, known.protocol.take("w", 1, 1).script.sha
    is_cut, is_stopped = threading.Event(), threading.Event()

    async def run_and_forget(self: AsyncQueue, call: ScriptCall[object]) -> object:
        answer = await run(self, call)
        if call.script.sha == sha and not is_stopped.is_set() and len(answer) > 4:
            is_cut.set()
            raise ConnectionResetError("the answer is lost")
        return answer

    monkeypatch.setattr(AsyncQueue, "_run", run_and_forget)
    job = known.add("note", attempts=1).id
    with running_worker(known) as worker:
        assert is_cut.wait(30)
        worker.stop()
        wait_until(lambda: worker._stopping is not None and worker._stopping.is_set())
        is_stopped.set()
    wait_until(lambda: known.job(job).state != "active")
    state = known.job(job)
    assert (state.state, state.attempts) in {("waiting", 0), ("missing", 0)}  # back, or run after all
    assert known.statistics().dead == 0


def test_a_provider_of_credentials_that_fails_for_a_while_is_waited_for(
    own_server: ServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "valkeykit.queue")
    failures = [OSError("no token"), ValueError("503"), KeyError("token")] * 2

    class Cloud(CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            if failures:
                raise failures.pop()
            return ("app", "secret")

    with own_server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
    with Queue("mail", own_server.url, credentials=Cloud(), retry_for=0.1) as queue:
        queue.handler(name="note", result_ttl=60)(lambda: 1)
        with running_worker(queue), Queue("mail", own_server.url) as producer:
            assert producer.result(producer.add("note", result_ttl=60).id, timeout=60) == 1
            failures += [OSError("no token")] * 2
            with own_server.client() as admin:
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert producer.result(producer.add("note", result_ttl=60).id, timeout=60) == 1
        assert settled(producer)


def test_a_job_that_is_given_back_does_not_end_at_the_same_time(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    done, release = list[str](), LeaseManager.release
    events = list[asyncio.Event]()

    @queue.handler(attempts=1)
    async def work() -> None:
        events.append(asyncio.Event())
        await events[0].wait()
        done.append("done")

    async def give_back_late(leases: LeaseManager, jobs: list[Job], delay: float = 0) -> None:
        if jobs:
            events[0].set()
            for _ in range(10):
                await asyncio.sleep(0)
        await release(leases, jobs, delay)

    monkeypatch.setattr(LeaseManager, "release", give_back_late)
    queue.add(work)
    with running_worker(queue, shutdown_timeout=0):
        wait_until(lambda: bool(events))
    assert done == []
    assert queue.statistics().waiting == 1
