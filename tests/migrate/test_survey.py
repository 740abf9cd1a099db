"""Who uses a server: the first and the last item of the check list."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import redis

from harness.servers import ServerProcess
from tests.migrate import harness


def test_clients_and_commands_are_reported(old: ServerProcess, new: ServerProcess, tmp_path: Path) -> None:
    with redis.Redis(port=old.port, client_name="shop") as client:
        client.set("a", 1)
        client.execute_command("LOLWUT")
        shown = harness.command("survey", old.url, "--json", cwd=tmp_path)
    found = json.loads(shown.stdout)
    assert shown.returncode == 0
    assert "shop" in {row["name"] for row in found["connections"]}
    assert found["commands"]["set"] == 1
    page = harness.command("survey", old.url, new.url, cwd=tmp_path).stdout
    assert "lolwut" in page
    assert "redis 7.0.15" in page


def test_commands_that_the_target_does_not_support(new: ServerProcess, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-8.2") as server:
        with redis.Redis(port=server.port) as client:
            client.execute_command("VADD", "v", "VALUES", 2, 1.0, 0.5, "element")
            client.hset("h", "a", 1)
        found = json.loads(harness.command("survey", server.url, new.url, "--json", cwd=tmp_path).stdout)
        assert found["unknown"] == ["vadd"]


def test_an_idle_server(tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", "redis-7.0") as server:
        assert harness.command("survey", server.url, "--idle", "1", cwd=tmp_path).returncode == 0
        stop = threading.Event()
        thread = threading.Thread(target=_ask, args=(server.port, stop))
        thread.start()
        busy = harness.command("survey", server.url, "--idle", "1", cwd=tmp_path)
        stop.set()
        thread.join()
        assert busy.returncode == 4
        assert "get" in busy.stdout


def _ask(port: int, stop: threading.Event) -> None:
    while not stop.is_set():
        with redis.Redis(port=port) as client:  # one that is hardly ever connected
            client.get("a")
        time.sleep(0.05)
