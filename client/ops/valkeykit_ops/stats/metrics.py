"""Metrics for Prometheus, with the names of redis_exporter. Every scrape queries the servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import ThreadingHTTPServer
from typing import Any, cast

from redis.exceptions import RedisError
from valkeykit.errors import ConfigurationError
from valkeykit.installation import OPERATOR_TOOLS
from valkeykit.settings import ConnectionSettings

from valkeykit_ops.stats.queue_metrics import QueueCollector
from valkeykit_ops.stats.reading import Reading
from valkeykit_ops.stats.watch import Watch

Value = Callable[[Reading], float | None]

COUNTERS: Mapping[str, tuple[Value, str]] = {
    "commands_processed": (lambda one: one.commands, "Commands since the server's start"),
    "keyspace_hits": (lambda one: one.hits, "Reads of existing keys"),
    "keyspace_misses": (lambda one: one.misses, "Reads of missing keys"),
    "evicted_keys": (lambda one: one.evicted, "Evicted keys"),
    "expired_keys": (lambda one: one.expired, "Expired keys"),
    "rejected_connections": (lambda one: one.rejected, "Connections rejected at maxclients"),
    "cpu_user_main_thread_seconds": (lambda one: one.cpu_user, "User CPU time of the command thread"),
    "cpu_sys_main_thread_seconds": (lambda one: one.cpu_sys, "System CPU time of the command thread"),
}
"""Values and descriptions by name, without the prefix `redis_` and the suffix `_total`."""

GAUGES: Mapping[str, tuple[Value, str]] = {
    "memory_used_bytes": (lambda one: one.memory, "Used memory"),
    "memory_used_rss_bytes": (lambda one: one.resident, "Resident memory of the process"),
    "memory_max_bytes": (lambda one: one.maxmemory, "maxmemory, 0 for no limit"),
    "connected_clients": (lambda one: one.clients, "Connected clients"),
    "blocked_clients": (lambda one: one.blocked, "Clients that wait in a blocking command"),
    "slowlog_last_id": (lambda one: max(one.slow - 1, 0), "Id of the latest entry of the slow log"),
    "connected_slave_lag_seconds": (
        lambda one: one.lag if one.role == "primary" else None,
        "Replication lag of a primary's slowest replica",
    ),
    "master_last_io_seconds_ago": (
        lambda one: one.lag if one.role == "replica" else None,
        "Seconds since a replica received data from its primary",
    ),
    "exporter_last_scrape_ping_time_seconds": (lambda one: one.ping, "Duration of a PING"),
}


class _Collector:
    """Collects from a watch. strict: fail without a server, of which a scrape reports `redis_up 0` instead."""

    def __init__(self, watch: Watch, *, strict: bool) -> None:
        self._watch = watch
        self._strict = strict
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        labels = ["node", "role"]
        with self._lock:
            try:
                readings, missing = self._watch.readings(), list(self._watch.missing)
            except (RedisError, ConfigurationError):
                if self._strict:
                    raise
                readings, missing = [], []
        up = GaugeMetricFamily("redis_up", "Whether the node responds", labels=["node"])
        for node, value in (*((one.node, 1.0) for one in readings), *((node, 0.0) for node in missing)):
            up.add_metric([str(node)], value)
        if not readings and not missing:
            up.add_metric([""], 0.0)
        yield up
        for name, (value_of, description) in COUNTERS.items():
            yield _filled(CounterMetricFamily(f"redis_{name}", description, labels=labels), value_of, readings)
        for name, (value_of, description) in GAUGES.items():
            yield _filled(GaugeMetricFamily(f"redis_{name}", description, labels=labels), value_of, readings)
        keys = GaugeMetricFamily("redis_db_keys", "Keys of a database", labels=[*labels, "db"])
        for one in readings:
            for database, number in one.keys.items():
                keys.add_metric([str(one.node), one.role, database], number)
        yield keys


def _filled(family: Any, value_of: Value, readings: list[Reading]) -> Any:
    for one in readings:
        value = value_of(one)
        if value is not None:
            family.add_metric([str(one.node), one.role], value)
    return family


def text(settings: ConnectionSettings, queues: ConnectionSettings | None = None) -> str:
    """The metrics of one scrape.

    Args:
        settings: How to connect to the nodes.
        queues: How to connect to read queues; None for no metrics of queues.

    Raises:
        ConfigurationError: Prometheus_client is not installed, or the Sentinels report no primary.
        RedisError: No node responds.
    """
    with Watch(settings, samples=False) as watch:
        registry = _registry(watch, queues, strict=True)
        from prometheus_client import generate_latest

        return generate_latest(registry).decode()


def serve(
    settings: ConnectionSettings, host: str, port: int, queues: ConnectionSettings | None = None
) -> ThreadingHTTPServer:
    """Serve metrics from a thread until `shutdown` is called on the returned server.

    Args:
        settings: How to connect to the nodes.
        host: Address to listen on.
        port: Port to listen on.
        queues: How to connect to read queues; None for no metrics of queues.

    Raises:
        ConfigurationError: Prometheus_client is not installed, or the port is not available.
    """
    registry = _registry(Watch(settings, samples=False), queues, strict=False)
    from prometheus_client import start_http_server

    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as problem:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {problem.strerror or problem}", fix="--listen 127.0.0.1:9122"
        ) from None
    return cast("ThreadingHTTPServer", server)


def _registry(watch: Watch, queues: ConnectionSettings | None, *, strict: bool) -> Any:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise ConfigurationError("metrics need prometheus_client", fix=OPERATOR_TOOLS) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast("Any", _Collector(watch, strict=strict)))
    if queues is not None:
        registry.register(cast("Any", QueueCollector(queues, strict=strict)))
    return registry
