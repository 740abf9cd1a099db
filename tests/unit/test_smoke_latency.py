"""The smoke suite's latency: high latency is a warning with a fix, never a failure."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.smoke import latency


def test_high_latency_is_a_warning() -> None:
    assert latency.recorded(0.0004, 0.1, "node: median") == ("latency", "node: median 0.4 ms")
    assert latency.recorded(1.5, 0.1, "node: median") == (
        "warning",
        "node: median 1500.0 ms, normal is less than 100 ms -> check the network and the load of both machines",
    )


def test_each_command_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter([0.0, 3.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert latency.measure(lambda: None, 3) == [1.0, 2.0, 3.0]
