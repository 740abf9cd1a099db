from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from valkeykit import Cache, Queue
from valkeykit.queue.processes.parent import HandlerProcess

from harness import servers
from harness.servers import ServerProcess


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with servers.running(tmp_path_factory.mktemp("server"), "--maxmemory", "300mb") as server:
        yield server


@pytest.fixture
def server(shared_server: ServerProcess) -> ServerProcess:
    """A server that holds nothing."""
    with closing(shared_server.client()) as client:
        client.flushall()
    return shared_server


@pytest.fixture
def cache(server: ServerProcess) -> Iterator[Cache]:
    with Cache(server.url, namespace="shop") as cache:
        yield cache


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that a test may kill or set up as it likes."""
    with servers.running(tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def queue(server: ServerProcess) -> Iterator[Queue]:
    with Queue("mail", server.url, retry_for=2) as queue:
        yield queue


@pytest.fixture
def process() -> Iterator[HandlerProcess]:
    with closing(HandlerProcess()) as process:
        yield process
