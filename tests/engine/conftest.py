"""Each test has a project of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.project import USERS_CHOICE, Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    made = Project.create(tmp_path)
    yield made
    made.end()
