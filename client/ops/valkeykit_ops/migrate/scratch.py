"""Incomplete keys at the target that a killed run left."""

from __future__ import annotations

from collections.abc import Sequence

from valkeykit_ops.migrate.key_scan import KeyScan
from valkeykit_ops.migrate.options import prefix_pattern
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import RunContext
from valkeykit_ops.migrate.target_writer import TargetWriter


def remove_scratch_keys(context: RunContext) -> None:
    """Delete the incomplete keys of this migration.

    Raises:
        redis.RedisError: The target rejected a command, or was unreachable for too long.
    """
    KeyScan(
        context,
        context.target,
        lambda number: _ScratchKeys(context, number),
        pattern=prefix_pattern(context.ownership.scratch_prefix),
    ).run()


class _ScratchKeys:
    def __init__(self, context: RunContext, database: int) -> None:
        self._router = Router(context.target, database)
        self._writer = TargetWriter(context, database, self._router)

    def handle(self, keys: Sequence[bytes]) -> None:
        self._writer.remove_scratch(keys)

    def flush(self) -> None:
        """Nothing to do: no batch is pending."""

    def close(self) -> None:
        self._router.close()
