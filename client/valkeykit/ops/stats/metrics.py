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
from valkeykit.settings import Settings

COUNTERS = {
    "commands": "Commands since the server's start",
    "hits": "Reads that found their key",
    "misses": "Reads that didn't",
    "evicted": "Keys removed for want of memory",
    "expired": "Keys whose time was up",
    "rejected": "Connections refused at maxclients",
    "cpu": "Seconds of CPU time of the thread that runs commands",
    "slow": "Entries the slow log was given",
}

GAUGES = {
    "memory": "Bytes in use",
    "resident": "Bytes of the process",
    "maxmemory": "The limit in bytes, 0 for none",
    "keys": "Keys of all databases",
    "clients": "Connections",
    "blocked": "Connections that wait in a blocking command",
    "lag": "Seconds since a replica heard of its primary, or of a primary's slowest replica",
    "ping": "Seconds of a PING",
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
        for name, text in COUNTERS.items():
            yield _filled(CounterMetricFamily(f"valkey_{name}", text, labels=labels), name, readings)
        for name, text in GAUGES.items():
            yield _filled(GaugeMetricFamily(f"valkey_{name}", text, labels=labels), name, readings)


def _filled(family: Any, name: str, readings: list[Reading]) -> Any:
    for one in readings:
        value = getattr(one, name)
        if value is not None:
            family.add_metric([str(one.node), one.role], value)
    return family


def text(settings: Settings) -> str:
    """One scrape.

    Raises:
        ConfigurationError: prometheus_client is absent.
    """
    registry = _registry(Watch(settings, samples=False))
    from prometheus_client import generate_latest

    return generate_latest(registry).decode()


def serve(settings: Settings, host: str, port: int) -> ThreadingHTTPServer:
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
