"""Commands to servers of this machine whose connections end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from infra.drivers.docker.container_executor import ContainerExecutor
from infra.drivers.docker.engine import Engine
from infra.drivers.processes import process, server
from infra.drivers.processes.group import ProcessExecutor
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology.node_executor import NotRespondingError
from tests.support.single_server import client_of


def test_a_connection_that_was_closed_is_made_again(spec: ServerSpec) -> None:
    """As Sentinels close those of a node that they demote."""
    server.ensure(spec)
    with contextlib.closing(ProcessExecutor({"node-0": spec})) as executor, executor.session("node-0") as run:
        asks: list[Callable[[], Any]] = [lambda: executor.run("node-0", "PING"), lambda: run("PING")]
        for ask in asks:
            assert ask() == "PONG"
            with client_of(spec) as admin:
                assert admin.execute_command("CLIENT KILL TYPE normal SKIPME yes") >= 1
            assert ask() == "PONG"


def test_a_node_that_has_ended_is_named(spec: ServerSpec) -> None:
    server.ensure(spec)
    with contextlib.closing(ProcessExecutor({"node-0": spec})) as executor:
        assert executor.run("node-0", "PING") == "PONG"
        running = process.find(spec.folder)
        assert running
        process.stop(running)
        with pytest.raises(NotRespondingError, match="node-0 doesn't"):
            executor.run("node-0", "PING")


@pytest.mark.parametrize(("command", "is_repeated"), [(("INFO", "server"), True), (("ACL", "LOAD"), False)])
def test_a_connection_into_a_container_that_was_closed_is_made_again_to_read(
    command: tuple[str, ...], is_repeated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = ["Error: Server closed the connection\n", '"done"\n"{token}"\n']

    def docker(_: Engine, *arguments: str, stdin: bytes) -> str:
        assert arguments[0] == "exec"
        return replies.pop(0).replace("{token}", stdin.decode().split()[-1])

    monkeypatch.setattr(Engine, "docker", docker)
    executor = ContainerExecutor(Engine(), {"node-0": "container"}, {"node-0": 6379}, ["password"])
    if is_repeated:
        assert executor.run("node-0", *command) == "done"
    else:
        with pytest.raises(NotRespondingError, match="node-0 closed the connection"):
            executor.run("node-0", *command)
    assert len(replies) == (0 if is_repeated else 1)
