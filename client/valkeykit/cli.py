"""Entry point of the command `valkeykit` (extra `cli`). The server is VALKEY_URL, else REDIS_URL."""

from __future__ import annotations

import os
import sys
import time

STARTED = time.monotonic()
"""Start of the process, before the imports of the commands, which take a second on a busy machine."""


def main() -> None:
    """Run the command; exit 1 on an error of valkeykit, 2 on wrong usage."""
    from valkeykit.errors import ValkeykitError

    try:
        from valkeykit.commands import app

        app()
    except ImportError as problem:
        if problem.name not in {"typer", "rich"}:
            raise
        from valkeykit.installation import install_extra

        sys.exit(f"error: the command needs typer and rich -> {install_extra('cli')}")
    except ValkeykitError as error:
        sys.exit(f"error: {error}{_server(error)}")


def _server(error: Exception) -> str:
    """Which server an error is about that the command line doesn't name."""
    from valkeykit import environment, errors

    names = (name for name in ("VALKEY_URL", "REDIS_URL") if os.environ.get(name, "").strip())
    variable = next(names, None)
    is_named = any("://" in argument or argument.startswith("--stack") for argument in sys.argv[1:])
    if is_named or not isinstance(error, errors.UnreachableError):
        return ""
    if variable is None:
        tried = environment.DEFAULT_URL.removeprefix("redis://")
        return "; VALKEY_URL is not set" + ("" if tried in str(error) else f": tried {tried}")
    address = environment.resolve()
    nodes = ",".join(map(str, address.nodes)) if address else ""
    return "" if not nodes or nodes in str(error) else f"; {variable} is {nodes}"
