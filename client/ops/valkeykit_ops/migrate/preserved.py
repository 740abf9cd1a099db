"""The keys that only the target has when a migration with `--conflict replace` begins; they are not deleted.

Every other key in scope belongs to the migration, so it is deleted when the source deletes it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from valkeykit_ops.migrate import commands, reader
from valkeykit_ops.migrate.key_scan import KeyScan
from valkeykit_ops.migrate.router import Router
from valkeykit_ops.migrate.run_context import RunContext
from valkeykit_ops.migrate.state import MigrationState

PRESERVED_FILE = "preserved.keys"
"""File of the state folder that lists them: database and name in hexadecimal."""


def find_preserved(context: RunContext) -> frozenset[tuple[int, bytes]]:
    """Scan the target, save its own keys and return them.

    Raises:
        redis.RedisError: A server rejected a command, or was unreachable for too long.
    """
    keys: set[tuple[int, bytes]] = set()
    guard = threading.Lock()
    KeyScan(
        context,
        context.target,
        lambda number: _PreservedKeys(context, number, keys, guard),
        pattern=context.options.scope.target_pattern,
    ).run()
    save_preserved(context.state, keys)
    return frozenset(keys)


def save_preserved(state: MigrationState, keys: Iterable[tuple[int, bytes]]) -> None:
    """Save the keys that only the target has."""
    state.write(PRESERVED_FILE, "".join(f"{database} {name.hex()}\n" for database, name in sorted(keys)))


def load_preserved(folder: Path) -> frozenset[tuple[int, bytes]]:
    """The saved keys; none if there is no file."""
    path = folder / PRESERVED_FILE
    if not path.exists():
        return frozenset()
    rows = (line.split(" ") for line in path.read_text().splitlines())
    return frozenset((int(database), bytes.fromhex(name)) for database, name in rows)


class _PreservedKeys:
    def __init__(self, context: RunContext, database: int, keys: set[tuple[int, bytes]], guard: threading.Lock) -> None:
        self._scope = context.options.scope
        self._database = database
        self._keys = keys
        self._guard = guard
        self._source = Router(context.source, database)

    def handle(self, keys: Sequence[bytes]) -> None:
        names = [name for name in keys if self._scope.owns(name)]
        origins = [self._scope.origin(name) for name in names]
        answers = self._source.request(origins, [commands.exists(origin) for origin in origins]) if origins else []
        reader.raise_first(answers)
        with self._guard:
            self._keys.update((self._database, name) for name, there in zip(names, answers, strict=True) if not there)

    def flush(self) -> None:
        """Nothing to do: no batch is pending."""

    def close(self) -> None:
        self._source.close()
