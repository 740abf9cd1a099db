"""What all parts of a run share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from valkeykit.errors import ValkeykitError
from valkeykit.ops.migrate.options import Options
from valkeykit.ops.migrate.server import Server
from valkeykit.ops.migrate.state import Lines, State
from valkeykit.ops.migrate.tally import Tally
from valkeykit.ops.migrate.throttle import Throttle


class StoppedError(ValkeykitError):
    """The run was told to stop; its state is kept."""


@dataclass
class Job:
    """One run.

    mirrors: whether keys that the source doesn't have go from the target too.
    unmovable: where keys are named that can't be moved.
    """

    source: Server
    target: Server
    options: Options
    state: State
    throttle: Throttle
    unmovable: Lines
    mirrors: bool = False
    tally: Tally = field(default_factory=Tally)
    stop: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _refused: set[tuple[int, bytes]] = field(default_factory=set)

    @property
    def overwrites(self) -> bool:
        """Under `fail` the target was empty at the start: what is there by now is ours."""
        return self.options.conflict != "skip"

    def refuse(self, database: int, key: bytes, kind: str, why: str) -> None:
        """Name a key that can't be moved, once, whatever comes across it."""
        with self._guard:
            if (database, key) in self._refused:
                return
            self._refused.add((database, key))
        self.tally.add("unmovable")
        self.unmovable.add(database=database, key=key, type=kind, why=why)

    def check_stop(self) -> None:
        """Raises:
        StoppedError: the run was told to stop.
        """
        if self.stop.is_set():
            raise StoppedError("stopped", fix="the same command continues")
