"""The lease guard: a process that renews a worker's leases while the worker can't.

While a handler holds the interpreter's lock, for example in a regular expression that backtracks, no thread of the
worker runs.

The worker writes what it holds to a pipe. The process renews only where the worker has sent nothing for a third of the
lease. It ends with the worker. If the worker was killed, it first releases the jobs whose last attempt was due and
had not started.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valkeykit.queue.job_events import logger
from valkeykit.queue.queue import Queue

if TYPE_CHECKING:
    from valkeykit.queue.base import QueueBase
    from valkeykit.queue.job import Job

RENEWALS_PER_LEASE = 6
"""Renewals within the duration of a lease; cancellations are noticed as often."""

RENEWAL_RETRY_FRACTION = 1 / 3
"""The part of a lease for which a renewal is retried, and after which the guard renews those of a silent worker."""

LEASE_BATCH_JOBS = 1000
"""Jobs that are renewed or started by one call."""

MAX_SILENCE_SECONDS = 600.0
"""Seconds without a message after which a worker counts as stuck, and its leases expire."""

MAX_BACKLOG_BYTES = 16 * 1024 * 1024
"""Bytes that wait for the process to read them; beyond it the worker continues without the process."""

RELEASE_RETRY_SECONDS = 5.0
"""Seconds in which jobs are released after the worker has ended."""

_LAST = b"!"


class LeaseGuard:
    """The worker's end of the pipe. All methods may be called from any thread, and never wait."""

    def __init__(self, process: int, pipe: int) -> None:
        self._process = process
        self._pipe: int | None = pipe
        self._backlog = bytearray()
        self._lock = threading.Lock()

    @classmethod
    def fork(cls, queue: QueueBase, worker: str, lease: float) -> LeaseGuard | None:
        """Start the process; None if a fork isn't safe: with other threads, and elsewhere than on Linux."""
        if not sys.platform.startswith("linux") or len(list(Path("/proc/self/task").iterdir())) > 1:
            return None
        reading, writing = os.pipe()
        ended = {signal.SIGINT, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ended)
        try:
            process = os.fork()
        except OSError as problem:
            logger.warning("the lease guard process can't be started: %s", problem.strerror)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(reading)
            os.close(writing)
            return None
        if process == 0:
            for number in ended:
                signal.signal(number, signal.SIG_IGN)
            with contextlib.suppress(BaseException):
                _Renewer(queue, worker, lease, reading).run()
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reading)
        os.set_blocking(writing, False)
        return cls(process, writing)

    def track(self, jobs: Iterable[Job]) -> None:
        """Renew these leases too."""
        words = [b"%b %d%b" % (job.key, job.attempt, _LAST if job.is_last_attempt else b"") for job in jobs]
        self._write(b"+" + b" ".join(words) + b"\n")

    def mark_started(self, job: Job) -> None:
        """The handler of a job's last attempt is called now."""
        self._write(b"*" + job.key + b"\n")

    def untrack(self, jobs: Iterable[Job]) -> None:
        """Renew these leases no longer."""
        self._write(b"-" + b" ".join([job.key for job in jobs]) + b"\n")

    def renewed(self, description: str) -> None:
        """Note that the worker has renewed its leases. `description` is the worker's, as JSON."""
        self._write(b"=" + description.encode() + b"\n")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._pipe is not None:
                os.close(self._pipe)
                self._pipe = None
        # Its end of the pipe may be open for longer, in processes that handlers forked.
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)

    def _write(self, message: bytes) -> None:
        with self._lock:
            if self._pipe is None:
                return
            self._backlog += message
            try:
                del self._backlog[: os.write(self._pipe, self._backlog)]
            except BlockingIOError:
                if len(self._backlog) > MAX_BACKLOG_BYTES:
                    self._stop_using("it does not respond")
            except OSError as problem:
                self._stop_using(str(problem.strerror))

    def _stop_using(self, reason: str) -> None:
        logger.warning("the lease guard process failed and is not used any more: %s", reason)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


class _Renewer:
    """What the process does. It shares no connection with the worker, and closes its copies of all files."""

    def __init__(self, queue: QueueBase, worker: str, lease: float, pipe: int) -> None:
        self._parent = os.getppid()
        gc.disable()  # an object that closed its file would close another one of the same number
        logging.disable()
        os.dup2(pipe, 3)
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (numbers)
            with contextlib.suppress(OSError):
                if int(name) > 3:
                    os.close(int(name))
        self._queue = Queue(
            queue.name,
            queue.source,
            retry_for=lease * RENEWAL_RETRY_FRACTION,
            allow_eviction=queue.allow_eviction,
            **queue.options,
        )
        self._worker = worker
        self._lease = lease
        self._leases: dict[bytes, bytes] = {}
        self._unstarted: set[bytes] = set()
        self._description = ""
        self._last_message = time.monotonic()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Read until the worker ends."""
        threading.Thread(target=self._renew_forever, daemon=True).start()
        with open(3, "rb", closefd=False) as pipe:
            for line in pipe:
                self._apply(line[:1], line[1:-1])
        self._end()

    def _apply(self, kind: bytes, text: bytes) -> None:
        if kind == b"=":
            self._description = text.decode()
            self._last_message = time.monotonic()
            return
        words = text.split(b" ")
        with self._lock:
            if kind == b"+":
                attempts = [attempt.rstrip(_LAST) for attempt in words[1::2]]
                self._leases.update(zip(words[::2], attempts, strict=False))
                self._unstarted.update(
                    key for key, attempt in zip(words[::2], words[1::2], strict=False) if attempt.endswith(_LAST)
                )
                return
            self._unstarted.difference_update(words)
            if kind == b"-":
                for key in words:
                    self._leases.pop(key, None)

    def _end(self) -> None:
        """Give back what the worker held and had not begun; the attempt doesn't count."""
        with self._lock:
            jobs = [part for key in self._unstarted for part in (key, self._leases[key])]
            self._leases.clear()
        self._queue.retry_for = RELEASE_RETRY_SECONDS
        with contextlib.suppress(Exception):  # their leases end
            if jobs:
                self._queue.send(self._queue.protocol.release(self._worker, jobs))
        os._exit(0)

    def _renew_forever(self) -> None:
        while True:
            time.sleep(self._lease / RENEWALS_PER_LEASE)
            if os.getppid() != self._parent:  # the pipe may still be open in a process that the worker forked
                self._end()
            if self._lease * RENEWAL_RETRY_FRACTION < time.monotonic() - self._last_message < MAX_SILENCE_SECONDS:
                with contextlib.suppress(Exception):  # it is tried again soon
                    self._renew()

    def _renew(self) -> None:
        with self._lock:
            flat: list[Any] = [part for pair in self._leases.items() for part in pair]
        for first in range(0, len(flat), 2 * LEASE_BATCH_JOBS):
            jobs = flat[first : first + 2 * LEASE_BATCH_JOBS]
            call = self._queue.protocol.renew(self._worker, round(self._lease * 1000), jobs, self._description)
            self._queue.send(call)
