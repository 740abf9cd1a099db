"""The shared context of a run: both servers, options, saved state and counters."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from valkeykit.errors import ValkeykitError

from valkeykit_ops.migrate.counters import Counters
from valkeykit_ops.migrate.options import Options
from valkeykit_ops.migrate.server import MigrationServer
from valkeykit_ops.migrate.state import JsonLinesFile, MigrationState
from valkeykit_ops.migrate.throttle import Throttle


class StoppedError(ValkeykitError):
    """The run was stopped; its state is saved."""


@dataclass
class RunContext:
    """One run.

    Attributes:
        mirrors: Whether keys that the source does not have are removed from the target.
        read_only: Whether keys that differ are only reported.
        unmovable: File that lists the keys that cannot be migrated.
    """

    source: MigrationServer
    target: MigrationServer
    options: Options
    state: MigrationState
    throttle: Throttle
    unmovable: JsonLinesFile
    mirrors: bool = False
    read_only: bool = False
    counters: Counters = field(default_factory=Counters)
    stop: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _skipped: set[tuple[int, bytes]] = field(default_factory=set)

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
