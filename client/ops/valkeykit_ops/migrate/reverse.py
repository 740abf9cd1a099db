"""Reverse migration: from the new server back to the previous one, after a cut-over.

The forward migration's state folder records which server is which, so swapped URLs are an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from valkeykit.errors import ConfigurationError

from valkeykit_ops.migrate import cutover, safety
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.options import Options, Scope
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState

FOLDER = "reverse"
"""Folder of the reverse migration's own state, in that of the forward migration."""

CONFIRMED = "confirmed"


@dataclass(frozen=True)
class ReverseSummary:
    """What a reverse migration overwrites.

    Attributes:
        previous_writes, new_writes: Write commands since the cut-over; None if unknown, as after a restart.
    """

    cut_over_at: str
    previous: str
    previous_keys: int
    previous_writes: int | None
    new: str
    new_keys: int
    new_writes: int | None

    @property
    def question(self) -> str:
        """The question to the operator."""
        return (
            f"cut-over: {self.cut_over_at}\n"
            f"previous server: {self.previous}: {self.previous_keys:,} keys, {_writes(self.previous_writes)}\n"
            f"new server: {self.new}: {self.new_keys:,} keys, {_writes(self.new_writes)}\n"
            f"The keys of {self.previous} will be replaced by those of {self.new}; "
            "keys that only the previous server has will be deleted."
        )


def _writes(number: int | None) -> str:
    return f"{'unknown number of' if number is None else f'{number:,}'} writes since the cut-over"


def summarize(state: MigrationState, previous: MigrationServer, new: MigrationServer) -> ReverseSummary:
    """Check that a reverse migration is possible, and sum up what it overwrites.

    Args:
        state: The forward migration's state.

    Raises:
        ConfigurationError: The state belongs to other servers, or the servers are swapped.
        UnsafeOperationError: There was no cut-over, or the new server is empty.
        redis.RedisError: A server is unreachable.
    """
    if previous.is_file:
        raise ConfigurationError("the source was a file, so there is no previous server", fix="pass its URL")
    record = safety.cut_over_record(state)
    if record is None:
        raise UnsafeOperationError(
            f"the state folder {str(state.folder)!r} has no cut-over, so there is nothing to reverse",
            fix="run `valkeykit migrate cut-over` first, or pass the folder of the forward migration with --state",
        )
    state.check({"source": previous.location, "target": new.location})
    scope = forward_scope(state)
    summary = ReverseSummary(
        record["at"],
        previous.name, _keys(previous, scope), cutover.writes_since(previous, record["source"]),
        new.name, _keys(new, scope), cutover.writes_since(new, record["target"]),
    )  # fmt: skip
    if summary.previous_keys and not summary.new_keys:
        raise UnsafeOperationError(
            f"the new server, {new.name}, has no keys; the previous one has {summary.previous_keys:,}",
            fix="find out why the new server is empty; the previous server has the data of the cut-over",
        )
    return summary


def confirm(state: MigrationState, summary: ReverseSummary) -> None:
    """Record the operator's consent in the reverse migration's own state."""
    state.put(CONFIRMED, summary.cut_over_at)


def is_confirmed(state: MigrationState) -> bool:
    """Whether the operator has confirmed this reverse migration."""
    return state.get(CONFIRMED) is not None


def refuse_unconfirmed(state: MigrationState) -> None:
    """Raises:
    UnsafeOperationError: This reverse migration was not confirmed.
    """
    if not is_confirmed(state):
        raise UnsafeOperationError(
            "a reverse migration replaces the previous server's keys and was not confirmed",
            fix="run `valkeykit migrate reverse`",
        )


def forward_scope(state: MigrationState) -> Scope:
    """The scope of the forward migration."""
    identity: dict[str, Any] = state.get("identity") or {}
    if "scope" not in identity:
        raise ConfigurationError(
            f"the state folder {str(state.folder)!r} has no migration", fix="pass its folder with --state"
        )
    return Scope.from_record(identity["scope"])


def reverse_options(state: MigrationState, options: Options) -> Options:
    """The options of a reverse migration, with the forward migration's scope."""
    return replace(options, scope=forward_scope(state).reversed(), reverse=True, conflict="replace")


def _keys(server: MigrationServer, scope: Scope) -> int:
    return sum(size for number, size in server.sizes().items() if scope.includes(number))
