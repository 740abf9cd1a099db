"""The same figures for Prometheus (extra `ops`): every scrape asks the servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any, cast

from redis.exceptions import RedisError

from valkeykit.errors import ConfigurationError
from valkeykit.ops.stats.reading import Reading
from valkeykit.ops.stats.watch import Watch
from valkeykit.settings import ConnectionSettings

COUNTERS = {
    "commands_processed": ("commands", "Commands since the server's start"),
    "keyspace_hits": ("hits", "Reads that found their key"),
    "keyspace_misses": ("misses", "Reads that didn't"),
    "evicted_keys": ("evicted", "Keys removed for want of memory"),
    "expired_keys": ("expired", "Keys whose time was up"),
    "rejected_connections": ("rejected", "Connections refused at maxclients"),
    "cpu_seconds": ("cpu", "CPU time of the thread that runs commands"),
    "slowlog_entries": ("slow", "Entries the slow log was given"),
}
"""Names without valkey_ and _total, the fields of a Reading, and what they are."""

GAUGES = {
    "memory_used_bytes": ("memory", "Bytes in use"),
    "memory_resident_bytes": ("resident", "Bytes of the process"),
    "memory_max_bytes": ("maxmemory", "The limit, 0 for none"),
    "keys": ("keys", "Keys of all databases"),
    "connected_clients": ("clients", "Connections"),
    "blocked_clients": ("blocked", "Connections that wait in a blocking command"),
    "replication_lag_seconds": ("lag", "Since a replica heard of its primary; of a primary, its slowest replica"),
    "ping_seconds": ("ping", "How long a PING takes"),
}


class _Collector:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        labels = ["node", "role"]
        with self._lock:
            try:
                readings, missing = self._watch.readings(), list(self._watch.missing)
            except (RedisError, ConfigurationError):
                readings, missing = [], []
        up = GaugeMetricFamily("valkey_up", "Whether the node answers", labels=["node"])
        for node, value in (*((one.node, 1.0) for one in readings), *((node, 0.0) for node in missing)):
            up.add_metric([str(node)], value)
        if not readings and not missing:
            up.add_metric([""], 0.0)
        yield up
        for name, (field, meaning) in COUNTERS.items():
            yield _filled(CounterMetricFamily(f"valkey_{name}", meaning, labels=labels), field, readings)
        for name, (field, meaning) in GAUGES.items():
            yield _filled(GaugeMetricFamily(f"valkey_{name}", meaning, labels=labels), field, readings)


def _filled(family: Any, field: str, readings: list[Reading]) -> Any:
    for one in readings:
        value = getattr(one, field)
        if value is not None:
            family.add_metric([str(one.node), one.role], value)
    return family


def text(settings: ConnectionSettings) -> str:
    """One scrape.

    Raises:
        ConfigurationError: prometheus_client is absent.
    """
    with Watch(settings, samples=False) as watch:
        registry = _registry(watch)
        from prometheus_client import generate_latest

        return generate_latest(registry).decode()


def serve(settings: ConnectionSettings, host: str, port: int) -> ThreadingHTTPServer:
    """Answer scrapes from a thread until `shutdown` is called on what is returned.

    Raises:
        ConfigurationError: prometheus_client is absent, or the port can't be had.
    """
    registry = _registry(Watch(settings, samples=False))
    from prometheus_client import start_http_server

    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as problem:
        raise ConfigurationError(
            f"can't listen at {host}:{port}: {problem.strerror or problem}", fix="--listen 127.0.0.1:9122"
        ) from None
    return cast("ThreadingHTTPServer", server)


def _registry(watch: Watch) -> Any:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise ConfigurationError("metrics need prometheus_client", fix="pip install 'valkeykit[ops]'") from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast("Any", _Collector(watch)))
    return registry
