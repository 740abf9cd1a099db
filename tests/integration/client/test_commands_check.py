"""`valkeykit check`: cache and queue in the environment of an application."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from harness import servers
from harness.servers import ServerProcess
from tests.integration.client.command_line import run


def steps(output: str) -> list[str]:
    return [line.partition(":")[0] for line in output.splitlines()]


def test_every_step_passes_and_what_is_left_expires(server: ServerProcess) -> None:
    with closing(server.client()) as client:
        before = set(client.keys())
        shown = run(server, "check")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert steps(shown.stdout) == ["✓ connection", "✓ cache", "✓ queue", "✓ statistics"]
        assert re.search(r"1 job completed, 0 waiting, 0 dead letters$", shown.stdout)
        left = set(client.keys()) - before
        assert {key: client.ttl(key) for key in left if client.ttl(key) < 0} == {}
        assert not any("valkeykit-check" in str(name) for name in client.smembers("valkeykit:queues"))


def test_every_step_passes_on_a_cluster(tmp_path: Path) -> None:
    with servers.cluster(tmp_path) as nodes:
        shown = run(nodes[0], "check")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert steps(shown.stdout)[-1] == "✓ statistics"


def test_the_first_failure_is_explained(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as client:
        client.config_set("maxmemory", "1")
        client.config_set("maxmemory-policy", "noeviction")
    shown = run(own_server, "check")
    assert (shown.returncode, steps(shown.stdout)) == (1, ["✓ connection", "✗ cache"])
    assert "error: the server is full" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_server_that_does_not_run(tmp_path: Path) -> None:
    shown = run(ServerProcess(tmp_path), "check")
    assert (shown.returncode, shown.stdout) == (1, "✗ connection\n")
    assert shown.stderr.startswith("error: nothing listens at")
