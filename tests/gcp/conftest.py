"""A stack whose Google is the fake provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cloud.gcp.answers import FILE
from harness.cloud.stack import CloudStack, plugin, running
from harness.project import USERS_CHOICE
from stackctl.stack import PROJECT

BACKEND = "harness.cloud.gcp.backend"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*what): of the smoke suite, whose checks are tried here")


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of all that the fake provider has."""
    return tmp_path_factory.mktemp("google") / "resources.json"


@pytest.fixture(scope="session")
def fake_provider(google: Path) -> Iterator[dict[str, str]]:
    with running("gcp", BACKEND, PROJECT, {FILE: str(google)}) as variables:
        yield variables


@pytest.fixture
def resources(google: Path) -> Path:
    """That file, empty; a test may describe there what others made."""
    google.write_text("{}")
    return google


@pytest.fixture
def stack(
    tmp_path: Path, fake_provider: dict[str, str], resources: Path, monkeypatch: pytest.MonkeyPatch
) -> CloudStack:
    """In a project in which there is nothing yet."""
    assert resources.read_text() == "{}"
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    return CloudStack.create(tmp_path, plugin(tmp_path / "plugins", "gcp", BACKEND, PROJECT), fake_provider)
