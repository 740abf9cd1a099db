"""Watch of all nodes of a deployment, over persistent connections."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from valkeykit.error_translation import translate_error
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops import nodes as deployment
from valkeykit_ops.stats.keys import KeySampler
from valkeykit_ops.stats.reading import Figures, Reading, between, read

PINGS_PER_READING = 3
"""PINGs per node and reading."""

DISCOVERY_INTERVAL_SECONDS = 10.0
"""Pause between two discoveries of the nodes."""


class Watch:
    """Watches the nodes of a deployment. samples: whether big and hot keys are sampled."""

    def __init__(self, settings: ConnectionSettings, *, samples: bool = True) -> None:
        self._settings = settings
        self._samples = samples
        self._clients: dict[Node, Redis] = {}
        self._samplers: dict[Node, KeySampler] = {}
        self._before: dict[Node, Reading] = {}
        self._discovered_at = float("-inf")
        self.missing: dict[Node, str] = {}
        """Nodes that did not respond at the last update, with the reason."""

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def readings(self) -> list[Reading]:
        """A reading of each node that responds.

        Raises:
            RedisError: No node responds.
            ConfigurationError: The Sentinels report no primary.
        """
        self._discover()
        self.missing = {}
        readings = []
        for node, client in self._clients.items():
            try:
                readings.append(self._read(node, client))
            except RedisError as error:
                self.missing[node] = str(translate_error(error).args[0])
        return readings

    def update(self) -> list[Figures]:
        """The activity of each node since the last call; empty at the first call.

        Raises:
            As readings.
        """
        figures = []
        for plain in self.readings():
            sampler = self._samplers.setdefault(plain.node, KeySampler(plain.policy))
            reading = replace(plain, hits=plain.hits - sampler.counted)
            before = self._before.get(reading.node)
            self._before[reading.node] = reading
            if self._samples:
                sampler.sample(self._clients[reading.node])
            if before:
                figures.append(replace(between(before, reading), big=sampler.big, hot=sampler.hot))
        return figures

    def _discover(self) -> None:
        if time.monotonic() - self._discovered_at < DISCOVERY_INTERVAL_SECONDS:
            return
        nodes = deployment.find_nodes(self._settings)
        for gone in set(self._clients) - set(nodes):
            self._clients.pop(gone).close()
        for node in nodes:
            if node not in self._clients:
                self._clients[node] = deployment.client_at(self._settings, node)
        self._discovered_at = time.monotonic()

    @staticmethod
    def _read(node: Node, client: Redis) -> Reading:
        seconds = []
        for _ in range(PINGS_PER_READING):
            began = time.perf_counter()
            client.ping()
            seconds.append(time.perf_counter() - began)
        info: Any = client.info()  # several sections need 7.0
        return read(node, info, time.monotonic(), slow=_slow(client), ping=statistics.median(seconds))


def _slow(client: Redis) -> int:
    """Number of entries ever added to the slow log, from the latest id; 0 if it is not permitted."""
    try:
        newest: Any = client.slowlog_get(1)
    except ResponseError:
        return 0
    return int(newest[0]["id"]) + 1 if newest else 0
