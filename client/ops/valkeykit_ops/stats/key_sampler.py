"""Sampling of big keys and hot keys: a few random keys per update; the biggest and busiest are kept."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from valkeykit_ops import nodes as deployment

SAMPLE_BATCH_KEYS = 10
"""Random keys per update."""

LISTED_KEYS = 5
"""Number of the biggest and of the hottest keys that are shown."""

MEMORY_SAMPLES = 5
"""Elements of a collection that MEMORY USAGE samples."""


class KeySampler:
    """Samples the keys of one node. Its queries do not count as accesses of the keys."""

    def __init__(self, policy: str) -> None:
        self._by_frequency = "lfu" in policy
        self._weights: dict[str, int] = {}
        self._heat: dict[str, int] = {}
        self.counted = 0
        """Number of queries that the server counted as keyspace hits."""

    @property
    def big(self) -> list[tuple[str, int]]:
        """Keys and bytes, biggest first."""
        return _top(self._weights)

    @property
    def hot(self) -> list[tuple[str, int]]:
        """Keys with their heat, hottest first.

        Heat is the server's frequency counter (0 to 255) under an lfu policy.
        Otherwise it is minus the seconds since the last access.
        """
        return _top(self._heat)

    def sample(self, client: Redis) -> None:
        """Sample once. Errors of the server are ignored."""
        try:
            drawn = deployment.run_batch(client, [("RANDOMKEY",)] * SAMPLE_BATCH_KEYS)
            names = list({_text(name) for name in drawn if name and not isinstance(name, Exception)})
            if not names:
                return
            used = "FREQ" if self._by_frequency else "IDLETIME"
            answers = deployment.run_batch(
                client,
                [
                    command
                    for name in names
                    for command in (("MEMORY", "USAGE", name, "SAMPLES", str(MEMORY_SAMPLES)), ("OBJECT", used, name))
                ],
            )
        except RedisError:
            return
        self.counted += sum(isinstance(heat, int) for heat in answers[1::2])
        for name, weight, heat in zip(names, answers[::2], answers[1::2], strict=True):
            _keep(self._weights, name, weight, 1)
            _keep(self._heat, name, heat, 1 if self._by_frequency else -1)


def _keep(values: dict[str, int], name: str, value: Any, sign: int) -> None:
    if isinstance(value, int):
        values[name] = sign * value
    else:
        values.pop(name, None)  # the key was deleted
    for worse in sorted(values, key=lambda one: values[one])[: max(len(values) - LISTED_KEYS, 0)]:
        del values[worse]


def _top(values: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(values.items(), key=lambda one: -one[1])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
