"""Function libraries of a server."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ResponseError

from valkeykit_ops.migrate.migration_server import MigrationServer


def libraries(server: MigrationServer) -> dict[str, str]:
    """The code of each library by name; empty if the server does not support functions.

    Raises:
        redis.RedisError: The user is not permitted to list them.
    """
    if not server.has_functions:
        return {}
    rows = server.command(server.primaries()[0].node, "FUNCTION", "LIST", "WITHCODE")
    fields = [dict(zip(row[::2], row[1::2], strict=True)) for row in rows]
    return {_text(row[b"library_name"]): _text(row[b"library_code"]) for row in fields}


def _text(value: Any) -> str:
    return bytes(value).decode()


def differing(source: MigrationServer, target: MigrationServer) -> dict[str, str | None]:
    """What is wrong at the target with each library of the source; None for an equal one.

    Raises:
        redis.RedisError: A user is not permitted to list them.
    """
    here, there = libraries(source), libraries(target)
    return {
        name: None if there.get(name) == code else ("different code" if name in there else "missing")
        for name, code in here.items()
    }


def load(server: MigrationServer, code: str, *, replace: bool) -> str | None:
    """Load a library on every primary; return the server's error, or None."""
    words = ["FUNCTION", "LOAD", *(["REPLACE"] if replace else []), code]
    for primary in server.primaries():
        try:
            server.command(primary.node, *words)
        except ResponseError as problem:
            return str(problem).splitlines()[0][:200]
    return None
