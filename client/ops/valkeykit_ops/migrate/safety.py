"""The refusal of a command that would destroy data, and what the state folder records about a cut-over."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from valkeykit.errors import ValkeykitError

from valkeykit_ops.migrate import cutover
from valkeykit_ops.migrate.migration_server import MigrationServer
from valkeykit_ops.migrate.state import MigrationState

CUT_OVER = "cut_over"


class UnsafeOperationError(ValkeykitError):
    """The command would overwrite or delete data that only one server has."""


def record_cut_over(state: MigrationState, source: MigrationServer, target: MigrationServer) -> None:
    """Record that clients may use the target from now on."""
    state.put(
        CUT_OVER,
        {
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "source": cutover.write_marks(source),
            "target": cutover.write_marks(target),
        },
    )


def cut_over_record(state: MigrationState) -> dict[str, Any] | None:
    """The record of the cut-over; None before it."""
    record: dict[str, Any] | None = state.get(CUT_OVER)
    return record


def refuse_after_cut_over(state: MigrationState, target: MigrationServer, *, reverse: bool) -> None:
    """Refuse to write to a target that clients may have written to since the cut-over.

    Raises:
        UnsafeOperationError: The migration was cut over.
    """
    record = cut_over_record(state)
    if record is None:
        return
    compare = "compare both servers with `valkeykit migrate verify`, "
    back = "" if reverse else "copy later writes back with `valkeykit migrate reverse`, "
    raise UnsafeOperationError(
        f"this migration was cut over at {record['at']}: "
        f"another run would overwrite what clients have written to {target.name} since",
        fix=f"{compare}{back}or start another migration with a new --state folder",
    )
