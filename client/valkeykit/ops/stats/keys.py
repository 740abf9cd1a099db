"""Big keys and hot keys, by sampling: a few random keys at each look, the largest and the busiest of all kept."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from valkeykit.ops import nodes as deployment

SAMPLE = 10
"""Random keys of each look."""

KEPT = 5
"""How many of the biggest and of the hottest are shown."""

DEPTH = 5
"""Elements that MEMORY USAGE weighs of a collection."""


class Sampler:
    """Of one node. Nothing that it asks counts as a use of the key."""

    def __init__(self, policy: str) -> None:
        self._by_frequency = "lfu" in policy
        self._weights: dict[str, int] = {}
        self._heat: dict[str, int] = {}
        self.counted = 0
        """How often asking has counted as a hit, in the server's own statistics."""

    @property
    def big(self) -> list[tuple[str, int]]:
        """Keys and bytes, the biggest first."""
        return _top(self._weights)

    @property
    def hot(self) -> list[tuple[str, int]]:
        """Keys and the server's own frequency counter (0 to 255) under an lfu policy, the busiest first; else keys and
        minus the seconds since their last use."""
        return _top(self._heat)

    def sample(self, client: Redis) -> None:
        """One look. A server that refuses any of it is asked no more of that."""
        try:
            drawn = deployment.run_batch(client, [("RANDOMKEY",)] * SAMPLE)
            names = list({_text(name) for name in drawn if name and not isinstance(name, Exception)})
            if not names:
                return
            used = "FREQ" if self._by_frequency else "IDLETIME"
            answers = deployment.run_batch(
                client,
                [
                    command
                    for name in names
                    for command in (("MEMORY", "USAGE", name, "SAMPLES", str(DEPTH)), ("OBJECT", used, name))
                ],
            )
        except RedisError:
            return
        self.counted += sum(isinstance(heat, int) for heat in answers[1::2])
        for name, weight, heat in zip(names, answers[::2], answers[1::2], strict=True):
            _keep(self._weights, name, weight, 1)
            _keep(self._heat, name, heat, 1 if self._by_frequency else -1)


def _keep(found: dict[str, int], name: str, value: Any, sign: int) -> None:
    if isinstance(value, int):
        found[name] = sign * value
    else:
        found.pop(name, None)  # it is gone
    for worse in sorted(found, key=lambda one: found[one])[: max(len(found) - KEPT, 0)]:
        del found[worse]


def _top(found: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(found.items(), key=lambda one: -one[1])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
