"""Benchmark run: each connection has a thread that sends the next round trip after the reply to the last one."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeykit.connection import mode_of
from valkeykit.errors import ConfigurationError
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops import nodes as deployment
from valkeykit_ops.bench.benchmark_plan import BenchPlan, Cell, limit_of
from valkeykit_ops.stats.reading import cpu_of

PREFIX = "valkeykit:bench:"
TTL_SECONDS = 300
"""The keys expire even if this process is killed."""

KEY_COUNT = 1000
PACKED_TRIPS = 20
"""Round trips that are encoded once and sent repeatedly."""

MAX_MEMORY_RATIO = 0.9
"""Above this share of maxmemory the benchmark does not run, since it could evict data."""


class Bench:
    """Benchmark of the primary; in a cluster, of the primary that owns the keys' hash tag."""

    def __init__(self, settings: ConnectionSettings, plan: BenchPlan) -> None:
        plan.check()
        self._settings = settings
        self._plan = plan
        self._tag = f"{PREFIX}{{{secrets.token_hex(4)}}}"
        self._keys = [f"{self._tag}:{number}" for number in range(KEY_COUNT)]

    def run(self) -> Generator[Cell, None, None]:
        """Measure and yield each cell. The keys are deleted at the end, also if the run is closed early.

        Raises:
            ConfigurationError: The server is nearly full, or no primary was found.
            RedisError: The server rejects a command.
        """
        node = self._node()
        with deployment.client_of(self._settings, node) as client:
            _check_memory(client, KEY_COUNT * (self._plan.value_bytes + 200))
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
        raise ConfigurationError("no primary was found", fix="use the primary's URL: redis://host:6379")

    def _fill(self, client: Redis) -> None:
        value = b"x" * self._plan.value_bytes
        with client.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.set(key, value, ex=TTL_SECONDS)
            pipeline.execute()

    def _remove(self, client: Redis) -> None:
        with client.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.unlink(key)
            pipeline.execute()

    def _measure(self, client: Redis, node: Node, command: str, pipeline: int, connections: int) -> Cell:
        requests = self._requests(command, pipeline)
        threads = [_ConnectionThread(self._settings, node, requests, pipeline) for _ in range(connections)]
        try:
            for thread in threads:
                thread.connect()
            server, process, began = _cpu(client), time.process_time(), time.perf_counter()
            end = began + self._plan.cell_seconds
            for thread in threads:
                thread.end = end
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
            ("GET", key) if command == "GET" else ("SET", key, value, "EX", TTL_SECONDS) for key in self._keys
        ]
        stride = max(pipeline, KEY_COUNT // PACKED_TRIPS)
        return [[rows[(first + step) % KEY_COUNT] for step in range(pipeline)] for first in range(0, KEY_COUNT, stride)]


class _ConnectionThread(threading.Thread):
    """A connection with its thread."""

    def __init__(
        self, settings: ConnectionSettings, node: Node, requests: Sequence[Sequence[tuple[Any, ...]]], answers: int
    ) -> None:
        super().__init__(daemon=True)
        self.end = 0.0
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
                    if began >= self.end:
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
    raise ConfigurationError(
        f"slot {slot} of the cluster is not assigned", fix=f"valkeykit cli --node {node} CLUSTER ADDSLOTS {slot}"
    )


def _check_memory(client: Redis, needed: int) -> None:
    info: Any = client.info("memory")
    limit, used = int(info.get("maxmemory", 0)), int(info["used_memory"])
    limit = limit or int(info.get("total_system_memory", 0))
    if limit and used + needed > limit * MAX_MEMORY_RATIO:
        raise ConfigurationError(
            f"the server is nearly full: {used / 2**20:,.0f} of {limit / 2**20:,.0f} MiB, so writes could evict data",
            fix="increase maxmemory, or measure another server",
        )


def _cpu(client: Redis) -> float:
    return cpu_of(client.info("cpu"))


def _percentile(times: list[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)] if times else 0.0
