"""Leases while a handler holds the interpreter's lock, and when the worker itself is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from valkeykit import Queue
from valkeykit.queue.worker import lease_guard

from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import settled

ROOT = Path(__file__).parents[3]


@contextmanager
def worker_process(server: ServerProcess) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.client.guarded_app"],
        env=os.environ | {"WORKER_URL": server.url}, cwd=ROOT, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(process: subprocess.Popen[bytes]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_leases_are_renewed_while_a_handler_holds_the_interpreters_lock(queue: Queue, server: ServerProcess) -> None:
    with worker_process(server), closing(server.client()) as admin:
        queue.add("hog", {"seconds": 5})
        wait_until(lambda: admin.hget("runs", "hog") == "1")
        with worker_process(server):  # would take over a job whose lease ends
            wait_until(lambda: settled(queue))
    assert (queue.statistics().lost, admin.hget("runs", "hog")) == (0, "1")


def test_the_guard_ends_with_its_worker(queue: Queue, server: ServerProcess) -> None:
    with worker_process(server) as process, closing(server.client()) as admin:
        queue.add("hog", {"seconds": 60})
        wait_until(lambda: admin.hget("runs", "hog") == "1")
        (one,) = children(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not is_running(one))
        wait_until(lambda: queue.send(queue.protocol.take("other", 1, 30_000)).jobs != [])


def test_a_worker_ends_although_a_handler_left_a_child(queue: Queue, server: ServerProcess) -> None:
    with worker_process(server) as process, closing(server.client()) as admin:
        queue.add("leave_a_child")
        wait_until(lambda: queue.statistics().completed == 1)
        try:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            os.kill(int(str(admin.get("child"))), signal.SIGKILL)


def test_a_worker_does_without_a_guard_where_no_process_can_be_made(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([Path()]))
    assert lease_guard.LeaseGuard.fork(queue, "w", 30) is None
    assert "the lease guard process can't be started" in caplog.text
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


KILLED = """
import os, signal, sys
from valkeykit import Queue
from valkeykit.queue.worker.lease_guard import LeaseGuard
from valkeykit.queue.job import unpack
queue = Queue("mail", sys.argv[1])
guard = LeaseGuard.fork(queue, "w", 3600)
taken = queue.send(queue.protocol.take("w", 3, 3_600_000)).jobs
jobs = [unpack(*job, {}) for job in taken]
queue.send(queue.protocol.start("w", [part for job in jobs for part in (job.key, job.attempt)]))
guard.track(jobs)
guard.mark_started(jobs[0])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_last_attempts_that_had_not_begun_are_given_back_when_the_worker_is_killed(
    queue: Queue, server: ServerProcess
) -> None:
    begun, unbegun = queue.add_many("send", [{}] * 2, attempts=1)
    retryable = queue.add("send").id
    subprocess.run([sys.executable, "-c", KILLED, server.url], check=False, cwd=ROOT)
    wait_until(lambda: queue.job(unbegun).state == "waiting")
    assert queue.job(unbegun).attempts == 0
    assert (queue.job(begun).state, queue.job(retryable).state) == ("active", "active")
