"""Watch of all nodes of a deployment, over persistent connections."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import replace
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeykit.error_translation import translate_error
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops import nodes as deployment
from valkeykit_ops.stats.key_sampler import KeySampler
from valkeykit_ops.stats.reading import Figures, Reading, between, read
from valkeykit_ops.stats.slow_log import SlowLog

PINGS_PER_READING = 3
"""PINGs per node and reading."""

MINUTE_SECONDS = 60.0

LISTED_SLOW_COMMANDS = 5
"""Number of slow commands that are shown for a node."""

DISCOVERY_INTERVAL_SECONDS = 10.0
"""Pause between two discoveries of the nodes."""


class Watch:
    """Watches the nodes of a deployment. samples: whether big and hot keys are sampled."""

    def __init__(self, settings: ConnectionSettings, *, samples: bool = True) -> None:
        self._settings = settings
        self._samples = samples
        self._clients: dict[Node, Redis] = {}
        self._samplers: dict[Node, KeySampler] = {}
        self._slow_logs: dict[Node, SlowLog] = {}
        self._history: dict[Node, deque[Reading]] = {}
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
            history = self._history.setdefault(reading.node, deque())
            if self._samples:
                sampler.sample(self._clients[reading.node])
            if history:
                figures.append(replace(self._figures(history, reading), big=sampler.big, hot=sampler.hot))
            history.append(reading)
        return figures

    def _figures(self, history: deque[Reading], reading: Reading) -> Figures:
        """The activity since the last reading, and in the last minute."""
        while len(history) > 1 and history[1].when <= reading.when - MINUTE_SECONDS:
            history.popleft()  # the oldest that is kept is at least a minute old
        minute = between(history[0], reading)
        slow = self._slow_logs[reading.node].since(reading.clock - MINUTE_SECONDS)
        return replace(
            between(history[-1], reading),
            minute=minute.operations,
            minute_window=minute.window,
            slow=len(slow),
            slow_log=slow[:LISTED_SLOW_COMMANDS],
        )

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

    def _read(self, node: Node, client: Redis) -> Reading:
        seconds = []
        for _ in range(PINGS_PER_READING):
            began = time.perf_counter()
            client.ping()
            seconds.append(time.perf_counter() - began)
        info: Any = client.info()  # several sections need 7.0
        when = time.monotonic()
        slow = self._slow_logs.setdefault(node, SlowLog()).read(client, only_id=not self._samples)
        return read(node, info, when, slow=slow, ping=statistics.median(seconds))
