"""Commands to servers of this machine whose connections end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from infra.drivers.docker.console import Console
from infra.drivers.docker.engine import Engine
from infra.drivers.processes import process, server
from infra.drivers.processes.group import Clients
from infra.drivers.processes.instance import Spec
from infra.drivers.topology.executor import SilentError
from tests.unit.conftest import client_of


def test_a_connection_that_was_closed_is_made_again(spec: Spec) -> None:
    """As Sentinels close those of a node that they demote."""
    server.ensure(spec)
    with contextlib.closing(Clients({"node-0": spec})) as clients, clients.session("node-0") as run:
        asks: list[Callable[[], Any]] = [lambda: clients.run("node-0", "PING"), lambda: run("PING")]
        for ask in asks:
            assert ask() == "PONG"
            with client_of(spec) as admin:
                assert admin.execute_command("CLIENT KILL TYPE normal SKIPME yes") >= 1
            assert ask() == "PONG"


def test_a_node_that_has_ended_is_named(spec: Spec) -> None:
    server.ensure(spec)
    with contextlib.closing(Clients({"node-0": spec})) as clients:
        assert clients.run("node-0", "PING") == "PONG"
        running = process.find(spec.folder)
        assert running
        process.stop(running)
        with pytest.raises(SilentError, match="node-0 doesn't"):
            clients.run("node-0", "PING")


@pytest.mark.parametrize(("command", "is_repeated"), [(("INFO", "server"), True), (("ACL", "LOAD"), False)])
def test_a_connection_into_a_container_that_was_closed_is_made_again_to_read(
    command: tuple[str, ...], is_repeated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = ["Error: Server closed the connection\n", '"done"\n"{token}"\n']

    def docker(_: Engine, *arguments: str, stdin: bytes) -> str:
        assert arguments[0] == "exec"
        return replies.pop(0).replace("{token}", stdin.decode().split()[-1])

    monkeypatch.setattr(Engine, "docker", docker)
    console = Console(Engine(), {"node-0": "container"}, {"node-0": 6379}, ["password"])
    if is_repeated:
        assert console.run("node-0", *command) == "done"
    else:
        with pytest.raises(SilentError, match="node-0 closed the connection"):
            console.run("node-0", *command)
    assert len(replies) == (0 if is_repeated else 1)
