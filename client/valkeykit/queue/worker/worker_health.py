"""The health of a worker, for liveness and readiness probes.

Live: its event loop runs, and a take that has begun is answered or retried. A worker at its full concurrency is live,
and so is one whose server is down, since a restart would not help. Ready: live, and the server has responded within the
lease.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ConfigurationError, shown
from valkeykit.heartbeat import STUCK_SECONDS, remove_heartbeat, write_heartbeat
from valkeykit.queue.job_events import logger

if TYPE_CHECKING:
    from valkeykit.queue.worker.health_endpoints import ProbeServer
    from valkeykit.queue.worker.leases import LeaseRenewer
    from valkeykit.queue.worker.prefetch import JobFetcher

HEARTBEAT_INTERVAL_SECONDS = 1.0
"""Pause between two notes that the loop runs, and between two writes of the heartbeat file."""


class Health:
    """A worker's health, in a heartbeat file and on a port if they are configured.

    Args:
        queue: The queue's name.
        heartbeat: The file, None for none.
        port: The port; 0 for any that is free, None for none.

    Raises:
        ConfigurationError: An argument can't be used.
    """

    def __init__(self, queue: str, heartbeat: Path | str | None, port: int | None) -> None:
        if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535):
            raise ConfigurationError(f"health_port is {shown(port)}, not a port", fix="health_port=8080")
        if heartbeat is not None and not (isinstance(heartbeat, str | Path) and Path(heartbeat).name):
            raise ConfigurationError(f"heartbeat is {shown(heartbeat)}, not a file", fix='heartbeat="/tmp/worker.json"')
        self._queue = queue
        self._file = None if heartbeat is None else Path(heartbeat)
        self._port = port
        self._turned = time.monotonic()
        self._fetcher: JobFetcher | None = None
        self._renewal: LeaseRenewer | None = None
        self._lease = 0.0
        self._longest_take = STUCK_SECONDS
        self._ended = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._server: ProbeServer | None = None
        self._writer: threading.Thread | None = None

    @property
    def last_contact(self) -> float:
        """When the server last answered, by time.monotonic(); 0 before the first time."""
        contacts = [part.last_contact for part in (self._fetcher, self._renewal) if part is not None]
        return max(contacts, default=0.0)

    @property
    def is_live(self) -> bool:
        now, began = time.monotonic(), self._fetcher.take_started if self._fetcher is not None else None
        return now - self._turned < STUCK_SECONDS and (began is None or now - began < self._longest_take)

    @property
    def is_ready(self) -> bool:
        contact = self.last_contact
        return self.is_live and contact > 0 and time.monotonic() - contact < self._lease

    @property
    def port(self) -> int | None:
        """The port that is served; None before that."""
        return self._server.port if self._server is not None else None

    def watch(self, fetcher: JobFetcher, renewal: LeaseRenewer, lease: float, retry_for: float = 0.0) -> None:
        """Set the parts of the worker to watch.

        Args:
            fetcher: Takes its jobs.
            renewal: Renews its leases.
            lease: Seconds that a lease lasts.
            retry_for: Seconds that a take is tried again while the server is down.
        """
        self._fetcher, self._renewal, self._lease = fetcher, renewal, lease
        self._longest_take = STUCK_SECONDS + retry_for

    def start(self) -> None:
        """Start to write the file and to serve the port, in the worker's loop.

        Raises:
            ConfigurationError: The port can't be used.
        """
        self._ended.clear()
        if self._port is not None:
            from valkeykit.queue.worker.health_endpoints import ProbeServer

            self._server = ProbeServer(self._port, self.as_dict)
            self._server.start()
        self._turn(asyncio.get_running_loop())
        if self._file is not None:
            self._writer = threading.Thread(
                target=self._write_forever, args=(self._file,), name="valkeykit-heartbeat", daemon=True
            )
            self._writer.start()

    def stop(self) -> None:
        """Remove the file and close the port."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._file is not None and self._writer is not None:
            self._writer.join(HEARTBEAT_INTERVAL_SECONDS)
            remove_heartbeat(self._file)

    def as_dict(self) -> dict[str, Any]:
        contact = self.last_contact
        return {
            "queue": self._queue,
            "pid": os.getpid(),
            "live": self.is_live,
            "ready": self.is_ready,
            "seconds_since_contact": round(time.monotonic() - contact, 1) if contact else None,
        }

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that the loop runs. A timer does it, since the worker's own tasks may wait for the server."""
        self._turned = time.monotonic()
        self._timer = loop.call_later(HEARTBEAT_INTERVAL_SECONDS, self._turn, loop)

    def _write_forever(self, file: Path) -> None:
        """Write in a separate thread, so that a handler that blocks the loop does not make the worker look failed."""
        is_reported = False
        while not self._ended.is_set():
            try:
                write_heartbeat(file, self.as_dict())
            except OSError as problem:
                if not is_reported:
                    logger.warning("the heartbeat file %s can't be written: %s", file, problem.strerror or problem)
                is_reported = True
            self._ended.wait(HEARTBEAT_INTERVAL_SECONDS)


@cache
def package_version() -> str:
    """The installed version of valkeykit; "?" where it isn't installed as a package."""
    try:
        return version("valkeykit")
    except PackageNotFoundError:
        return "?"
