"""These tests need a Docker engine: tests/docker/prepare makes one, and the images of both versions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.report import publish
from harness.project import USERS_CHOICE
from infra.drivers.docker.engine import Engine
from infra.hardening import Topology
from tests.operations import clients, images, killing, leftovers
from tests.operations.clients import ApplicationClient
from tests.operations.rounds import SEED
from tests.operations.stack import CommandRun, Deployment, Target
from tests.operations.totals import ROUNDS, OperationsTotals, totals

PUBLISHED = 50
"""ROUNDS from which on the totals of all runs are a part of docs/benchmarks.md."""


@dataclass
class Harness:
    """The stack of a test, and its clients; another one after a round that failed."""

    folder: Path
    target: Target
    topology: Topology
    deployment: Deployment | None = None
    applications: list[ApplicationClient] = field(default_factory=list)
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _durations: dict[str, float] = field(default_factory=dict)
    _number: int = 0

    def get(self, version: str) -> tuple[Deployment, list[ApplicationClient]]:
        """The stack, of a version at its beginning."""
        if self.deployment is None:
            self._number += 1
            folder = self.folder / str(self._number)
            self.deployment = Deployment.create(folder, self.target, self.topology, version)
            self.deployment.durations = self._durations
            self._open.callback(leftovers.remove, self.deployment)
            self.applications = self._open.enter_context(clients.running(self.topology))
        return self.deployment, self.applications

    def end(self) -> list[str]:
        """Take the stack down as an operator does; returns what is wrong or left, a line each."""
        if self.deployment is None:
            return []
        for client in self.applications:
            client.use(None)
        down: CommandRun = self.deployment.run(self.deployment.command("down"))
        problems = [] if down.has_succeeded else [str(down)]
        totals.stuck += not down.has_succeeded
        left = leftovers.find(self.deployment)
        totals.left_behind += len(left)
        self.discard()
        return problems + left

    def discard(self) -> None:
        """Remove all of it by force."""
        for client in self.applications:
            totals.acknowledged[client.kind] += client.writes
            totals.reads[client.kind] += client.reads
        totals.record()
        self._open.close()
        self.deployment, self.applications = None, []


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The engine, its images, and a shell that has chosen no backend."""
    Engine().check()
    with images.tagged(), killing.signals_arrive(), pytest.MonkeyPatch.context() as patch:
        for name in USERS_CHOICE:
            patch.delenv(name, raising=False)
        patch.setenv("PULUMI_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def harness_of(tmp_path: Path) -> Iterator[Callable[[Target, Topology], Harness]]:
    harnesses: list[Harness] = []

    def create(target: Target, topology: Topology) -> Harness:
        harnesses.append(Harness(tmp_path / str(len(harnesses)), target, topology))
        return harnesses[-1]

    yield create
    for harness in harnesses:
        harness.discard()


def pytest_report_header() -> str:
    return f"operations: SEED={SEED} ROUNDS={ROUNDS}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if totals.rounds or totals.pairs or totals.sequences:
        terminalreporter.section(f"operations, SEED={SEED}")
        for line in totals.lines():
            terminalreporter.write_line(line)
        if ROUNDS >= PUBLISHED:
            publish("operations", OperationsTotals.of_all_runs().rows())
