from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.servers import ServerProcess
from tests.migrate import data, harness


@pytest.fixture(scope="session")
def shared_old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with harness.started(tmp_path_factory.mktemp("old"), "redis-7.0") as server:
        yield server


@pytest.fixture(scope="session")
def shared_new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with harness.started(tmp_path_factory.mktemp("new"), "valkey-9.1") as server:
        yield server


@pytest.fixture
def old(shared_old: ServerProcess) -> ServerProcess:
    """A Redis 7.0 that holds nothing."""
    return emptied(shared_old)


@pytest.fixture
def new(shared_new: ServerProcess) -> ServerProcess:
    """A Valkey 9.1 that holds nothing."""
    return emptied(shared_new)


@pytest.fixture
def ours(old: ServerProcess) -> Iterator[Any]:
    """A client of the old server."""
    with contextlib.closing(data.raw(old.port)) as client:
        yield client


@pytest.fixture
def theirs(new: ServerProcess) -> Iterator[Any]:
    """A client of the new server."""
    with contextlib.closing(data.raw(new.port)) as client:
        yield client


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def emptied(server: ServerProcess) -> ServerProcess:
    with contextlib.closing(data.raw(server.port)) as client:
        client.flushall()
        client.execute_command("FUNCTION FLUSH")
        client.config_resetstat()
    return server
