"""Workers that are killed, producers, and the checks after the last fault: all bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from valkeykit import AsyncQueue, Queue, errors
from valkeykit.vocabulary import Topology

from harness.waiting import wait_until
from tests.faults.runs import RunLog
from tests.faults.totals import totals

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "10"))
WAIT_SECONDS = 120.0
MIN_JOBS = 20
"""Seconds in which everything must have been done after the last fault."""

CURRENT = ("-m", "tests.faults.recording_worker")
NEXT = ("-m", "tests.faults.next_version", "work")
"""Workers of this version, and of the next one."""

Way = Callable[[Any], Any]
"""Adds jobs to a Queue or an AsyncQueue."""


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a Python process."""
    log = None if os.environ.get("WORKER_LOGS") else subprocess.DEVNULL
    return subprocess.Popen([sys.executable, *arguments], env=os.environ | environment, cwd=ROOT, stderr=log)


class Workers:
    """Worker processes. Use it in a `with` statement: none is left when that ends."""

    def __init__(self, number: int, runs: RunLog, *, program: Sequence[str] = CURRENT, **environment: str) -> None:
        self._program = program
        self._environment = environment | {"RUNS": str(runs.path)}
        self._runs = runs
        self.processes = [self._start() for _ in range(number)]

    def _start(self) -> subprocess.Popen[bytes]:
        return start(*self._program, **self._environment)

    def kill_one(self, before: Callable[[], None] | None = None) -> None:
        """Kill a worker with SIGKILL and start another one. `before` is called while the worker is stopped."""
        index = random.randrange(len(self.processes))
        if before is not None:
            self.processes[index].send_signal(signal.SIGSTOP)
            before()
        self.processes[index].kill()
        self.processes[index].wait()
        if before is not None:
            before()
        self.processes[index] = self._start()

    def restart_one(self) -> None:
        """Stop a worker with SIGTERM and start another one."""
        index = random.randrange(len(self.processes))
        self._end(self.processes[index])
        self.processes[index] = self._start()

    def replace_ended(self) -> int:
        """Start a worker for each that has ended; returns how many there were."""
        ended = [index for index, process in enumerate(self.processes) if process.poll() is not None]
        for index in ended:
            self.processes[index] = self._start()
        return len(ended)

    def all_alive(self) -> bool:
        return all(process.poll() is None for process in self.processes)

    def await_runs_of_all(self) -> None:
        """Wait until every worker has run a job."""
        wait_until(
            lambda: {process.pid for process in self.processes} <= {run.pid for run in self._runs.read()},
            problem="a worker runs no job",
        )

    def check_none_stuck(self, queue: Queue) -> None:
        """Every worker still takes jobs, and ends on SIGTERM."""
        pids, seen, end = {process.pid for process in self.processes}, len(self._runs.read()), time.monotonic() + 60
        while (idle := pids - {run.pid for run in self._runs.read()[seen:]}) and time.monotonic() < end:
            queue.add_many("work", [{"seconds": 0.01}] * 40)
            time.sleep(0.1)
        totals.stuck_workers += len(idle)
        assert not idle, "workers take no jobs"
        all_done(queue)
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            self._end(process)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            totals.stuck_workers += 1
            raise


class Load(threading.Thread):
    """Adds jobs in one of several ways at a time until it is stopped. Use it in a `with` statement.

    acknowledged: ids of the jobs whose add returned. refused: the errors of the others.
    """

    def __init__(self, url: str, *ways: Way, pause: float = 0.004, topology: Topology | None = None) -> None:
        super().__init__()
        self.acknowledged: set[str] = set()
        self.refused: list[errors.ValkeykitError] = []
        self._url = url
        self._ways = ways
        self._pause = pause
        self._topology = topology
        self._ended = threading.Event()

    def run(self) -> None:
        with Queue("faults", self._url, retry_for=60, topology=self._topology) as queue:
            while not self._ended.wait(self._pause):
                try:
                    self._note(random.choice(self._ways)(queue))
                except errors.ValkeykitError as error:
                    self.refused.append(error)

    def stop(self) -> None:
        self._ended.set()
        self.join(90)
        assert not self.is_alive()

    def _note(self, added: Any) -> None:
        self.acknowledged |= set(added) if isinstance(added, list) else {added.id}

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class AsyncLoad(Load):
    """The same by an AsyncQueue."""

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        queue = AsyncQueue("faults", self._url, retry_for=60, topology=self._topology)
        while not self._ended.is_set():
            await asyncio.sleep(self._pause)
            try:
                self._note(await random.choice(self._ways)(queue))
            except errors.ValkeykitError as error:
                self.refused.append(error)
        await queue.close()


class Producer(threading.Thread):
    """Adds jobs one after the other until it is stopped; `acknowledged` are those whose add came back."""

    def __init__(self, url: str, *, pause: float = 0.001, topology: Topology | None = None) -> None:
        super().__init__()
        self._queue = Queue("faults", url, retry_for=20, topology=topology, read_timeout=0.5, connect_timeout=0.5)
        self._pause = pause
        self._ended = threading.Event()
        self.acknowledged: dict[int, str] = {}
        self.refused = 0

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            try:
                self.acknowledged[number] = self._queue.add(
                    "note", {"n": number}, attempts=100, backoff=0.05, result_ttl=600
                ).id
            except errors.ValkeykitError:
                self.refused += 1
            self._ended.wait(self._pause)
        self._queue.close()

    def stop(self, at_least: int = MIN_JOBS) -> None:
        """Stop once so many jobs were added that a test means something, however slow the machine is."""
        wait_until(lambda: len(self.acknowledged) >= at_least or not self.is_alive())
        self._ended.set()
        self.join(90)
        assert not self.is_alive()


def all_done(queue: Queue, seconds: float = WAIT_SECONDS) -> None:
    """Wait until nothing is left."""
    end, counts = time.monotonic() + seconds, None
    while True:
        with contextlib.suppress(errors.ValkeykitError):
            counts = queue.statistics()
            if counts.waiting == counts.active == counts.delayed == 0:
                return
        assert time.monotonic() < end, f"stuck: {counts}"
        time.sleep(0.1)


def check(queue: Queue, producer: Producer, runs: RunLog, *, others: Collection[str] = ()) -> None:
    """Every acknowledged job is done, has the one right result, and none was set aside.

    others: ids of further jobs that were acknowledged.
    """
    all_done(queue)
    assert len(producer.acknowledged) >= MIN_JOBS
    missing = [n for n, job in producer.acknowledged.items() if queue.job(job).result != n * 2]
    totals.lost_jobs += len(missing)
    assert check_runs(queue, [*producer.acknowledged.values(), *others], runs) == set(), queue.dead_letters(3)
    assert missing == []


def check_runs(
    queue: Queue, acknowledged: Collection[str], runs: RunLog, *, killed_at_start: Collection[str] = ()
) -> set[str]:
    """Every acknowledged job ran or is a dead letter, and every dead letter ran; returns the dead letters.

    killed_at_start: jobs that may be dead without having run, since the server knew of the start and a kill came first.
    """
    all_done(queue)
    dead = {job.id for job in queue.jobs("dead", 1_000_000)}
    log = runs.read()
    ran = {run.job for run in log}
    lost = set(acknowledged) - ran - dead
    never_ran = dead - ran
    at_start = never_ran & set(killed_at_start)
    totals.acknowledged_jobs += len(acknowledged)
    totals.runs += len(log)
    totals.lost_jobs += len(lost)
    totals.killed_at_start += len(at_start)
    totals.dead_that_never_ran += len(never_ran - at_start)
    assert not lost
    assert never_ran <= at_start
    return dead


def duplicates(runs: RunLog) -> int:
    """How many runs there were beyond one for each job."""
    log = runs.read()
    return len(log) - len({run.job for run in log})
