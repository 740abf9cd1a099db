"""Guards of a run: what happened at the source and at the target that no command of this migration did.

A key that is missing at the source is deleted at the target only if a client deleted it:
not after a restart, a failover or a flush, and not if most keys have gone.
"""

from __future__ import annotations

import time
from typing import Any

from redis.exceptions import RedisError

from valkeykit_ops.migrate.counters import Counters
from valkeykit_ops.migrate.cutover import writing_commands
from valkeykit_ops.migrate.migration_server import InspectedServer, Primary, calls_of
from valkeykit_ops.migrate.options import Scope
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.silent_commands import FLUSHES
from valkeykit_ops.migrate.state import MigrationState

DELETED_SHARE = 0.05
"""Share of the target's keys that one pass deletes without a question."""

DELETED_KEYS = 1000
"""Number of keys that one pass deletes without a question, however few the target has."""

CLOCK_TOLERANCE_SECONDS = 2
"""Uptimes are whole seconds."""

NOT_CLIENTS = frozenset({*FLUSHES, "restore-asking", "migrate"})
"""Commands at the target that are no client's write: flushes are reported, and slots of a cluster may move."""

OUR_COMMANDS = frozenset({
    "restore", "unlink", "rename", "renamenx", "pexpireat", "append", "rpush", "sadd", "zadd", "hset", "hpexpireat",
    "xadd", "xclaim", "xdel", "xtrim", "xsetid", "xgroup",
})  # fmt: skip
"""Commands with which a migration writes keys."""


class SourceGuard:
    """Detects restarts, failovers and flushes of the source since the migration began."""

    def __init__(self, server: InspectedServer, scope: Scope, state: MigrationState, *, trusted: bool) -> None:
        self._server = server
        self._scope = scope
        self._state = state
        self._trusted = trusted

    def begin(self) -> list[str]:
        """Remember the source, or compare it with the previous run; return what happened in the meantime.

        Raises:
            UnsafeOperationError: It was restarted without its latest data.
        """
        if self._state.get("source_marks") is None or self._trusted:
            events = self._events() if self._state.get("source_marks") else []
            self._state.put("source_marks", self._marks())
            return events
        self.check()
        return self._events()

    def check(self) -> None:
        """Check that the source did not lose writes in a restart.

        Raises:
            UnsafeOperationError: It was restarted without an append-only file.
        """
        restarted = [] if self._trusted else [primary.name for primary in self._restarted() if self._loses(primary)]
        if restarted:
            raise UnsafeOperationError(
                f"the source was restarted without an append-only file ({', '.join(restarted)}), "
                "so it may have lost writes that the target has",
                fix="compare both with `valkeykit migrate verify`; if the source's data are right, pass --trust-source",
            )

    def check_deletions(self, number: int, *, of: int | None = None) -> None:
        """Check that keys that the source does not have were deleted by clients.

        Args:
            of: Number of keys at the target, if one pass has found them by a comparison.

        Raises:
            UnsafeOperationError: They may have been lost.
        """
        if self._trusted or not number:
            return
        reason = "; ".join(self._events())
        if not reason and of is not None:
            reason = self._too_many(number, of)
        if reason:
            raise UnsafeOperationError(
                f"{number:,} keys of the target are not at the source: {reason}",
                fix="nothing was deleted; if the source's data are right, pass --trust-source to delete these keys",
            )

    def _too_many(self, number: int, of: int) -> str:
        if not sum(size for name, size in self._server.sizes().items() if self._scope.includes(name)):
            return "the source is empty"
        if number > max(DELETED_KEYS, DELETED_SHARE * of):
            return f"more than {DELETED_SHARE:.0%} of the target's {of:,} keys"
        return ""

    def _marks(self) -> dict[str, Any]:
        primaries = self._server.primaries()
        return {
            "at": time.time(),
            "nodes": [primary.name for primary in primaries],
            "flushes": {self._run_id(primary): self._flushes(primary) for primary in primaries},
        }

    def _events(self) -> list[str]:
        marks = self._state.get("source_marks")
        events = []
        for primary in self._server.primaries():
            before = marks["flushes"].get(self._run_id(primary))
            if before is None:
                word = "was restarted" if self._is_restarted(primary) else "has become the primary"
                events.append(f"{primary.name} {word} since the migration began")
                continue
            now = self._flushes(primary)
            events += [
                f"{name.upper()} ran at {primary.name}" for name in FLUSHES if now.get(name, 0) > before.get(name, 0)
            ]
        return events

    def _restarted(self) -> list[Primary]:
        marks = self._state.get("source_marks")
        return [
            primary
            for primary in self._server.primaries()
            if self._run_id(primary) not in marks["flushes"] and self._is_restarted(primary)
        ]

    def _is_restarted(self, primary: Primary) -> bool:
        """Whether a new process was started at an address, rather than a failover to one that was running."""
        marks = self._state.get("source_marks")
        uptime = int(self._server.info(primary.node, "server").get("uptime_in_seconds", 0))
        return primary.name in marks["nodes"] and time.time() - uptime >= marks["at"] - CLOCK_TOLERANCE_SECONDS

    def _loses(self, primary: Primary) -> bool:
        return self._server.info(primary.node, "persistence").get("aof_enabled", "1") == "0"

    def _run_id(self, primary: Primary) -> str:
        return self._server.info(primary.node, "server")["run_id"]

    def _flushes(self, primary: Primary) -> dict[str, int]:
        return {name: calls for name, calls in _calls(self._server, primary).items() if name in FLUSHES}


class TargetGuard:
    """Detects other clients' writes to the target, by the server's statistics.

    Args:
        ours: Calls of this process, by command; counted before they are sent.
    """

    def __init__(self, server: InspectedServer, state: MigrationState, ours: Counters, *, accepted: bool) -> None:
        self._server = server
        self._state = state
        self._ours = ours
        self._accepted = accepted
        self._marks: dict[str, dict[str, int]] = {}
        self._writing: set[str] = set()

    def begin(self) -> list[str]:
        """Compare the target with the end of the previous run; return what happened in the meantime.

        Raises:
            UnsafeOperationError: Another client wrote to it.
        """
        try:
            self._writing = writing_commands(self._server) - NOT_CLIENTS
        except RedisError:
            return []  # COMMAND is not permitted, so nothing can be detected
        kept = self._state.get("target_marks")
        now = self._read()
        events = []
        if kept is not None:
            before = kept["calls"]
            flushes = [name.upper() for name in FLUSHES if _grew(before, now, name)]
            events = [f"{name} ran at the target since the last run: its keys are copied again" for name in flushes]
            known = self._writing if kept["clean"] else self._writing - OUR_COMMANDS
            self._refuse({name: number for name in known if (number := _grew(before, now, name))})
        self._marks = now
        self._save(clean=False)
        return events

    def check(self) -> None:
        """Check that only this process writes to the target.

        Raises:
            UnsafeOperationError: Another client wrote to it.
        """
        if not self._writing:
            return
        sent = self._ours.snapshot()  # before the statistics, which may only lag behind
        now = self._read()
        self._refuse({
            name: number
            for name in self._writing
            if (number := _grew(self._marks, now, name) - sent.get(name, 0)) > 0
        })  # fmt: skip

    def end(self) -> None:
        """The run has ended: later writes are other clients'."""
        if self._writing:
            self._marks = self._read()
            self._save(clean=True)

    def _refuse(self, foreign: dict[str, int]) -> None:
        if not foreign or self._accepted:
            return
        shown = ", ".join(f"{name.upper()} {number:,} times" for name, number in sorted(foreign.items()))
        raise UnsafeOperationError(
            f"another client wrote to the target: {shown}",
            fix="stop that client; to overwrite or delete what it wrote in scope, pass --accept-target-writes",
        )

    def _save(self, *, clean: bool) -> None:
        self._state.put("target_marks", {"clean": clean, "calls": self._marks})

    def _read(self) -> dict[str, dict[str, int]]:
        return {
            self._server.info(primary.node, "server")["run_id"]: _calls(self._server, primary)
            for primary in self._server.primaries()
        }


def _grew(before: dict[str, dict[str, int]], now: dict[str, dict[str, int]], name: str) -> int:
    """Calls of a command since then, at the processes that are still the same ones."""
    return sum(
        max(0, calls.get(name, 0) - before[run_id].get(name, 0)) for run_id, calls in now.items() if run_id in before
    )


def _calls(server: InspectedServer, primary: Primary) -> dict[str, int]:
    return calls_of(server.info(primary.node, "commandstats"))
