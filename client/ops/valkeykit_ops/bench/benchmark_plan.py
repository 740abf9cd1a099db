"""Plan and results of a benchmark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from valkeykit.errors import ConfigurationError

MAX_RUN_SECONDS = 120.0
"""Maximum duration of a run."""

MIN_CELL_SECONDS = 0.2
"""Minimum duration of a measurement."""

VALUE_BYTES = 100
"""redis-benchmark and valkey-benchmark write 3 bytes, which is unrealistic."""


@dataclass(frozen=True)
class BenchPlan:
    """The measurements of a run: each command with each number of connections and each pipeline length.

    Attributes:
        seconds: Duration of the whole run.
        connections: Numbers of connections.
        pipelines: Numbers of commands per round trip.
        commands: Names of the commands.
        value_bytes: Size of the values.
    """

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
        """Validate the plan.

        Raises:
            ConfigurationError: A value is out of range.
        """
        if not all(1 <= wide <= 512 for wide in self.connections) or not self.connections:
            raise ConfigurationError("--connections must be from 1 to 512", fix="--connections 1 --connections 16")
        if not all(1 <= deep <= 1000 for deep in self.pipelines) or not self.pipelines:
            raise ConfigurationError("--pipeline must be from 1 to 1000", fix="--pipeline 1 --pipeline 50")
        if not 1 <= self.value_bytes <= 1_000_000:
            raise ConfigurationError("--size must be from 1 to 1000000 bytes", fix="--size 100")
        least = MIN_CELL_SECONDS * len(self.cells)
        if not least <= self.seconds <= MAX_RUN_SECONDS:
            raise ConfigurationError(
                f"--seconds must be from {least:g} to {MAX_RUN_SECONDS:g} for {len(self.cells)} measurements",
                fix="--seconds 20",
            )


@dataclass(frozen=True)
class Cell:
    """A measurement.

    Attributes:
        rate: Commands per second.
        p50_ms, p99_ms: Latency of a round trip, which is a whole pipeline.
        client, server: CPU use as a share of one core.
        limit: `client` or `server`; `waiting` if neither is busy, for example because of the network.
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


SATURATED_CPU_RATIO = 0.85
"""Share of one core above which a program is the limit."""


def limit_of(client: float, server: float) -> str:
    """The limit: client, server or waiting; if both are busy, the busier one."""
    if max(client, server) < SATURATED_CPU_RATIO:
        return "waiting"
    return "server" if server >= client else "client"
