"""Function libraries, which belong to a server and not to a key."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ResponseError

from valkeykit.ops.migrate.server import Server


def libraries(server: Server) -> dict[str, str]:
    """The code of each library, by name; none where the server has no functions.

    Raises:
        redis.RedisError: the user may not ask.
    """
    if not server.has_functions:
        return {}
    rows = server.ask(server.primaries()[0].node, "FUNCTION", "LIST", "WITHCODE")
    found = [dict(zip(row[::2], row[1::2], strict=True)) for row in rows]
    return {_text(row[b"library_name"]): _text(row[b"library_code"]) for row in found}


def _text(value: Any) -> str:
    return bytes(value).decode()


def load(server: Server, code: str, *, replace: bool) -> str | None:
    """Load a library on every primary; what the server says where it refuses, else None."""
    words = ["FUNCTION", "LOAD", *(["REPLACE"] if replace else []), code]
    for primary in server.primaries():
        try:
            server.ask(primary.node, *words)
        except ResponseError as problem:
            return str(problem).splitlines()[0][:200]
    return None
