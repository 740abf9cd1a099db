"""The services of the examples, on a real server: a cache, a queue with its worker, and their health."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.ports import free_port
from infra.drivers.waiting import until
from stackctl.stack import PROJECT
from tests.examples.running_program import ask, running
from tests.support import installs

EXAMPLES = PROJECT / "examples"
NOWHERE = {"VALKEY_URL": "redis://app:password@127.0.0.1:1/0"}


@pytest.fixture(scope="module")
def modules() -> Path:
    return installs.node(EXAMPLES / "bullmq").ready() / "node_modules"


@pytest.fixture
def port() -> int:
    return free_port()


def fastapi(port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", "app:api", "--port", str(port), "--log-level", "warning"]


@pytest.fixture
def shop(variables: Mapping[str, str], port: int) -> Iterator[int]:
    """The FastAPI service with a worker; yields its port."""
    folder = EXAMPLES / "fastapi"
    worker = [str(Path(sys.executable).parent / "valkeykit"), "worker", "app:mails"]
    with running(fastapi(port), folder, variables), running(worker, folder, variables):
        yield port


def test_fastapi_serves_a_price_from_the_cache(shop: int) -> None:
    first = ask(shop, "/prices/tea")
    assert first == (200, {"product": "tea", "price": 9.99})
    assert ask(shop, "/prices/tea") == first


def test_fastapi_has_a_job_done(shop: int) -> None:
    status, added = ask(shop, "/mails?to=ada%40example.org", "POST")
    assert status == 202
    assert ask(shop, f"/mails/{added['id']}") == (200, {"result": "sent to ada@example.org"})


def test_fastapi_is_healthy(shop: int) -> None:
    assert ask(shop, "/health") == (200, {"waiting": 0})


def test_fastapi_without_a_server_is_unhealthy_and_serves_prices(variables: Mapping[str, str], port: int) -> None:
    with running(fastapi(port), EXAMPLES / "fastapi", {**variables, **NOWHERE}):
        assert ask(port, "/prices/tea") == (200, {"product": "tea", "price": 9.99})
        assert ask(port, "/health")[0] == 503


def test_bullmq_has_a_job_done(variables: Mapping[str, str], modules: Path, port: int) -> None:
    folder, environment = EXAMPLES / "bullmq", {**variables, "NODE_PATH": str(modules), "PORT": str(port)}
    with running(["node", "server.js"], folder, environment), running(["node", "worker.js"], folder, environment):
        assert ask(port, "/health") == (200, {"waiting": 0, "failed": 0})
        status, added = ask(port, "/mails?to=ada%40example.org", "POST")
        assert status == 202
        wanted = (200, {"state": "completed", "result": "sent to ada@example.org"})
        assert any(ask(port, f"/mails/{added['id']}") == wanted for _ in until(30, every=0.1))


def test_bullmq_without_a_server_is_unhealthy(variables: Mapping[str, str], modules: Path, port: int) -> None:
    environment = {**variables, **NOWHERE, "NODE_PATH": str(modules), "PORT": str(port)}
    with running(["node", "server.js"], EXAMPLES / "bullmq", environment):
        assert ask(port, "/health")[0] == 503
