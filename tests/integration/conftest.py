"""A real server for the driver's tests, taken down whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import hardening
from infra.drivers import binary
from infra.drivers.processes import process
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.running_server import ServerSpec
from tests.support.single_server import PASSWORDS


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ServerFolder]:
    place = ServerFolder(tmp_path / "server")
    yield place
    if running := process.find(place):
        with contextlib.suppress(psutil.NoSuchProcess):
            running.kill()
            running.wait(10)


@pytest.fixture
def spec(folder: ServerFolder) -> ServerSpec:
    return ServerSpec(
        folder=folder,
        ownership=Ownership("valkey/test", "resource-1", binary.version()),
        port=0,
        directives=hardening.directives("cache", 64 * 1024**2, "embedded"),
        acl=hardening.acl(PASSWORDS),
        password=PASSWORDS["admin"],
    )
