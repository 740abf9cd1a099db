"""These tests need a Docker engine; where there is none they fail: tests/docker/prepare makes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from bench.report import publish
from harness.docker import IMAGE, NEW, OLD, DeploymentHarness, make_spec, running
from infra.drivers.docker.engine import Engine
from infra.hardening import Topology
from tests.docker.totals import PUBLISHED, ROUNDS, DamageTotals, totals


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    engine = Engine()
    engine.check()
    images = [f"{IMAGE}:{version}" for version in (OLD, NEW)]
    assert len(engine.inspect("image", *images)) == len(images), "run tests/docker/prepare first"


@pytest.fixture(scope="module", params=[pytest.param("single", marks=pytest.mark.thorough), "replicated", "cluster"])
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    """A deployment of each topology, by the old version; its tests run in the order of their file."""
    topology = cast("Topology", request.param)
    with running(make_spec(tmp_path_factory.mktemp(topology), topology, OLD)) as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if totals.rounds:
        terminalreporter.section("damage")
        for line in totals.lines():
            terminalreporter.write_line(line)
        if ROUNDS >= PUBLISHED:
            publish("damage", DamageTotals.of_all_runs().rows())
