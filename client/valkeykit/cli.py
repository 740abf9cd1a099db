"""Entry point of the command `valkeykit` (extra `cli`). The server is VALKEY_URL, else REDIS_URL."""

from __future__ import annotations

import os
import sys
import time

DEFAULT_ADDRESS = "localhost:6379"
"""The server without VALKEY_URL and REDIS_URL."""

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
        is_set = any(os.environ.get(name) for name in ("VALKEY_URL", "REDIS_URL"))
        is_default = DEFAULT_ADDRESS in str(error) and not is_set
        sys.exit(f"error: {error}{'; VALKEY_URL is not set' * is_default}")
