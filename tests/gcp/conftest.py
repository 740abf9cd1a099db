"""A stack whose Google is the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud.stack import CloudStack, plugin
from tests.gcp.answers import FILE
from tests.project import USERS_CHOICE
from tools.stack import PROJECT


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*what): of the smoke suite, whose checks are tried here")


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    """The file of all that the stand-in has; a test may describe there what others made."""
    file = tmp_path / "google.json"
    file.write_text("{}")
    return file


@pytest.fixture
def stack(tmp_path: Path, resources: Path, monkeypatch: pytest.MonkeyPatch) -> CloudStack:
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    plugins = plugin(tmp_path / "plugins", "gcp", "tests.gcp.backend", PROJECT)
    return CloudStack.make(tmp_path, plugins, {FILE: str(resources)})
