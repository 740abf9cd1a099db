"""A moto server for all tests, and a stack whose AWS is the fake provider."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cloud.aws import account
from harness.cloud.aws.variables import ADDRESS, EXISTING
from harness.cloud.stack import CloudStack, plugin, running
from harness.project import USERS_CHOICE
from stackctl.stack import PROJECT
from tests.cloud.page_runner import PageRunner


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*what): of the smoke suite, whose checks are tried here")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Its address; on loopback only."""
    with account.served() as address:
        yield address


@pytest.fixture(scope="session")
def existing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a test describes what it made by hand."""
    return tmp_path_factory.mktemp("account") / "existing.json"


@pytest.fixture(scope="session")
def fake_provider(moto: str, existing: Path) -> Iterator[dict[str, str]]:
    with running("aws", "harness.cloud.aws.backend", PROJECT, {ADDRESS: moto, EXISTING: str(existing)}) as variables:
        yield variables


@pytest.fixture
def stack(
    tmp_path: Path, moto: str, fake_provider: dict[str, str], existing: Path, monkeypatch: pytest.MonkeyPatch
) -> CloudStack:
    """In an account in which there is nothing yet."""
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    _empty(moto, existing)
    return CloudStack.create(tmp_path, _plugins(tmp_path), fake_provider)


@pytest.fixture
def page_runner(tmp_path: Path, moto: str, fake_provider: dict[str, str], existing: Path) -> PageRunner:
    """With such an account."""
    _empty(moto, existing)
    return PageRunner.create(tmp_path, _plugins(tmp_path), fake_provider)


def _empty(moto: str, existing: Path) -> None:
    existing.write_text("{}")
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST"), timeout=10).close()  # noqa: S310


def _plugins(folder: Path) -> Path:
    return plugin(folder / "plugins", "aws", "harness.cloud.aws.backend", PROJECT)
