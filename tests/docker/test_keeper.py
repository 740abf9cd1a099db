"""keep-cluster among real servers that it finds in states which seldom last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.docker import IMAGE, NEW
from infra.drivers.docker.deployment_files import SCRIPTS
from infra.drivers.docker.engine import Engine, EngineError
from infra.drivers.topology.cluster import PLAN_SCRIPT
from infra.drivers.topology.node_executor import wait_until

PORT = 7000
LOGIN = ' --user "$user" --tls --cacert /etc/valkey/tls/ca.crt'
"""Of container/bin/cli; these servers have neither TLS nor users."""


@dataclass(frozen=True)
class Box:
    """A container with a server on each of some addresses of its own."""

    engine: Engine
    container: str

    def ask(self, ip: str, *command: str) -> str:
        return self.run("valkey-cli", "-h", ip, "-p", str(PORT), *command)

    def run(self, *command: str, detach: bool = False) -> str:
        return self.engine.docker("exec", *(["--detach"] if detach else []), self.container, *command)

    def serve(self, ip: str) -> None:
        options = ["--bind", ip, "--port", str(PORT), "--cluster-enabled", "yes", "--cluster-announce-ip", ip]
        options += ["--cluster-config-file", f"{ip}.conf", "--cluster-node-timeout", "60000"]
        self.run("valkey-server", *options, "--dir", "/tmp", "--pidfile", f"/tmp/{ip}.pid", detach=True)
        wait_until(lambda: self._answers(ip), 120, f"{ip} doesn't answer")

    def freeze(self, ip: str) -> None:
        self.run("sh", "-c", f"kill -STOP $(cat /tmp/{ip}.pid)")

    def keep(self, *lines: str) -> None:
        """Start the keeper, with this list of nodes."""
        listed = "".join(f"{line}\n" for line in lines)
        self.run("sh", "-c", f"mkdir -p /etc/valkey/nodes && printf '%s' '{listed}' >/etc/valkey/nodes/list")
        self.run("sh", "/etc/valkey/bin/keep-cluster", detach=True)

    def wait_until_whole(self) -> None:
        wait_until(lambda: bool(self.run("find", "/tmp", "-name", "ok").strip()), 60, "the keeper never says so")

    def role(self, ip: str) -> str:
        return self.ask(ip, "role").split()[0]

    def _answers(self, ip: str) -> bool:
        try:
            return self.ask(ip, "ping").strip() == "PONG"
        except EngineError:
            return False


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    engine = Engine()
    options = ["--network", "none", "--user", "0", "--entrypoint", "sleep"]
    box = Box(engine, engine.docker("run", "--detach", "--rm", *options, f"{IMAGE}:{NEW}", "600").strip())
    plain = (SCRIPTS / "cli").read_text().replace(LOGIN, "")
    assert plain != (SCRIPTS / "cli").read_text()
    (tmp_path / "cli").write_text(plain)
    box.run("mkdir", "-p", "/etc/valkey/bin")
    for script in (SCRIPTS / "keep-cluster", PLAN_SCRIPT, tmp_path / "cli"):
        engine.docker("cp", str(script), f"{box.container}:/etc/valkey/bin/{script.name}")
    yield box
    engine.docker("kill", box.container)


PRIMARY, EARLY, LATE = "127.0.1.1", "127.0.1.2", "127.0.1.3"


def test_a_cluster_is_complete_when_every_node_has_its_role(box: Box) -> None:
    for ip in (PRIMARY, LATE):
        box.serve(ip)
    box.ask(PRIMARY, "cluster", "addslotsrange", "0", "16383")
    box.ask(PRIMARY, "cluster", "meet", LATE, str(PORT))
    wait_until(lambda: "cluster_state:ok" in box.ask(LATE, "cluster", "info"), 120, "they don't meet")
    box.keep(f"{PRIMARY} {PORT} a 0 16383", f"{LATE} {PORT} b - {PRIMARY}")
    box.wait_until_whole()
    assert box.role(LATE) == "slave"


def test_a_frozen_node_does_not_delay_the_others(box: Box) -> None:
    for ip in (PRIMARY, EARLY, LATE):
        box.serve(ip)
    box.ask(PRIMARY, "cluster", "addslotsrange", "0", "16383")
    box.freeze(EARLY)
    box.keep(f"{PRIMARY} {PORT} a 0 16383", f"{EARLY} {PORT} b - {PRIMARY}", f"{LATE} {PORT} c - {PRIMARY}")
    wait_until(lambda: box.role(LATE) == "slave", 60, "the keeper waits for the frozen one")


def test_nodes_that_met_before_they_had_slots_become_a_cluster(box: Box) -> None:
    for ip in (PRIMARY, LATE):
        box.serve(ip)
    box.ask(PRIMARY, "cluster", "meet", LATE, str(PORT))
    wait_until(lambda: "cluster_known_nodes:2" in box.ask(LATE, "cluster", "info"), 120, "they don't meet")
    box.keep(f"{PRIMARY} {PORT} a 0 16383", f"{LATE} {PORT} b - {PRIMARY}")
    box.wait_until_whole()
    assert box.role(LATE) == "slave"
