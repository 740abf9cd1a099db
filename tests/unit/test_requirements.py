"""Which suites run on a bare machine, and what the others report there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import binaries
from stackctl.stack import PROJECT
from tests.support import requirements

BARE = {"unit", "integration", "engine", "cloud", "aws", "gcp", "faults", "docs"}


def variable(name: str) -> list[str]:
    """The words of a variable of the Makefile."""
    lines = (PROJECT / "Makefile").read_text().splitlines()
    return next(line.partition(":=")[2].split() for line in lines if line.startswith(f"{name} :="))


def test_make_test_runs_suites_that_need_nothing() -> None:
    assert {path.partition("/")[0] for path in variable("QUICK")} <= BARE
    assert all((PROJECT / "tests" / path).exists() for path in variable("QUICK"))


def test_make_test_all_runs_every_suite_and_the_help_names_each() -> None:
    suites = {file.parent.relative_to(PROJECT / "tests").parts[0] for file in (PROJECT / "tests").rglob("test_*.py")}
    assert set(variable("SUITES")) == suites - {"smoke"}
    assert set(variable("SUITES")) - BARE == {*requirements.SUITES, *requirements.OTHER_SERVERS}
    shown = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert set(variable("SUITES")) <= set(shown.replace(";", " ").split())


def test_a_suite_reports_all_that_is_missing_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "CACHE", tmp_path)
    lines = list(requirements.missing([*sorted(BARE), "examples", "migrate", "docker"]))
    node = "node 20 or newer (nodejs.org or apt-get install nodejs), npm (apt-get install npm)"
    assert lines == [
        f"error: the suite examples needs {node}, go 1.26 or newer (go.dev/dl or apt-get install golang)",
        "error: the suite migrate needs apt-get (Debian or Ubuntu), dpkg (Debian or Ubuntu)",
        "error: the suite docker needs docker (tests/docker/prepare, as root)",
    ]


@pytest.mark.parametrize(("version", "is_missing"), [("v18.20.4", True), ("v20.0.0", False), ("", True)])
def test_an_older_program_is_missing(
    version: str, is_missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node").write_text(f"#!/bin/sh\necho {version}\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requirements.NODE[0].is_missing() is is_missing


def test_pytest_ends_before_the_first_test(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/examples", "tests/unit/test_names.py"],
        cwd=PROJECT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "the suite examples needs node 20" in run.stdout + run.stderr
    assert "passed" not in run.stdout


def test_the_site_needs_its_own_extra_only() -> None:
    command = ["make", "--dry-run", "--what-if", "pyproject.toml", "site"]
    planned = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "'..[site]'" in planned
    assert "[dev]" not in planned
