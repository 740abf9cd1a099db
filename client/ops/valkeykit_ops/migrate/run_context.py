"""The shared context of a run: both servers, options, saved state and counters."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property

from valkeykit.errors import ValkeykitError

from valkeykit_ops.migrate.counters import Counters
from valkeykit_ops.migrate.guards import SourceGuard, TargetGuard
from valkeykit_ops.migrate.key_usage import Usage, carried_usage
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.ownership import KeyOwnership, scratch_prefix
from valkeykit_ops.migrate.state import JsonLinesFile, MigrationState
from valkeykit_ops.migrate.throttle import Throttle

NO_FIELD_TTLS = "the target does not support field TTLs, so the fields would not expire"
"""Why a hash cannot be migrated as it is."""


class StoppedError(ValkeykitError):
    """The run was stopped; its state is saved."""


@dataclass
class RunContext:
    """One run.

    Attributes:
        mirrors: Whether keys that the source does not have are removed from the target.
        read_only: Whether keys that differ are only reported.
        unmovable: File that lists the keys that cannot be migrated.
        target_calls: Commands that were sent to the target, by name.
    """

    source: MigrationServer
    target: MigrationServer
    options: Options
    state: MigrationState
    throttle: Throttle
    unmovable: JsonLinesFile
    ownership: KeyOwnership
    source_guard: SourceGuard
    target_guard: TargetGuard
    target_calls: Counters
    mirrors: bool = False
    read_only: bool = False
    counters: Counters = field(default_factory=Counters)
    stop: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _skipped: set[tuple[int, bytes]] = field(default_factory=set)

    @classmethod
    def create(cls, source: MigrationServer, target: MigrationServer, options: Options, state: MigrationState
               ) -> RunContext:  # fmt: skip
        """The context of a run with a state folder."""
        for server in (source, target):
            server.limit_waiting(options.reconnect_timeout)
        calls = Counters()
        trusted = options.trust_source or source.is_file
        return cls(
            source,
            target,
            options,
            state,
            Throttle(options.rate, options.max_latency, options.batch),
            state.lines("unmovable.jsonl"),
            KeyOwnership(options.scope, scratch_prefix(state)),
            SourceGuard(source, options.scope, state, trusted=trusted),
            TargetGuard(target, state, calls, accepted=options.accept_target_writes),
            calls,
        )

    def check_servers(self) -> None:
        """Check that both servers are as this run left them, before keys are overwritten or deleted.

        Raises:
            UnsafeOperationError: The source lost writes, or another client wrote to the target.
        """
        self.source_guard.check()
        self.target_guard.check()

    @cached_property
    def usage(self) -> Usage | None:
        """The idle times or frequencies that are carried over."""
        return carried_usage(self.source, self.target)

    @property
    def overwrites(self) -> bool:
        """With `fail` the target was empty at the start, so its keys come from this migration."""
        return self.options.conflict != "skip"

    def skip(self, database: int, key: bytes, kind: str, why: str) -> None:
        """List a key that cannot be migrated, once."""
        with self._guard:
            if (database, key) in self._skipped:
                return
            self._skipped.add((database, key))
        self.counters.add("unmovable")
        self.unmovable.add(database=database, key=key, type=kind, why=why)

    def check_stop(self) -> None:
        """Raises:
        StoppedError: The run was stopped.
        """
        if self.stop.is_set():
            raise StoppedError("interrupted", fix="run the same command again to resume")
