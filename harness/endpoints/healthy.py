"""Healthy endpoints, each a real one: the doctor must not report a warning."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import redis

from harness import binaries, servers
from harness.endpoints.cases import EndpointCase, OpenEndpoint
from harness.endpoints.endpoint_servers import MEMORY_LIMIT, tls, user
from harness.ports import HOST
from harness.servers import Sentinels, ServerProcess, running
from harness.waiting import wait_until

AOF = ("--appendonly", "yes")
CACHE = ("--maxmemory-policy", "allkeys-lru")
APP = "app on >right ~* &* +@all -@admin -@dangerous +info"

EXPECTED_ALARMS = {"valkey-8.1": {"vulnerable"}}
"""Alarms that are correct: the available 8.1 release has known vulnerabilities."""


def _single(*options: str, login: str = "", workload: str | None = None, program: str | None = None) -> OpenEndpoint:
    @contextlib.contextmanager
    def made(folder: Path) -> Iterator[EndpointCase]:
        path = binaries.program(program) if program else None
        with running(folder, *MEMORY_LIMIT, *options, program=path) as server:
            yield EndpointCase(f"valkey://{login}{HOST}:{server.port}/0", workload=workload)

    return made


def _database(number: int) -> OpenEndpoint:
    @contextlib.contextmanager
    def made(folder: Path) -> Iterator[EndpointCase]:
        with running(folder, *MEMORY_LIMIT, *AOF) as server:
            for index in (0, number):
                with closing(redis.Redis(port=server.port, db=index)) as client:
                    client.set("a", 1)
            yield EndpointCase(f"redis://{HOST}:{server.port}/{number}")

    return made


def _tls(*options: str, login: str = "") -> OpenEndpoint:
    @contextlib.contextmanager
    def made(folder: Path) -> Iterator[EndpointCase]:
        with tls(folder, *AOF, *options) as end:
            yield EndpointCase(f"rediss://{login}localhost:{end.port}", end.ca)

    return made


@contextlib.contextmanager
def _replicated(folder: Path) -> Iterator[EndpointCase]:
    with (
        running(folder / "primary", *MEMORY_LIMIT, *AOF, "--repl-diskless-sync-delay", "0") as primary,
        running(folder / "replica", *MEMORY_LIMIT, *AOF, "--replicaof", f"{HOST} {primary.port}") as replica,
        closing(primary.client()) as client,
    ):
        wait_until(lambda: "online" in str(client.info("replication").get("slave0")))
        yield EndpointCase(f"valkey+replicated://{HOST}:{primary.port},{HOST}:{replica.port}")


@contextlib.contextmanager
def _replica_first(folder: Path) -> Iterator[EndpointCase]:
    with _replicated(folder) as case:
        head, nodes = case.url.split("://")
        yield EndpointCase(f"{head}://{','.join(reversed(nodes.split(',')))}")


@contextlib.contextmanager
def _sentinels(folder: Path) -> Iterator[EndpointCase]:
    group = Sentinels(folder)
    try:
        group.start()
        for server in (group.primary, group.replica):
            _limit(server)
        yield EndpointCase(group.url)
    finally:
        group.kill()


def _cluster(replicas: int) -> OpenEndpoint:
    @contextlib.contextmanager
    def made(folder: Path) -> Iterator[EndpointCase]:
        with servers.cluster(folder, 3, replicas) as nodes:
            for node in nodes:
                _limit(node)
            yield EndpointCase(f"valkey+cluster://{HOST}:{nodes[0].port}")

    return made


def _limit(server: ServerProcess) -> None:
    with closing(server.client()) as client:
        client.config_set("maxmemory", "300mb")


ENDPOINTS: dict[str, OpenEndpoint] = {
    "open on loopback": _single(*AOF),
    "password": _single(*AOF, "--requirepass", "right", login=":right@"),
    "ACL user": _single(*AOF, *user(APP), login="app:right@"),
    "ACL user, default off": _single(*AOF, *user(APP), *user("default off"), login="app:right@"),
    "cache without persistence": _single(*CACHE, workload="cache"),
    "cache with AOF": _single(*CACHE, *AOF, workload="cache"),
    "cache with snapshots": _single(*CACHE, "--save", "3600 1", workload="cache"),
    "cache, allkeys-lfu": _single("--maxmemory-policy", "allkeys-lfu", workload="cache"),
    "cache, allkeys-random": _single("--maxmemory-policy", "allkeys-random", workload="cache"),
    "mixed, volatile-lru": _single("--maxmemory-policy", "volatile-lru", *AOF, workload="mixed"),
    "mixed, volatile-lfu": _single("--maxmemory-policy", "volatile-lfu", *AOF, workload="mixed"),
    "mixed, volatile-ttl": _single("--maxmemory-policy", "volatile-ttl", *AOF, workload="mixed"),
    "mixed, volatile-random": _single("--maxmemory-policy", "volatile-random", *AOF, workload="mixed"),
    "queue": _single(*AOF, workload="queue"),
    "queue with snapshots": _single("--save", "3600 1", workload="queue"),
    "several databases": _database(5),
    "TLS": _tls(),
    "TLS and password": _tls("--requirepass", "right", login=":right@"),
    "TLS and ACL user": _tls(*user(APP), login="app:right@"),
    "replicated": _replicated,
    "replicated, the replica named first": _replica_first,
    "Sentinels": _sentinels,
    "cluster of three": _cluster(0),
    "cluster with replicas": _cluster(1),
    "valkey-8.1": _single(*AOF, program="valkey-8.1"),
}
