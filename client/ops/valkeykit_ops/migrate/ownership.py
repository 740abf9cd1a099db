"""The keys of the target that a migration may write or delete: defined here, and checked by the target writer."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from valkeykit_ops.migrate.options import Scope
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState


@dataclass(frozen=True)
class KeyOwnership:
    """The keys of the target that belong to a migration.

    Attributes:
        scratch_prefix: Prefix of the names under which incomplete keys are assembled, unique to the migration.
        preserved: Database and name of the keys that the target had before and the source did not have.
    """

    scope: Scope
    scratch_prefix: bytes
    preserved: frozenset[tuple[int, bytes]] = frozenset()

    def check(self, database: int, names: Iterable[bytes]) -> None:
        """Check that keys of the target may be written.

        Raises:
            UnsafeOperationError: One of them is out of scope.
        """
        if self.scope.is_everything:
            return
        for name in names:
            if not (self.scope.includes(database) and (self.scope.owns(name) or name.startswith(self.scratch_prefix))):
                raise UnsafeOperationError(
                    f"a key of database {database} is out of the migration's scope, so it was not written",
                    fix="report this as a bug of valkeykit-ops",
                )

    def deletable(self, database: int, names: Sequence[bytes], kinds: Sequence[str]) -> list[bytes]:
        """Those that may be deleted. kinds: their types at the target."""
        types = self.scope.types
        return [
            name
            for name, kind in zip(names, kinds, strict=True)
            if (database, name) not in self.preserved and kind != "none" and (not types or kind in types)
        ]


def scratch_prefix(state: MigrationState) -> bytes:
    """The prefix of this migration's incomplete keys; no user's key begins like it."""
    token = state.get("token")
    if token is None:
        token = secrets.token_hex(8)
        state.put("token", token)
    return b"valkeykit:migrate:%b:" % token.encode()
