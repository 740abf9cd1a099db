"""What is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from valkeykit.errors import ConfigurationError

LONGEST = 120.0
"""Seconds that a whole run may take."""

SHORTEST_CELL = 0.2
"""Seconds below which a measurement says little."""

VALUE_BYTES = 100
"""As the benchmarks of Redis and Valkey have it, nearly: theirs writes 3 bytes, which no application does."""


@dataclass(frozen=True)
class Plan:
    """seconds: of the whole run. connections, pipelines: each of the one with each of the other, for GET and SET."""

    seconds: float = 20.0
    connections: tuple[int, ...] = (1, 4, 16, 64)
    pipelines: tuple[int, ...] = (1, 50)
    commands: tuple[str, ...] = ("GET", "SET")
    value_bytes: int = VALUE_BYTES

    @property
    def cells(self) -> list[tuple[str, int, int]]:
        """Command, pipeline, connections."""
        return [(name, deep, wide) for name in self.commands for deep in self.pipelines for wide in self.connections]

    @property
    def cell_seconds(self) -> float:
        return self.seconds / len(self.cells)

    def check(self) -> None:
        """Whether it can be run.

        Raises:
            ConfigurationError: too long, too short, or a number that can't be used.
        """
        if not all(1 <= wide <= 512 for wide in self.connections) or not self.connections:
            raise ConfigurationError("--connections must be from 1 to 512", fix="--connections 1 --connections 16")
        if not all(1 <= deep <= 1000 for deep in self.pipelines) or not self.pipelines:
            raise ConfigurationError("--pipeline must be from 1 to 1000", fix="--pipeline 1 --pipeline 50")
        if not 1 <= self.value_bytes <= 1_000_000:
            raise ConfigurationError("--size must be from 1 to 1000000 bytes", fix="--size 100")
        least = SHORTEST_CELL * len(self.cells)
        if not least <= self.seconds <= LONGEST:
            raise ConfigurationError(
                f"--seconds must be from {least:g} to {LONGEST:g} for {len(self.cells)} measurements",
                fix="--seconds 20",
            )


@dataclass(frozen=True)
class Cell:
    """A measurement. rate: commands a second. p50_ms, p99_ms: of a round trip, which is a whole pipeline.
    client, server: CPU time a second, as a share of one core. limit: client, server, or waiting where neither is busy:
    for the network, or for a machine that has other work.
    """

    command: str
    pipeline: int
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    client: float
    server: float
    limit: str

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


BUSY = 0.85
"""A share of one core above which its owner is the limit."""


def limit_of(client: float, server: float) -> str:
    """Who is the limit; of two that are busy the busier one."""
    if max(client, server) < BUSY:
        return "waiting"
    return "server" if server >= client else "client"
