from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness import servers
from harness.servers import ServerProcess
from tests.faults.runs import RunLog
from tests.faults.totals import totals

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with servers.running(tmp_path / "server", *DURABLE) as server:
        yield server


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[RunLog]:
    with closing(RunLog(tmp_path / "runs")) as runs:
        yield runs


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if totals.rounds:
        terminalreporter.section("faults")
        for line in totals.lines():
            terminalreporter.write_line(line)
