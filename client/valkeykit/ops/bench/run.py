"""Measures: each connection in a thread of its own sends the next round trip when the last one is answered."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from valkeykit.connection import mode_of
from valkeykit.errors import ConfigurationError
from valkeykit.ops import nodes as deployment
from valkeykit.ops.bench.plan import Cell, Plan, limit_of
from valkeykit.ops.stats.reading import cpu_of
from valkeykit.settings import Settings
from valkeykit.url import Node

PREFIX = "valkeykit:bench:"
TTL = 300
"""Seconds after which the keys go by themselves, should this process be killed."""

KEYS = 1000
TRIPS = 20
"""Round trips that are packed once and then sent again and again."""

FULL = 0.9
"""Share of the memory's limit above which nothing is written: it would evict data of others, or fail."""


class Bench:
    """Of the node that takes writes; of a cluster, the one that owns the keys' tag."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        plan.check()
        self._settings = settings
        self._plan = plan
        self._tag = f"{PREFIX}{{{secrets.token_hex(4)}}}"
        self._keys = [f"{self._tag}:{number}" for number in range(KEYS)]

    def run(self) -> Generator[Cell, None, None]:
        """A cell after the other. Its keys are removed at the end, also of a run that is left early.

        Raises:
            ConfigurationError: the server is nearly full, or none takes writes.
            RedisError: what the server refuses.
        """
        node = self._node()
        with deployment.client_of(self._settings, node) as client:
            _must_have_room(client, KEYS * (self._plan.value_bytes + 200))
            try:
                self._fill(client)
                for command, pipeline, connections in self._plan.cells:
                    yield self._measure(client, node, command, pipeline, connections)
            finally:
                self._remove(client)

    def _node(self) -> Node:
        for node in deployment.find_nodes(self._settings):
            with deployment.client_of(self._settings, node) as client:
                info: Any = client.info()
                if mode_of(info) == "cluster":
                    return _owner(client, node, self._keys[0])
                if info.get("role") == "master":
                    return node
        raise ConfigurationError("no node that was found takes writes", fix="name the primary: redis://host:6379")

    def _fill(self, client: Redis) -> None:
        value = b"x" * self._plan.value_bytes
        with client.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.set(key, value, ex=TTL)
            pipeline.execute()

    def _remove(self, client: Redis) -> None:
        with client.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.unlink(key)
            pipeline.execute()

    def _measure(self, client: Redis, node: Node, command: str, pipeline: int, connections: int) -> Cell:
        requests = self._requests(command, pipeline)
        threads = [_Caller(self._settings, node, requests, pipeline) for _ in range(connections)]
        try:
            for thread in threads:
                thread.connect()
            server, process, began = _cpu(client), time.process_time(), time.perf_counter()
            end = began + self._plan.cell_seconds
            for thread in threads:
                thread.until = end
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - began
            used, done = time.process_time() - process, _cpu(client) - server
        finally:
            for thread in threads:
                thread.close()
        for thread in threads:
            if thread.failure is not None:
                raise thread.failure
        times = sorted(second for thread in threads for second in thread.times)
        return Cell(
            command, pipeline, connections,
            rate=len(times) * pipeline / seconds,
            p50_ms=_percentile(times, 0.5) * 1000,
            p99_ms=_percentile(times, 0.99) * 1000,
            client=used / seconds,
            server=done / seconds,
            limit=limit_of(used / seconds, done / seconds),
        )  # fmt: skip

    def _requests(self, command: str, pipeline: int) -> list[list[tuple[Any, ...]]]:
        """Round trips over all keys."""
        value = b"x" * self._plan.value_bytes
        rows: list[tuple[Any, ...]] = [
            ("GET", key) if command == "GET" else ("SET", key, value, "EX", TTL) for key in self._keys
        ]
        stride = max(pipeline, KEYS // TRIPS)
        return [[rows[(first + step) % KEYS] for step in range(pipeline)] for first in range(0, KEYS, stride)]


class _Caller(threading.Thread):
    """One connection."""

    def __init__(self, settings: Settings, node: Node, requests: list[list[tuple[Any, ...]]], answers: int) -> None:
        super().__init__(daemon=True)
        self.until = 0.0
        self.times: list[float] = []
        self.failure: Exception | None = None
        self._client = deployment.client_at(settings, node)
        self._requests = requests
        self._answers = answers
        self._connection: Any = None

    def connect(self) -> None:
        self._connection = self._client.connection_pool.get_connection()

    def run(self) -> None:
        connection = self._connection
        packed = [connection.pack_commands(commands) for commands in self._requests]
        try:
            while True:
                for request in packed:
                    began = time.perf_counter()
                    if began >= self.until:
                        return
                    connection.send_packed_command(request)
                    for _ in range(self._answers):
                        connection.read_response()
                    self.times.append(time.perf_counter() - began)
        except RedisError as problem:
            self.failure = problem

    def close(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
        self._client.close()


def _owner(client: Redis, node: Node, key: str) -> Node:
    slot = int(client.execute_command("CLUSTER KEYSLOT", key))
    for row in deployment.slots_of(client):
        if int(row[0]) <= slot <= int(row[1]):
            host = row[2][0].decode() if isinstance(row[2][0], bytes) else str(row[2][0] or "")
            return Node(host or node.host, int(row[2][1]))
    raise ConfigurationError(f"nobody owns slot {slot} of the cluster", fix=f"valkey-cli --cluster fix {node}")


def _must_have_room(client: Redis, needed: int) -> None:
    info: Any = client.info("memory")
    limit, used = int(info.get("maxmemory", 0)), int(info["used_memory"])
    limit = limit or int(info.get("total_system_memory", 0))
    if limit and used + needed > limit * FULL:
        raise ConfigurationError(
            f"the server is nearly full: {used / 2**20:,.0f} of {limit / 2**20:,.0f} MiB: a benchmark could cost data",
            fix="raise maxmemory, or measure another server",
        )


def _cpu(client: Redis) -> float:
    return cpu_of(client.info("cpu"))


def _percentile(times: list[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)] if times else 0.0
