"""The driver of one server process: bring it into a state, look at it, take it down.

`ensure` can be killed at any moment and run again. It knows nothing of Pulumi.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import psutil
import redis
from valkeykit.connection import connect
from valkeykit.url import Address

from infra import hardening
from infra.errors import ProvisioningError
from infra.local import binary, ports, process
from infra.local.files import write_private
from infra.local.folder import Claim, Folder

T = TypeVar("T")

START_SECONDS = 10.0
"""How long a server may take until it listens."""

LOAD_SECONDS = 900.0
"""How long it may take to read its data, or to write its first append-only file after a restore."""

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Spec:
    """What a server shall be.

    port: 0 for the one it had, else the first free one from 6379.
    restore_from: an RDB file that a new server starts with.
    """

    folder: Folder
    claim: Claim
    port: int
    directives: Mapping[str, str]
    acl: str = field(repr=False)
    password: str = field(repr=False)
    restore_from: Path | None = None


@dataclass(frozen=True)
class State:
    """What a server is: `directives` and `acl` (a digest) as it reports them itself."""

    port: int
    version: str
    directives: Mapping[str, str]
    acl: str


def ensure(spec: Spec) -> State:
    """Make the server be as the spec says, with as little disturbance as that takes.

    A setting that it takes live is changed live; else it is restarted with its data kept.

    Raises:
        ProvisioningError: the spec can't be had.
    """
    if problem := spec.folder.objection(spec.claim):
        raise problem
    try:
        return _ensure(spec)
    except OSError as error:
        raise ProvisioningError(f"{error.strerror}: {error.filename or spec.folder.path}") from None


def inspect(spec: Spec) -> State | None:
    """How the server is now; None where it doesn't run or doesn't take the password."""
    running = process.find(spec.folder)
    if running is None or (client := _login(spec, running)) is None:
        return None
    with client:
        return _inspect(spec, client)


def remove(spec: Spec, *, keep_snapshot: bool) -> None:
    """Stop the server and remove its data; with `keep_snapshot`, leave the last state as an RDB file.

    Does nothing to a folder that another resource claimed since.
    """
    claim = spec.folder.claim()
    if claim is None or claim.resource != spec.claim.resource:
        return
    if keep_snapshot and process.find(spec.folder) is None and any(spec.folder.data.glob("*")):
        # Only a server makes a snapshot of append-only files. Where it can't start, they are kept as they are.
        with contextlib.suppress(ProvisioningError):
            _start(spec).close()
    if running := process.find(spec.folder):
        if keep_snapshot and (client := _login(spec, running)):
            with client, contextlib.suppress(redis.TimeoutError):  # it answers when the snapshot is written
                client.shutdown(save=True)
        process.stop(running)
    spec.folder.retire(keep_snapshot=keep_snapshot)


def _ensure(spec: Spec) -> State:
    previous = spec.folder.claim()
    source = str(spec.restore_from or "") if previous is None else previous.restoring
    spec.folder.take(replace(spec.claim, restoring=source))
    running = process.find(spec.folder)
    if source:
        if running:
            process.stop(running)
        state = _restore(spec, Path(source))
        spec.folder.take(spec.claim)
        return state
    if running:
        if client := _login(spec, running):
            with client:
                if _apply_live(spec, client):
                    return _inspect(spec, client)
        process.stop(running)
    with _start(spec) as client:
        return _inspect(spec, client)


def _apply_live(spec: Spec, client: redis.Redis) -> bool:
    """Change what differs; False where a restart is needed for the rest."""
    current = _inspect(spec, client)
    _refuse_to_fill_up(client, spec.directives)
    port = spec.port or current.port
    if port != current.port:
        ports.candidates(spec.folder, port)  # refuses one that is taken, while the server still runs on the old one
    _write_files(spec, port)
    complete = (port, binary.version()) == (current.port, current.version)
    for name, value in spec.directives.items():
        if current.directives.get(name) != value:
            try:
                client.config_set(name, value)
            except redis.ResponseError as refusal:
                # Else the machine doesn't allow it (maxclients): a start, too, would take only what it can.
                complete = complete and "immutable" not in str(refusal)
    _wait_for_append_only(client)
    client.acl_load()
    return complete


def _refuse_to_fill_up(client: redis.Redis, wanted: Mapping[str, str]) -> None:
    used, allowed = int(client.info("memory")["used_memory"]), int(wanted["maxmemory"])
    if used > allowed and not wanted["maxmemory-policy"].startswith("allkeys-"):
        raise ProvisioningError(
            f"the server holds {used} bytes and may not evict them, so with {allowed} every write would fail",
            fix="pulumi config set memory <more>",
        )


def _start(spec: Spec, *overrides: str) -> redis.Redis:
    """Start the server, which isn't running, and wait until it has read its data."""
    for port in ports.candidates(spec.folder, spec.port):
        _write_files(spec, port)
        started = process.start(spec.folder, *overrides)
        if client := _login(spec, started):
            return client
        if process.is_alive(started):
            process.stop(started)
            raise ProvisioningError("valkey-server runs but doesn't take the password that it was given")
        if ports.is_free(port):
            break  # it wasn't the port that was taken meanwhile
    raise ProvisioningError(f"valkey-server didn't start: {_last_words(spec.folder)}", fix=f"read {spec.folder.log}")


def _restore(spec: Spec, source: Path) -> State:
    """Start on a copy of an RDB file, then turn the append-only file on.

    The order matters: a server that starts with `appendonly yes` beside a snapshot only is empty.
    Nothing is evicted before it is known that all of it fits.
    """
    if not source.is_file():
        raise ProvisioningError(
            f"the restore from {source} was interrupted and the file is gone", fix="put it back, or make down"
        )
    spec.folder.empty()
    shutil.copyfile(source, spec.folder.snapshot)
    with _start(spec, "--appendonly", "no", "--maxmemory", "0") as client:
        used, allowed = int(client.info("memory")["used_memory"]), int(spec.directives["maxmemory"])
        if used > allowed:
            process.stop(psutil.Process(int(client.info("server")["process_id"])))
            raise ProvisioningError(
                f"{source} takes {used} bytes of memory, more than the {allowed} that are asked for",
                fix="pulumi config set memory <more>",
            )
        client.config_set("appendonly", "yes")
        _wait_for_append_only(client)
        client.config_set("maxmemory", allowed)
        return _inspect(spec, client)


def _wait_for_append_only(client: redis.Redis) -> None:
    """Wait until the append-only file holds everything."""
    for _ in _until(LOAD_SECONDS):
        state = client.info("persistence")
        if not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]:
            if state["aof_last_bgrewrite_status"] == "ok":
                return
            break
    raise ProvisioningError("the append-only file can't be written", fix="make room on the disk, then try again")


def _login(spec: Spec, server: psutil.Process) -> redis.Redis | None:
    """A client of the server, once it has read its data; None where it ended or doesn't let us in."""
    port = _first(lambda: process.port(server), START_SECONDS, server)
    if port is None:
        return None
    client = connect(Address(ports.HOST, port, username=hardening.ADMIN, password=spec.password), topology="single")
    if _first(lambda: _answers(client), LOAD_SECONDS, server):
        return client
    client.close()
    return None


def _answers(client: redis.Redis) -> bool | None:
    """True when the server has read its data, False when it refuses the password, None while it loads."""
    try:
        return bool(client.ping())
    except redis.AuthenticationError:
        return False
    except (redis.ConnectionError, redis.TimeoutError):  # loading is a ConnectionError of redis-py's too
        return None


def _first(probe: Callable[[], T | None], seconds: float, server: psutil.Process) -> T | None:
    """The probe's first answer; None when the time is over or the server ended."""
    for _ in _until(seconds):
        if (answer := probe()) is not None or not process.is_alive(server):
            return answer
    return None


def _inspect(spec: Spec, client: redis.Redis) -> State:
    info = client.info("server")
    acl = "\n".join(sorted(str(user) for user in client.acl_list()))
    return State(
        port=int(info["tcp_port"]),
        version=str(info["valkey_version"]),
        directives={str(name): str(value) for name, value in client.config_get(*spec.directives).items()},
        acl=hashlib.sha256(acl.encode()).hexdigest(),
    )


def _write_files(spec: Spec, port: int) -> None:
    folder = spec.folder
    local = {
        "bind": ports.HOST,
        "port": str(port),
        "dir": ".",  # the server starts in its data folder; nothing here names a place, so the project can be moved
        "aclfile": f"../{folder.acl.name}",
        "pidfile": f"../{folder.pid.name}",
    }
    write_private(folder.acl, spec.acl)
    write_private(folder.config, hardening.valkey_conf({**local, **spec.directives}))


def _last_words(folder: Folder) -> str:
    """The end of the log, without what comes before the last start."""
    time.sleep(0.1)  # the log is written by another process
    lines = folder.log.read_text(errors="replace").splitlines() if folder.log.exists() else []
    return " / ".join(lines[-3:]) or "it left no log"


def _until(seconds: float) -> Iterator[None]:
    """Once at once, then every few milliseconds until the time is over."""
    deadline = time.monotonic() + seconds
    for _ in itertools.count():
        yield None
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)
