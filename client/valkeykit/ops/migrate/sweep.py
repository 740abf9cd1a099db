"""Goes through all keys of one side, node by node and database by database, each in a thread of its own.

A scan goes on where it stopped: after a kill, and after a side that was out of reach. A cluster
that moves slots meanwhile may carry a key past the scan, so nodes that gained slots are gone
through once more.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import TimeoutError as LateError

from valkeykit.errors import RefusedError
from valkeykit.ops.migrate.job import Job, StoppedError
from valkeykit.ops.migrate.server import Primary, Server, parse_info
from valkeykit.ops.migrate.state import DONE
from valkeykit.ops.migrate.wire import Wire

TRANSIENT = (BrokenError, LateError, BusyLoadingError, ClusterDownError, MasterDownError, ReadOnlyError, TryAgainError)
"""What passes by itself when a side is restarted or fails over."""

THREADS = 16
"""Nodes and databases that are gone through at once."""

PAUSE = 0.5
"""Seconds between two attempts to reach a side again."""


class Worker(Protocol):
    """Does something to keys of one database."""

    def handle(self, keys: Sequence[bytes]) -> None:
        """Take a batch; the one before is done when this returns."""

    def flush(self) -> None:
        """Finish all batches."""

    def close(self) -> None:
        """Let the connections go."""


Maker = Callable[[int], Worker]


@dataclass
class Sweep:
    """One pass through all keys in scope.

    side: whose keys are scanned.
    make: makes the worker for a database.
    name: under which positions are kept; None to begin at the start each time.
    pattern: for SCAN.
    limit: keys of each node and database after which it ends early; None for all.
    """

    job: Job
    side: Server
    make: Maker
    name: str | None = None
    pattern: bytes | None = None
    limit: int | None = None
    abort: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Go through all of it.

        Raises:
            redis.RedisError: a side refused, or was out of reach for longer than the patience.
            RefusedError: slots of the cluster stay half-moved for longer than the patience.
            StoppedError: the run was told to stop.
        """
        layout = self.side.primaries()
        pending, give_up = layout, 0.0
        while pending:
            self._through(pending)
            self._forget()
            give_up = give_up or time.monotonic() + self.job.options.patience
            before = {primary.node: primary.slots for primary in layout}
            moving, layout = self.side.is_moving(), self.side.primaries()
            pending = layout if moving else [one for one in layout if one.slots - before.get(one.node, frozenset())]
            if moving and time.monotonic() > give_up:
                raise RefusedError(
                    "a slot of the cluster is on its way from one node to another, and stays so",
                    fix="finish or undo the resharding (--cluster fix), then run the command again",
                )
            time.sleep(PAUSE if moving else 0)

    def _forget(self) -> None:
        if self.name:
            self.job.state.forget(self.name)

    def _through(self, primaries: list[Primary]) -> None:
        databases = [number for number in self.side.databases() if self.job.options.scope.includes(number)]
        walks = [_Walk(self, primary, number) for primary in primaries for number in databases]
        if not walks:
            return
        with ThreadPoolExecutor(max_workers=min(len(walks), THREADS)) as pool:
            running = [pool.submit(walk.run) for walk in walks]
            wait(running, return_when=FIRST_EXCEPTION)
            failures = [one.exception() for one in running if one.done() and one.exception()]
            if failures:
                self.abort.set()
        if failures and failures[0]:
            raise failures[0]


@dataclass
class _Walk:
    """The scan of one node's database."""

    sweep: Sweep
    primary: Primary
    database: int
    steps: int = 0

    def run(self) -> None:
        """Scan to the end, for as long as the patience lasts between two steps forward."""
        job = self.sweep.job
        give_up, steps = time.monotonic() + job.options.patience, 0
        while True:
            try:
                self._attempt()
                return
            except TRANSIENT as problem:
                if self.steps > steps:
                    give_up, steps = time.monotonic() + job.options.patience, self.steps
                if isinstance(problem, AuthenticationError) or time.monotonic() > give_up:
                    raise
                job.tally.add("reconnects")
                job.stop.wait(PAUSE)
                job.check_stop()

    def _attempt(self) -> None:
        with contextlib.ExitStack() as stack:
            wire = self.sweep.side.wire(self.primary.node, self.database)
            stack.callback(wire.close)
            run_id = parse_info(wire.call("INFO", "server").decode(errors="replace").splitlines())["run_id"]
            start = self._position(run_id)
            if start == DONE:
                return
            worker = self.sweep.make(self.database)
            stack.callback(worker.close)
            self._scan(wire, worker, run_id, start)

    def _scan(self, wire: Wire, worker: Worker, run_id: str, cursor: str) -> None:
        job, seen = self.sweep.job, 0
        while cursor != DONE:
            if self.sweep.abort.is_set():
                raise StoppedError("another part of this pass failed")
            job.check_stop()
            following, keys = wire.call("SCAN", cursor, *self._filter(), "COUNT", job.throttle.size)
            job.throttle.pace(len(keys))
            worker.handle(keys)
            self._reach(run_id, cursor)  # all before this batch is done
            self.steps += 1
            seen += len(keys)
            job.tally.add("scanned", len(keys))
            ended = following == b"0" or (self.sweep.limit is not None and seen >= self.sweep.limit)
            cursor = DONE if ended else following.decode()
        worker.flush()
        self._reach(run_id, DONE)

    def _filter(self) -> tuple[bytes, ...]:
        return (b"MATCH", self.sweep.pattern) if self.sweep.pattern is not None else ()

    @property
    def _place(self) -> str:
        return f"{self.primary.name}/{self.database}"

    def _position(self, run_id: str) -> str:
        kept = self.sweep.job.state.position(self.sweep.name, self._place, run_id) if self.sweep.name else None
        return kept or "0"

    def _reach(self, run_id: str, cursor: str) -> None:
        if self.sweep.name:
            self.sweep.job.state.reach(self.sweep.name, self._place, run_id, cursor)
