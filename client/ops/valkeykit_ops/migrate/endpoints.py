"""The endpoints of a migration: URLs from arguments, files or the environment. They are never printed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from valkeykit.errors import ConfigurationError
from valkeykit.settings import ConnectionSettings, resolve_settings
from valkeykit.vocabulary import MigrationRole

from valkeykit_ops.migrate import rdb_source
from valkeykit_ops.migrate.failures import naming_tls_options
from valkeykit_ops.migrate.migration_server import MigrationServer

MIGRATION_CONNECT_TIMEOUT_SECONDS = 5.0
MIGRATION_READ_TIMEOUT_SECONDS = 30.0
"""A server may be busy with another client's command for a while."""

SOURCE_URL, TARGET_URL = "SOURCE_URL", "TARGET_URL"


@dataclass(frozen=True)
class TlsFiles:
    """Paths of PEM files: the CA certificate of a server, and the client's certificate with its key."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def resolve_url(argument: str | None, variable: str) -> str:
    """The URL of an endpoint: the argument, the first line of the file if it is @FILE, or the variable's value.

    Raises:
        ConfigurationError: No URL is given, or the file cannot be read.
    """
    text = argument or os.environ.get(variable, "").strip()
    if not text:
        endpoint = variable.partition("_")[0].lower()
        raise ConfigurationError(
            f"the {endpoint} is missing", fix=f"pass its URL as an argument or as @FILE, or set {variable}"
        )
    if not text.startswith("@"):
        return text
    try:
        if url := Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()[0].strip():
            return url
    except (OSError, UnicodeDecodeError, IndexError):
        pass
    raise ConfigurationError(f"cannot read a URL from {text[1:]!r}", fix="put the URL in the first line of the file")


def settings(url: str, tls: TlsFiles | None = None, *, role: MigrationRole | None = None) -> ConnectionSettings:
    """Connection settings of an endpoint. role: the endpoint, which errors name.

    Raises:
        ConfigurationError: The URL is invalid, or a file cannot be read.
    """
    files_ = tls or TlsFiles()
    try:
        settled = resolve_settings(
            url, ca=files_.ca, certificate=files_.certificate, key=files_.key, decode=False,
            connect_timeout=MIGRATION_CONNECT_TIMEOUT_SECONDS, read_timeout=MIGRATION_READ_TIMEOUT_SECONDS,
        )  # fmt: skip
    except ConfigurationError as problem:
        if role is None:
            raise
        raise ConfigurationError(f"{role}: {problem.args[0]}", fix=naming_tls_options(role, problem.fix)) from None
    name = f"{role}: " if role else ""
    if files_.ca and not settled.address.tls:
        raise ConfigurationError(f"{name}a CA certificate needs TLS, which the URL does not use", fix="use rediss://")
    if settled.address.socket:
        raise ConfigurationError(
            f"{name}a migration needs a host and a port; unix sockets are not supported", fix="redis://localhost:6379"
        )
    if settled.address.database:
        raise ConfigurationError(
            f"{name}the URL names database {settled.address.database}; a migration keeps the numbers of databases",
            fix=f"end the URL with /0, and pass --database {settled.address.database} to select this one",
        )
    return settled


@contextlib.contextmanager
def open_source(text: str, tls: TlsFiles, scratch: str | None) -> Iterator[MigrationServer]:
    """The source: a server, or a file loaded into a temporary server.

    Raises:
        ConfigurationError: The URL or the file is invalid.
        redis.RedisError: The server is unreachable.
    """
    if not rdb_source.is_file(text):
        with contextlib.closing(MigrationServer(settings(text, tls, role="source"), role="source")) as server:
            yield server
        return
    with rdb_source.served(Path(text), scratch or rdb_source.program()) as address:
        loaded = resolve_settings(address, decode=False, read_timeout=MIGRATION_READ_TIMEOUT_SECONDS)
        with contextlib.closing(MigrationServer(loaded, label=Path(text).name, role="source")) as server:
            yield server
