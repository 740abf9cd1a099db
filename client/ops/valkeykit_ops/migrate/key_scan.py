"""A resumable scan of all keys of one server: one thread per node and database.

A scan resumes where it stopped, after a kill as well as after a lost connection.
A key can move past the scan while a cluster moves slots, so nodes that gained slots are scanned again.
"""

from __future__ import annotations

import contextlib
import secrets
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
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import TimeoutError as LateError
from valkeykit.errors import RefusedError

from valkeykit_ops.migrate.migration_server import MigrationServer, Primary, parse_info
from valkeykit_ops.migrate.pipelined import PipelinedConnection
from valkeykit_ops.migrate.run_context import RunContext, StoppedError
from valkeykit_ops.migrate.state import DONE

TRANSIENT_ERRORS = (
    BrokenError,
    LateError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    TryAgainError,
)
"""Errors that end by themselves after a restart or a failover."""

CURSOR_BITS = 32
"""Size of a random cursor; a server ignores the bits that its table does not have."""

MAX_THREADS = 16
"""Maximum number of nodes and databases that are scanned at the same time."""

RECONNECT_INTERVAL_SECONDS = 0.5
"""Pause between two attempts to connect."""


class KeyHandler(Protocol):
    """Processes the keys of one database."""

    def handle(self, keys: Sequence[bytes]) -> None:
        """Process a batch; the previous one is complete when this returns."""

    def flush(self) -> None:
        """Complete all batches."""

    def close(self) -> None:
        """Close the connections."""


HandlerFactory = Callable[[int], KeyHandler]


@dataclass
class KeyScan:
    """One pass through all keys in scope.

    Attributes:
        server: The server whose keys are scanned.
        create_handler: Returns the handler for a database.
        name: The name under which positions are saved; None to start from the beginning each time.
        pattern: The pattern for SCAN.
        limit: Number of keys per node and database, from a random position; None for all.
    """

    context: RunContext
    server: MigrationServer
    create_handler: HandlerFactory
    name: str | None = None
    pattern: bytes | None = None
    limit: int | None = None
    abort: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Scan all keys.

        Raises:
            redis.RedisError: A server rejected a command, or was unreachable for longer than the reconnect timeout.
            RefusedError: A slot migration of the cluster did not finish within the reconnect timeout.
            StoppedError: The run was stopped.
        """
        layout = self.server.primaries()
        pending, give_up = layout, 0.0
        while pending:
            self._scan_nodes(pending)
            self._forget()
            give_up = give_up or time.monotonic() + self.context.options.reconnect_timeout
            before = {primary.node: primary.slots for primary in layout}
            moving, layout = self.server.is_moving(), self.server.primaries()
            pending = layout if moving else [one for one in layout if one.slots - before.get(one.node, frozenset())]
            if moving and time.monotonic() > give_up:
                raise RefusedError(
                    "a slot migration of the cluster does not finish",
                    fix="run `valkeykit doctor` for the command that ends it, then run this command again to resume",
                )
            time.sleep(RECONNECT_INTERVAL_SECONDS if moving else 0)

    def _forget(self) -> None:
        if self.name:
            self.context.state.forget(self.name)

    def _scan_nodes(self, primaries: list[Primary]) -> None:
        databases = [number for number in self.server.databases() if self.context.options.scope.includes(number)]
        node_scans = [_NodeScan(self, primary, number) for primary in primaries for number in databases]
        if not node_scans:
            return
        with ThreadPoolExecutor(max_workers=min(len(node_scans), MAX_THREADS)) as pool:
            running = [pool.submit(node_scan.run) for node_scan in node_scans]
            wait(running, return_when=FIRST_EXCEPTION)
            failures = [one.exception() for one in running if one.done() and one.exception()]
            if failures:
                self.abort.set()
        if failures and failures[0]:
            raise failures[0]


@dataclass
class _NodeScan:
    """The scan of one node's database."""

    key_scan: KeyScan
    primary: Primary
    database: int
    steps: int = 0

    def run(self) -> None:
        """Scan to the end; the reconnect timeout starts again after each batch."""
        context = self.key_scan.context
        give_up, steps = time.monotonic() + context.options.reconnect_timeout, 0
        while True:
            try:
                self._attempt()
                return
            except TRANSIENT_ERRORS as problem:
                if self.steps > steps:
                    give_up, steps = time.monotonic() + context.options.reconnect_timeout, self.steps
                if isinstance(problem, AuthenticationError) or time.monotonic() > give_up:
                    raise
                context.counters.add("reconnects")
                context.stop.wait(RECONNECT_INTERVAL_SECONDS)
                context.check_stop()
                if self._is_replaced():
                    return  # the node that gained its slots is scanned at the end of the pass

    def _is_replaced(self) -> bool:
        """Whether a failover has given the node's slots to another one."""
        if not self.primary.slots:
            return False
        try:
            return all(one.node != self.primary.node for one in self.key_scan.server.primaries())
        except RedisError:
            return False

    def _attempt(self) -> None:
        with contextlib.ExitStack() as stack:
            connection = self.key_scan.server.connect(self.primary.node, self.database)
            stack.callback(connection.close)
            run_id = parse_info(connection.call("INFO", "server").decode(errors="replace").splitlines())["run_id"]
            start = self._position(run_id) if self.key_scan.limit is None else self._random_cursor()
            if start == DONE:
                return
            handler = self.key_scan.create_handler(self.database)
            stack.callback(handler.close)
            self._scan(connection, handler, run_id, start)

    def _scan(self, connection: PipelinedConnection, handler: KeyHandler, run_id: str, cursor: str) -> None:
        context, seen, begun = self.key_scan.context, 0, False
        wrapped = self.key_scan.limit is None or cursor == "0"
        while cursor != DONE:
            if self.key_scan.abort.is_set():
                raise StoppedError("another part of this pass failed")
            context.check_stop()
            following, keys = connection.call("SCAN", cursor, *self._filter(), "COUNT", context.throttle.size)
            context.throttle.pace(len(keys))
            handler.handle(keys)
            self._save_position(run_id, cursor)  # all before this batch is done
            self.steps += begun  # a batch that was only sent is no progress
            begun = True
            seen += len(keys)
            context.counters.add("scanned", len(keys))
            ended = following == b"0" and wrapped
            wrapped = wrapped or following == b"0"
            ended = ended or (self.key_scan.limit is not None and seen >= self.key_scan.limit)
            cursor = DONE if ended else following.decode()
        handler.flush()
        self.steps += 1
        self._save_position(run_id, DONE)

    def _filter(self) -> tuple[bytes, ...]:
        return (b"MATCH", self.key_scan.pattern) if self.key_scan.pattern is not None else ()

    def _random_cursor(self) -> str:
        """Any number is a valid cursor, except at a node of a cluster, whose cursors contain the slot."""
        return "0" if self.primary.slots else str(secrets.randbits(CURSOR_BITS))

    @property
    def _partition(self) -> str:
        return f"{self.primary.name}/{self.database}"

    def _position(self, run_id: str) -> str:
        kept = (
            self.key_scan.context.state.position(self.key_scan.name, self._partition, run_id)
            if self.key_scan.name
            else None
        )
        return kept or "0"

    def _save_position(self, run_id: str, cursor: str) -> None:
        if self.key_scan.name:
            self.key_scan.context.state.reach(self.key_scan.name, self._partition, run_id, cursor)
