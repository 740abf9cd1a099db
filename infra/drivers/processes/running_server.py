"""A server instance: its files, start, login, state and live configuration.

The drivers decide on its role and when it may be restarted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
import redis
from valkeykit.connection import connect
from valkeykit.url import Address

from infra import hardening
from infra.drivers import binary
from infra.drivers.files import write_private
from infra.drivers.processes import appendonly, ports, process
from infra.drivers.processes.appendonly import DamagedError
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.topology.node_executor import RESPONSE_TIMEOUT_SECONDS
from infra.drivers.waiting import until
from infra.engine_parameters import SELF_HOSTED
from infra.errors import ProvisioningError

T = TypeVar("T")

PROCESS_START_TIMEOUT_SECONDS = 10.0
"""How long a server may take to listen."""

LOG_TIMEOUT_SECONDS = 60.0
"""How long its log may take to be complete after it has ended."""

LOAD_TIMEOUT_SECONDS = 900.0
"""How long it may take to load its data, or to write its first append-only file after a restore."""


@dataclass(frozen=True)
class ServerSpec:
    """The desired state of a server.

    port: 0 for its previous one, else the first free one from 6379.
    secrets: directives that are never reported or stored in a state.
    previous_password: a password that a running server may still have.
    watches: a Sentinel's configuration of the servers that it monitors; it contains secrets.
    restore_from: an RDB file that a new server starts with.
    """

    folder: ServerFolder
    ownership: Ownership
    port: int
    directives: Mapping[str, str]
    acl: str = field(repr=False)
    password: str = field(repr=False)
    restore_from: Path | None = None
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    watches: str = field(repr=False, default="")
    previous_password: str = field(repr=False, default="")

    @property
    def has_bus(self) -> bool:
        """Whether it listens for the other nodes of a cluster too."""
        return self.directives.get("cluster-enabled") == "yes"


@dataclass(frozen=True)
class ServerState:
    """The current state of a server: `directives` and `acl` (a digest) as it reports them."""

    port: int
    version: str
    directives: Mapping[str, str]
    acl: str


@contextlib.contextmanager
def as_provisioning_error(folder: ServerFolder) -> Iterator[None]:
    """Raise errors of the machine or a server as `ProvisioningError`."""
    try:
        yield
    except OSError as error:
        fix = _FREE_SPACE if error.errno == errno.ENOSPC else ""
        raise ProvisioningError(f"{error.strerror}: {error.filename or folder.path}", fix=fix) from None
    except redis.RedisError as error:
        if str(error).startswith(_CANNOT_SAVE):
            raise _disk_error(folder) from None
        raise ProvisioningError(
            f"a server in {folder.path} did not respond as expected: {type(error).__name__}: {error}",
            fix="run `make up` again to resume",
        ) from None


_CANNOT_SAVE = ("MISCONF", "Errors trying to SHUTDOWN")
"""How the responses of a server begin that can't write to its disk."""

_FREE_SPACE = "free space on that disk, then run the same command again"


def _disk_error(folder: ServerFolder) -> ProvisioningError:
    free = shutil.disk_usage(folder.path).free // 1024**2
    return ProvisioningError(
        f"valkey-server can't write to the disk of {folder.path}, which has {free} MB free", fix=_FREE_SPACE
    )


def apply_live(spec: ServerSpec, client: redis.Redis) -> bool:
    """Apply changes; False if some of them need a restart."""
    current = inspect(spec, client)
    port = spec.port or current.port
    removed = _removed_parameters(spec)
    write_files(spec, port)
    complete = (port, binary.version()) == (current.port, current.version) and not removed
    desired = {**spec.directives, **spec.secrets}
    reported = client.config_get(*desired)
    for name, value in desired.items():
        if reported.get(name) != value:
            try:
                client.config_set(name, value)
            except redis.ResponseError as refusal:
                # Otherwise the machine doesn't allow it (maxclients), which a restart would not change.
                complete = complete and "immutable" not in str(refusal)
    wait_for_append_only(client)
    client.acl_load()
    return complete


def preflight(spec: ServerSpec) -> None:
    """Check the spec against a running server, before anything is changed."""
    running = process.find(spec.folder)
    client = login(spec, running) if running else None
    if client is None:
        return
    with client:
        used, allowed = int(client.info("memory")["used_memory"]), int(spec.directives["maxmemory"])
        if used > allowed and not spec.directives["maxmemory-policy"].startswith("allkeys-"):
            raise ProvisioningError(
                f"the server holds {used} bytes and may not evict them, so with {allowed} every write would fail",
                fix="pulumi config set memory <more>",
            )
        if spec.port and spec.port != int(client.info("server")["tcp_port"]):
            ports.candidates(spec.folder, spec.port, has_bus=spec.has_bus)


def start(spec: ServerSpec, *overrides: str) -> redis.Redis:
    """Start the server, which isn't running, and wait until it has loaded its data.

    Raises:
        ProvisioningError: it doesn't start, or would start empty although it has files.
    """
    if "--appendonly" not in overrides:
        reject_missing_files(spec)
        if spec.directives.get("appendonly") == "yes":
            appendonly.remove_torn_timestamp(spec.folder.data)
    for port in ports.candidates(spec.folder, spec.port, has_bus=spec.has_bus):
        write_files(spec, port)
        started = process.start(spec.folder, *overrides)
        if client := login(spec, started):
            return client
        if process.is_alive(started):
            process.stop(started)
            raise ProvisioningError("valkey-server rejects the password that it was configured with")
        if ports.is_free(port):
            break  # the cause isn't a port that was taken meanwhile
    _reject_damaged(spec.folder, appendonly.check)
    raise ProvisioningError(f"valkey-server didn't start: {_log_tail(spec.folder)}", fix=f"read {spec.folder.log}")


def reject_missing_files(spec: ServerSpec) -> None:
    """Raise if the server would start empty although it has files."""
    if spec.directives.get("appendonly") == "yes":
        _reject_damaged(spec.folder, appendonly.parts)


def _reject_damaged(folder: ServerFolder, check: Callable[[Path], object]) -> None:
    try:
        check(folder.data)
    except DamagedError as damage:
        node = folder.path.name if folder.path.name.startswith("node-") else "node-0"
        raise ProvisioningError(
            f"valkey-server can't load {folder.data}: {damage.args[0]}",
            fix=f"restore a backup: make restore; or repair the files, which keeps a copy: make repair NODE={node}",
        ) from None


def wait_for_append_only(client: redis.Redis) -> None:
    """Wait until the append-only file is complete."""
    for _ in until(LOAD_TIMEOUT_SECONDS):
        state = client.info("persistence")
        if not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]:
            if state["aof_last_bgrewrite_status"] == "ok":
                return
            break
    raise ProvisioningError(
        "the append-only file can't be written", fix="free space on the disk, then run the same command again"
    )


def login(spec: ServerSpec, server: psutil.Process) -> redis.Redis | None:
    """A client of the server, once it has loaded its data; None if it has ended or rejects the password.

    Raises:
        ProvisioningError: it runs but doesn't respond: it is stopped, or waits for a disk.
    """
    port = first_result(lambda: process.port(server), PROCESS_START_TIMEOUT_SECONDS, server)
    if port is None:
        return None
    _reject_unresponsive(server, port)
    for password in filter(None, (spec.password, spec.previous_password)):
        client = connect(Address(ports.HOST, port, username=hardening.ADMIN, password=password), topology="single")
        if first_result(partial(_can_log_in, client), LOAD_TIMEOUT_SECONDS, server):
            return client
        client.close()
    return None


def _reject_unresponsive(server: psutil.Process, port: int) -> None:
    try:
        with socket.create_connection((ports.HOST, port), RESPONSE_TIMEOUT_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            connection.recv(1)
    except TimeoutError:
        raise ProvisioningError(
            f"valkey-server (pid {server.pid}) runs, but has not responded for {RESPONSE_TIMEOUT_SECONDS} s",
            fix=f"find out why; if it doesn't recover: kill -9 {server.pid}, then make up",
        ) from None
    except OSError:  # it is ending
        return


def _can_log_in(client: redis.Redis) -> bool | None:
    """True if the server has loaded its data, False if it rejects the password, None while it loads."""
    try:
        return bool(client.ping())
    except redis.AuthenticationError:
        return False
    except redis.ResponseError as error:
        if str(error).startswith(_CANNOT_SAVE):  # the login succeeded; the disk is full
            return True
        raise
    except (redis.ConnectionError, redis.TimeoutError):  # redis-py raises a ConnectionError for loading too
        return None


def first_result(probe: Callable[[], T | None], seconds: float, server: psutil.Process) -> T | None:
    """The probe's first result; None when the time is over or the server has ended."""
    for _ in until(seconds):
        if (result := probe()) is not None or not process.is_alive(server):
            return result
    return None


def inspect(spec: ServerSpec, client: redis.Redis) -> ServerState:
    info = client.info("server")
    acl = "\n".join(sorted(str(user) for user in client.acl_list()))
    return ServerState(
        port=int(info["tcp_port"]),
        version=str(info["valkey_version"]),
        directives={str(name): str(value) for name, value in client.config_get(*spec.directives).items()},
        acl=hashlib.sha256(acl.encode()).hexdigest(),
    )


def write_files(spec: ServerSpec, port: int) -> None:
    folder = spec.folder
    local = {
        "bind": ports.HOST,
        "port": str(port),
        "dir": ".",  # relative to the data folder, where the server starts, so that the project can be moved
        "aclfile": f"../{folder.acl.name}",
        "pidfile": f"../{folder.pid.name}",
    }
    write_private(folder.acl, spec.acl)
    write_private(folder.config, hardening.valkey_conf({**local, **spec.directives, **spec.secrets}) + spec.watches)


def _removed_parameters(spec: ServerSpec) -> set[str]:
    """Parameters that the running server was configured with, and whose defaults only a restart restores."""
    written = spec.folder.config.read_text().splitlines() if spec.folder.config.exists() else []
    names = {line.partition(" ")[0] for line in written}
    return (names & SELF_HOSTED.keys()) - spec.directives.keys()


def _log_tail(folder: ServerFolder) -> str:
    """The end of the log of a server that has ended, once its log writer has written all of it."""
    for _ in until(LOG_TIMEOUT_SECONDS):
        if not process.has_log_writer(folder):
            break
    text = folder.log.read_text(errors="replace") if folder.log.exists() else ""
    return " / ".join(list(filter(None, text.splitlines()))[-3:]) or "it left no log"
