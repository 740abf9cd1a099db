"""Applications of three kinds that write and read all the time, by what `make env` has published.

kit: `valkeykit.connect()`. pooled: redis-py on VALKEY_URL, RedisCluster for a cluster. short: as pooled, with a new
connection for each request, as PHP, CGI and cron have it.

What is promised, and counted: no write that was acknowledged (with WAIT 1 where there are replicas) is lost; no read of
such a key returns None or an older value; no client with the published password is rejected. Not promised, so not
counted: reads of pooled and short on a replicated stack. They know one address, which is a replica's after a failover:
then they read with its delay, and can't write, until the next `make env`.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, cast

import redis
from valkeykit import environment
from valkeykit.connection import connect
from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.errors import LoginError, ValkeykitError

from infra.hardening import Topology
from stackctl.availability_probe import replicas_with

Kind = Literal["kit", "pooled", "short"]
KINDS: tuple[Kind, ...] = ("kit", "pooled", "short")

KEYS = 200
PAUSES: Mapping[Kind, float] = {"kit": 0.02, "pooled": 0.02, "short": 0.08}
"""Seconds between two requests: the servers and the commands shall have time for all else."""

CONTINUES_WITHIN = 180.0
TIMEOUT = 5.0
_HANGS_AFTER = 300.0
_CONFIRM_MILLISECONDS = 2000

_USERINFO = re.compile(r"(://[^:/@]*:)[^@]*@")

Variables = Mapping[str, str]


def open_client(kind: Kind, topology: Topology, variables: Variables) -> redis.Redis:
    """A client as an application makes it from nothing but its variables."""
    if kind == "kit":
        address = environment.resolve(variables)
        assert address is not None
        return connect(address, ca=environment.authority(variables))  # type: ignore[return-value]  # a cluster's client has the same commands
    options: dict[str, Any] = {"decode_responses": True, "socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    if "VALKEY_CA" in variables:
        options["ssl_ca_certs"] = variables["VALKEY_CA"]
    if topology == "cluster":
        return cast("redis.Redis", redis.RedisCluster.from_url(variables["VALKEY_URL"], **options))
    return redis.Redis.from_url(variables["VALKEY_URL"], single_connection_client=kind == "short", **options)


class ApplicationClient:
    """One kind: a thread that overwrites its keys with rising numbers, and one that reads what was acknowledged."""

    def __init__(self, kind: Kind, topology: Topology) -> None:
        self.kind = kind
        self._topology = topology
        self._wait = 0 if topology == "single" else 1
        self._prefix = f"operations:{kind}:{uuid.uuid4().hex[:8]}"
        self._number = 0
        self._current: tuple[int, Variables | None] = (0, None)
        self._adopted = {"write": 0, "read": 0}
        self._stop = threading.Event()
        self.acknowledged: dict[str, int] = {}
        self.writes = self.reads = self.failed = 0
        self.stale: list[str] = []
        self.locked_out: list[str] = []
        self._threads = [
            threading.Thread(target=self._loop, args=(role, request), daemon=True)
            for role, request in (("write", self._write), ("read", self._read))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def _reads_count(self) -> bool:
        return self.kind == "kit" or self._topology != "replicated"

    def use(self, variables: Variables | None) -> None:
        """Restart it with these variables; None pauses it. Returns when no connection from before is left."""
        self._current = (self._current[0] + 1, variables)
        end = time.monotonic() + _HANGS_AFTER
        while set(self._adopted.values()) != {self._current[0]}:
            assert time.monotonic() < end, f"a request of {self.kind} hangs"
            time.sleep(0.02)

    def continues(self, writes: int = 10) -> bool:
        """Whether some more writes are acknowledged, and all of its roles run."""
        goal, end = self.writes + writes, time.monotonic() + CONTINUES_WITHIN
        while self.writes < goal and time.monotonic() < end:
            time.sleep(0.05)
        return self.writes >= goal

    def forget(self) -> None:
        """The data is gone on purpose."""
        self.acknowledged = {}

    def lost(self, variables: Variables) -> list[str]:
        """Acknowledged writes that a new client of valkeykit doesn't find, a line each."""
        required = dict(self.acknowledged)
        stored = read(self._topology, variables, list(required))
        return [
            f"{key}: {stored.get(key)} instead of {number}"
            for key, number in required.items()
            if stored.get(key, -1) < number
        ]

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_HANGS_AFTER)

    def _loop(self, role: str, request: Callable[[redis.Redis], None]) -> None:
        client, previous = None, 0
        while not self._stop.wait(PAUSES[self.kind]):
            generation, variables = self._current
            if client is not None and (generation != previous or self.kind == "short"):
                _close(client)
                client = None
            previous = self._adopted[role] = generation
            if variables is None:
                continue
            try:
                client = client or open_client(self.kind, self._topology, variables)
                request(client)
            except (*REDIS_ERRORS, ValkeykitError) as problem:
                self.failed += 1
                if _is_rejected_login(problem) and generation == self._current[0]:
                    self.locked_out.append(f"{self.kind}: {type(problem).__name__} when it tried to {role}")
        if client is not None:
            _close(client)

    def _write(self, client: redis.Redis) -> None:
        self._number += 1
        key, number = f"{self._prefix}:{self._number % KEYS}", self._number
        if self._wait and not isinstance(client, redis.RedisCluster):
            pipeline = client.pipeline(transaction=False)  # WAIT counts the writes of its own connection
            pipeline.set(key, number)
            pipeline.execute_command("WAIT", self._wait, _CONFIRM_MILLISECONDS)
            confirmed = pipeline.execute()[1]
        else:
            client.set(key, number)
            confirmed = replicas_with(client, key, self._wait) if self._wait else 0
        if confirmed >= self._wait:
            self.acknowledged[key] = number
            self.writes += 1

    def _read(self, client: redis.Redis) -> None:
        acknowledged = self.acknowledged
        if not acknowledged:
            return
        key = random.choice(list(acknowledged))
        required = acknowledged[key]
        value = client.get(key)
        self.reads += 1
        if self._reads_count and acknowledged is self.acknowledged and int(value or -1) < required:
            self.stale.append(f"{self.kind}: {key} is {value!r}, was {required}")


@contextlib.contextmanager
def running(topology: Topology) -> Iterator[list[ApplicationClient]]:
    """One client of each kind, paused until it gets variables."""
    created: list[ApplicationClient] = []
    try:
        created.extend(ApplicationClient(kind, topology) for kind in KINDS)
        yield created
    finally:
        for client in created:
            client.end()


def read(topology: Topology, variables: Variables, keys: list[str]) -> dict[str, int]:
    """The numbers under keys, by a new client of valkeykit; -1 for a key that isn't there."""
    end = time.monotonic() + CONTINUES_WITHIN
    while True:
        try:
            with open_client("kit", topology, variables) as client:
                return {key: int(client.get(key) or -1) for key in keys}
        except (*REDIS_ERRORS, ValkeykitError):
            if time.monotonic() > end:
                return {}
            time.sleep(1)


def is_rejected(topology: Topology, variables: Variables, password: str) -> bool:
    """Whether a login where the variables say, with another password, is rejected."""
    url = _USERINFO.sub(lambda match: f"{match[1]}{password}@", variables["VALKEY_URL"])
    try:
        with open_client("short", topology, {**variables, "VALKEY_URL": url}) as client:
            client.get("operations")
    except (*REDIS_ERRORS, ValkeykitError) as problem:
        return _is_rejected_login(problem)
    return False


def _is_rejected_login(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, redis.AuthenticationError | LoginError):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _close(client: redis.Redis) -> None:
    with contextlib.suppress(*REDIS_ERRORS):
        client.close()
