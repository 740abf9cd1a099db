"""A moto server for all tests, and a stack whose AWS is the stand-in."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.aws.variables import ADDRESS, EXISTING
from tests.cloud.stack import CloudStack, plugin
from tests.project import USERS_CHOICE
from tools.stack import PROJECT


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*what): of the smoke suite, whose checks are tried here")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Its address; on loopback only."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    """Where a test describes what it made by hand."""
    file = tmp_path / "existing.json"
    file.write_text("{}")
    return file


@pytest.fixture
def stack(tmp_path: Path, moto: str, existing: Path, monkeypatch: pytest.MonkeyPatch) -> CloudStack:
    for name in (*USERS_CHOICE, "PULUMI_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST"), timeout=10).close()  # noqa: S310
    plugins = plugin(tmp_path / "plugins", "aws", "tests.aws.backend", PROJECT)
    return CloudStack.make(tmp_path, plugins, {ADDRESS: moto, EXISTING: str(existing)})
