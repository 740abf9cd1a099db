"""Liveness and readiness of workers, as a file and over HTTP."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from valkeykit import Queue, Worker
from valkeykit.errors import ConfigurationError
from valkeykit.heartbeat import STUCK_SECONDS, read_heartbeat
from valkeykit.queue.worker.worker_health import Health

from harness.ports import free_port
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.integration.client.running_worker import running_worker


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, Any]:
    connection = HTTPConnection(host, port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None
    finally:
        connection.close()


def listening(worker: Worker) -> int:
    wait_until(lambda: worker._health.port is not None)
    port = worker._health.port
    assert port is not None
    return port


def health_of(take_started: float | None = None, last_contact: float = 0.0, retry_for: float = 0.0) -> Health:
    health = Health("mail", None, None)
    taker: Any = SimpleNamespace(take_started=take_started, last_contact=last_contact)
    renewal: Any = SimpleNamespace(last_contact=0.0)
    health.watch(taker, renewal, 30.0, retry_for)
    return health


def test_a_worker_responds_to_probes(queue: Queue) -> None:
    queue.handler(name="send")(print)
    with running_worker(queue, health_port=0) as worker:
        port = listening(worker)
        wait_until(lambda: ask(port, "/ready")[0] == 200)
        status, state = ask(port, "/live?verbose")
        assert (status, state["queue"], state["live"], state["ready"]) == (200, "mail", True, True)
        assert ask(port, "/live", "HEAD") == (200, None)
        assert ask(port, "/other")[0] == 404
        if socket.has_dualstack_ipv6():
            assert ask(port, "/live", host="::1")[0] == 200
    with pytest.raises(OSError, match="refused"):
        ask(port, "/live")


def test_a_client_that_sends_nothing_delays_neither_probes_nor_the_end(queue: Queue) -> None:
    queue.handler(name="send")(print)
    with running_worker(queue, health_port=0) as worker:
        port = listening(worker)
        with socket.create_connection(("127.0.0.1", port)):
            assert ask(port, "/live")[0] == 200
            worker.stop()
            wait_until(lambda: worker._health.port is None)


def test_a_port_in_use_is_one_clear_error(queue: Queue) -> None:
    queue.handler(name="send")(print)
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"health_port {port} can't be used: Address already in use"):
            Worker(queue, health_port=port).run(burst=True)


@pytest.mark.parametrize(
    "options", [{"health_port": 70_000}, {"health_port": True}, {"heartbeat": 5}, {"heartbeat": ""}]
)
def test_arguments_are_checked(queue: Queue, options: dict[str, Any]) -> None:
    queue.handler(name="send")(print)
    with pytest.raises(ConfigurationError):
        Worker(queue, **options)


def test_a_busy_worker_and_one_with_a_blocked_loop_are_live(queue: Queue, tmp_path: Path) -> None:
    begun, release = threading.Event(), threading.Event()

    @queue.handler
    async def block() -> None:
        begun.set()
        release.wait(30)

    file = tmp_path / "worker.json"
    with running_worker(queue, concurrency=1, heartbeat=file, health_port=0) as worker:
        port = listening(worker)
        queue.add(block)
        assert begun.wait(20)
        written = json.loads(file.read_text())["written"]
        wait_until(lambda: json.loads(file.read_text())["written"] > written)
        state = read_heartbeat(file)
        assert state is not None
        assert state["live"]
        assert ask(port, "/live")[0] == 200
        release.set()
    assert not file.exists()


def test_a_worker_that_waits_for_its_server_is_live_and_not_ready(tmp_path: Path) -> None:
    queue = Queue("mail", ServerProcess(tmp_path).url, retry_for=0.1)  # never started
    queue.handler(name="send")(print)
    with running_worker(queue, health_port=0) as worker:
        port = listening(worker)
        assert ask(port, "/ready")[0] == 503
        status, state = ask(port, "/live")
        assert (status, state["seconds_since_contact"]) == (200, None)
        assert worker._health._fetcher is not None
        assert worker._health._fetcher.take_started is None  # so waiting is no take that lasts too long
        assert worker.last_contact == 0


def test_a_take_that_lasts_too_long_is_not_live() -> None:
    now = time.monotonic()
    assert health_of(take_started=now - 1, last_contact=now).is_ready
    assert not health_of(take_started=now - STUCK_SECONDS - 1, last_contact=now).is_live
    assert health_of(take_started=now - STUCK_SECONDS - 1, last_contact=now, retry_for=100).is_live
    assert not health_of(take_started=None, last_contact=now - 31).is_ready


def test_a_folder_that_cannot_be_written_is_one_warning(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    queue.handler(name="send")(print)
    with caplog.at_level(logging.WARNING), running_worker(queue, heartbeat=Path("/proc/none/worker.json")):
        wait_until(lambda: "can't be written" in caplog.text)
        time.sleep(1.5)
        queue.add("send")
        wait_until(lambda: queue.statistics().completed == 1)
    assert caplog.text.count("can't be written") == 1
