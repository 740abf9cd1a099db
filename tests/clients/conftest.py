"""The applications' environments, a deployment of each topology at a time, and what the clients did with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from infra.hardening import Topology
from tests.clients import page
from tests.support import deployments
from tests.support.deployments import Application


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tls", action="store_true", help="over TLS, against containers: see tests/docker/prepare")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The README's lines are for the default target, which has no TLS."""
    if config.getoption("--tls"):
        items[:] = [item for item in items if item.path.name != "test_readme.py" or item.path.parent.name != "clients"]


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> str:
    return "docker" if request.config.getoption("--tls") else "embedded"


@pytest.fixture(scope="session")
def results(target: str) -> Iterator[page.Results]:
    """Filled by the tests; what is there at the end is what the page is made of."""
    found: page.Results = {}
    yield found
    page.write_results(target, found)


@pytest.fixture(scope="session")
def application(
    request: pytest.FixtureRequest, target: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    topology = cast("Topology", request.param)
    with deployments.TARGETS[target](topology, tmp_path_factory.mktemp(topology)) as made:
        yield made
