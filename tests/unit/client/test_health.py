"""Whether a worker is well, as probes see it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from valkeykit import Queue, Worker, errors
from valkeykit.queue import health

from tests import servers
from tests.servers import Server
from tests.unit.client.working import until, working


def get(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(servers.HOST, port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def known(queue: Queue) -> Queue:
    queue.handler(name="note", result_ttl=60)(lambda: 1)
    return queue


def test_a_worker_whose_slots_are_all_busy_is_live(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STUCK", 2.0)
    go_on = threading.Event()
    queue.handler(name="long")(lambda: go_on.wait(30) and None)
    with working(queue, concurrency=1) as worker:
        queue.add("long")
        until(lambda: queue.statistics().active == 1)
        time.sleep(3)  # longer than a take may hang
        until(lambda: worker.is_live)
        assert worker.last_contact > 0
        go_on.set()


def test_a_worker_whose_loop_does_not_turn_is_not_live(known: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(known)
    monkeypatch.setattr(health, "STUCK", 0.0)
    assert not worker.is_live


def test_the_port_answers_probes(known: Queue) -> None:
    with working(known, health_port=0) as worker:
        until(lambda: worker._health.port is not None and worker._health.is_ready)
        port = worker._health.port
        assert port is not None
        for path in ("/live", "/ready"):
            status, state = get(port, path)
            assert (status, state["queue"], state["live"], state["ready"]) == (200, "mail", True, True)
        assert get(port, "/")[0] == 404
    with pytest.raises(OSError, match=r"refused|reset|timed out"):
        get(port, "/live")


def test_a_worker_whose_server_is_gone_is_live_and_not_ready(own_server: Server) -> None:
    with Queue("mail", own_server.url, retry_for=0.5) as queue:
        queue.handler(name="note")(lambda: None)
        with working(queue, health_port=0, lease=1) as worker:
            until(lambda: worker._health.port is not None and worker._health.is_ready)
            own_server.stop()
            until(lambda: not worker._health.is_ready, 30)
            port = worker._health.port
            assert port is not None
            assert (get(port, "/ready")[0], get(port, "/live")[0]) == (503, 200)
            own_server.start()
            until(lambda: get(port, "/ready")[0] == 200, 30)


def test_a_port_that_is_taken_is_one_error(known: Queue) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.ConfigurationError, match=f"health_port {port}"):
            Worker(known, health_port=port).run()


def test_the_heartbeat_file_says_how_the_worker_is(known: Queue, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "beat.json"
    with working(known, heartbeat=file):
        until(lambda: file.exists() and json.loads(file.read_text())["ready"])
        before = json.loads(file.read_text())
        assert (before["queue"], before["live"]) == ("mail", True)
        until(lambda: json.loads(file.read_text())["written"] > before["written"])
    assert not file.exists()


def test_a_heartbeat_file_that_can_not_be_written_stops_nothing(known: Queue, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with working(known, heartbeat=tmp_path / "file" / "beat.json"):
        assert known.result(known.add("note").id) == 1


def test_heartbeats_that_are_old_or_of_ended_processes_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import os

    monkeypatch.setattr(health, "heartbeat_folder", lambda: tmp_path)
    fresh = {"pid": os.getpid(), "live": True, "ready": True, "written": time.monotonic()}
    states = {
        "a": fresh | {"queue": "fresh"},
        "b": fresh | {"queue": "old", "written": time.monotonic() - health.STUCK - 1},
        "c": fresh | {"queue": "ended", "pid": 2**22 + 1},
        "d": {"queue": "partial"},
    }
    for name, state in states.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(state))
    (tmp_path / "e.json").write_text("nonsense")
    assert [(state["queue"], state["live"]) for state in health.heartbeats()] == [("fresh", True), ("old", False)]
