"""Looks at every node again and again, over connections that stay."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from valkeykit.causes import explain
from valkeykit.ops import nodes as deployment
from valkeykit.ops.stats.keys import Sampler
from valkeykit.ops.stats.reading import Figures, Reading, between, read
from valkeykit.settings import Settings
from valkeykit.url import Node

PINGS = 3
"""Of each look."""

FIND_EVERY = 10.0
"""Seconds after which the deployment is asked for its nodes anew."""


class Watch:
    """samples: whether big and hot keys are looked for."""

    def __init__(self, settings: Settings, *, samples: bool = True) -> None:
        self._settings = settings
        self._samples = samples
        self._clients: dict[Node, Redis] = {}
        self._samplers: dict[Node, Sampler] = {}
        self._before: dict[Node, Reading] = {}
        self._found_at = float("-inf")
        self.missing: dict[Node, str] = {}
        """Nodes that didn't answer at the last look, and why."""

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def readings(self) -> list[Reading]:
        """A reading of each node that answers.

        Raises:
            RedisError: no node answers. ConfigurationError: the Sentinels name no primary.
        """
        self._find()
        self.missing = {}
        found = []
        for node, client in self._clients.items():
            try:
                found.append(self._read(node, client))
            except RedisError as error:
                self.missing[node] = str(explain(error).args[0])
        return found

    def look(self) -> list[Figures]:
        """The figures of each node since the last look; the first look has none.

        Raises:
            As readings.
        """
        figures = []
        for plain in self.readings():
            sampler = self._samplers.setdefault(plain.node, Sampler(plain.policy))
            reading = replace(plain, hits=plain.hits - sampler.counted)
            before = self._before.get(reading.node)
            self._before[reading.node] = reading
            if self._samples:
                sampler.sample(self._clients[reading.node])
            if before:
                figures.append(replace(between(before, reading), big=sampler.big, hot=sampler.hot))
        return figures

    def _find(self) -> None:
        if time.monotonic() - self._found_at < FIND_EVERY:
            return
        nodes = deployment.find_nodes(self._settings)
        for gone in set(self._clients) - set(nodes):
            self._clients.pop(gone).close()
        for node in nodes:
            if node not in self._clients:
                self._clients[node] = deployment.client_at(self._settings, node)
        self._found_at = time.monotonic()

    @staticmethod
    def _read(node: Node, client: Redis) -> Reading:
        seconds = []
        for _ in range(PINGS):
            began = time.perf_counter()
            client.ping()
            seconds.append(time.perf_counter() - began)
        info: Any = client.info()  # several sections at once are new with 7.0
        return read(node, info, time.monotonic(), slow=_slow(client), ping=statistics.median(seconds))


def _slow(client: Redis) -> int:
    """How many entries the slow log was ever given: the newest one's number tells; 0 where it may not be read."""
    try:
        newest: Any = client.slowlog_get(1)
    except ResponseError:
        return 0
    return int(newest[0]["id"]) + 1 if newest else 0
