"""How the two sides of a migration are named: by URL, in a file or in the environment, never echoed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from valkeykit.errors import ConfigurationError
from valkeykit.ops.migrate import files
from valkeykit.ops.migrate.server import Server
from valkeykit.settings import ConnectionSettings, resolve_settings

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 30.0
"""Seconds. A server may be busy with another client's command for a while."""

SOURCE_URL, TARGET_URL = "SOURCE_URL", "TARGET_URL"


def named(argument: str | None, variable: str) -> str:
    """What an argument says: itself, the first line of a file where it is @FILE, or else the variable's value.

    Raises:
        ConfigurationError: nothing says it, or the file can't be read.
    """
    text = argument or os.environ.get(variable, "").strip()
    if not text:
        side = variable.partition("_")[0].lower()
        raise ConfigurationError(f"no {side} is named", fix=f"as an argument, as @FILE, or in {variable}")
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, UnicodeDecodeError, IndexError):
        raise ConfigurationError(f"can't read a URL from {text[1:]!r}", fix="put it into its first line") from None


def settings(url: str, ca: Path | None) -> ConnectionSettings:
    """How a side is connected to.

    Raises:
        ConfigurationError: the URL can't be read.
    """
    settled = resolve_settings(
        url, ca=ca, decode=False, connect_timeout=CONNECT_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS
    )
    if settled.address.socket:
        raise ConfigurationError("a migration needs host and port, not a unix socket", fix=HOST_AND_PORT)
    return settled


HOST_AND_PORT = "redis://localhost:6379, with the server's port"


@contextlib.contextmanager
def source(text: str, ca: Path | None, scratch: str | None) -> Iterator[Server]:
    """The source: a server, or a file that a server of its own has loaded.

    Raises:
        ConfigurationError: the URL or the file can't be used.
        redis.RedisError: the server can't be reached.
    """
    if not files.is_file(text):
        with contextlib.closing(Server(settings(text, ca))) as server:
            yield server
        return
    with files.served(Path(text), scratch or files.program()) as address:
        loaded = resolve_settings(address, decode=False, read_timeout=READ_TIMEOUT_SECONDS)
        with contextlib.closing(Server(loaded, label=Path(text).name)) as server:
            yield server
