"""Whether a worker is well: for liveness and readiness probes.

Live: its loop turns, and a take that has begun is answered or tried again. A worker whose slots are all busy is live,
and so is one whose server is down, since a restart would not help. Ready: the server has answered within the lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ConfigurationError
from valkeykit.queue.events import logger

if TYPE_CHECKING:
    from valkeykit.queue.leases import Renewal
    from valkeykit.queue.taker import Taker

STUCK = 60.0
"""Seconds without a turn of the loop, or in one take, after which a worker is not live."""

WRITE_EVERY = 1.0
"""Seconds between two writes of the heartbeat file."""


class Health:
    """What is known of a worker's state, as a file and on a port where that is wanted."""

    def __init__(self, queue: str, heartbeat: Path | None, port: int | None) -> None:
        if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535):
            raise ConfigurationError(f"health_port is {port!r}, not a port", fix="health_port=8080")
        self._queue = queue
        self._file = heartbeat
        self._port = port
        self._turned = time.monotonic()
        self._taker: Taker | None = None
        self._renewal: Renewal | None = None
        self._lease = 0.0
        self._ended = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._writer: threading.Thread | None = None

    @property
    def contact(self) -> float:
        """When the server last answered, by time.monotonic()."""
        contacts = [part.contact for part in (self._taker, self._renewal) if part is not None]
        return max(contacts, default=0.0)

    @property
    def is_live(self) -> bool:
        now, began = time.monotonic(), self._taker.began if self._taker is not None else None
        return now - self._turned < STUCK and (began is None or now - began < STUCK)

    @property
    def is_ready(self) -> bool:
        return self.is_live and time.monotonic() - self.contact < self._lease

    @property
    def port(self) -> int | None:
        """The port that answers, once it does."""
        return self._server.server_address[1] if self._server is not None else None

    def watch(self, taker: Taker, renewal: Renewal, lease: float) -> None:
        """Say whose state it is."""
        self._taker, self._renewal, self._lease = taker, renewal, lease

    def tick(self) -> None:
        """The loop turns."""
        self._turned = time.monotonic()

    def start(self) -> None:
        """Begin to write and to answer.

        Raises:
            ConfigurationError: the port can't be had.
        """
        self._ended.clear()
        self.tick()
        if self._port is not None:
            self._listen(self._port)
        if self._file is not None:
            self._writer = threading.Thread(target=self._write_forever, name="valkeykit-heartbeat", daemon=True)
            self._writer.start()

    def stop(self) -> None:
        """Remove the file and close the port."""
        self._ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._file is not None and self._writer is not None:
            self._writer.join(WRITE_EVERY)
            with contextlib.suppress(OSError):
                self._file.unlink()

    def as_dict(self) -> dict[str, Any]:
        return {
            "queue": self._queue,
            "pid": os.getpid(),
            "live": self.is_live,
            "ready": self.is_ready,
            "seconds_since_contact": round(time.monotonic() - self.contact, 1) if self.contact else None,
        }

    def _listen(self, port: int) -> None:
        try:
            self._server = ThreadingHTTPServer(("", port), _handler_of(self))
        except OSError as problem:
            raise ConfigurationError(
                f"health_port {port} can't be used: {problem.strerror}", fix="use another port, or none"
            ) from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="valkeykit-health", daemon=True).start()

    def _write_forever(self) -> None:
        assert self._file is not None  # noqa: S101
        while not self._ended.is_set():
            try:
                self._write(self._file)
            except OSError as problem:
                logger.warning("the heartbeat file %s can't be written: %s", self._file, problem.strerror)
                return
            self._ended.wait(WRITE_EVERY)

    def _write(self, file: Path) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(self.as_dict() | {"written": time.monotonic()}), encoding="utf-8")
        if not self._ended.is_set():
            fresh.replace(file)


@cache
def package_version() -> str:
    """The version of valkeykit that runs here; "?" where it isn't installed as a package."""
    try:
        return version("valkeykit")
    except PackageNotFoundError:
        return "?"


def heartbeat_folder() -> Path:
    """Where the workers of this user leave their heartbeat files."""
    return Path(tempfile.gettempdir()) / f"valkeykit-workers-{os.getuid()}"


def heartbeats() -> Iterator[dict[str, Any]]:
    """The state of each worker process of this user on this machine; files of processes that ended are passed over."""
    for file in sorted(heartbeat_folder().glob("*.json")):
        try:
            state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            os.kill(state["pid"], 0)
        except PermissionError:
            pass
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if time.monotonic() - state["written"] > STUCK:
            state["live"] = state["ready"] = False
        yield state


def _handler_of(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state = health.as_dict()
            well = {"/live": state["live"], "/ready": state["ready"]}.get(self.path)
            body = json.dumps(state).encode()
            self.send_response(404 if well is None else 200 if well else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (its base's name)
            pass

    return Handler
