"""Restore drill: load a backup into a temporary server, and report its keys and the loading time.

The server runs in a temporary folder, without a port.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from infra.drivers import binary, rdb
from infra.drivers.waiting import until
from infra.errors import ProvisioningError

LOAD_TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class DrillResult:
    """keys: in all databases. seconds: from the start of the server until they were loaded."""

    keys: int
    seconds: float


def load(dump: Path) -> DrillResult:
    """Load an RDB file into a temporary server, and count its keys.

    Raises:
        ProvisioningError: the file is damaged, or the server can't load it.
    """
    if problem := rdb.validation_error(dump):
        raise problem
    started = time.monotonic()
    with _server(dump) as client:
        keyspace = client.info("keyspace")
        return DrillResult(sum(database["keys"] for database in keyspace.values()), time.monotonic() - started)


@contextlib.contextmanager
def _server(dump: Path) -> Iterator[redis.Redis]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dump.rdb").symlink_to(dump.resolve())
        options = ["--port", "0", "--unixsocket", f"{folder}/socket", "--save", "", "--appendonly", "no"]
        log = Path(folder) / "log"
        with (
            log.open("w") as output,
            subprocess.Popen(
                [str(binary.path()), *options, "--dir", folder], stdin=subprocess.DEVNULL, stdout=output, env={}
            ) as server,
        ):
            try:
                with redis.Redis(unix_socket_path=f"{folder}/socket") as client:
                    if not _wait_until_loaded(client, server):
                        lines = log.read_text(errors="replace").strip().splitlines()
                        raise ProvisioningError(f"{dump} can't be loaded: {lines[-1] if lines else 'no response'}")
                    yield client
            finally:
                server.kill()


def _wait_until_loaded(client: redis.Redis, server: subprocess.Popen[bytes]) -> bool:
    for _ in until(LOAD_TIMEOUT_SECONDS):
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):  # raised while loading, too
            return bool(client.ping())
        if server.poll() is not None:
            return False
    return False


def age(dump: Path) -> float:
    """Seconds since a backup was written."""
    return time.time() - dump.stat().st_mtime
