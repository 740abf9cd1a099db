"""The executor of containers, with what valkey-cli prints."""

from __future__ import annotations

import secrets
from typing import Any, cast

import pytest

from infra.drivers.docker.container_executor import ClosedError, ContainerExecutor
from infra.drivers.docker.engine import Engine
from infra.drivers.topology.node_executor import NotRespondingError, info

TOKEN = '"token"\n'


class Printed:
    """An engine whose valkey-cli prints these texts, one a call."""

    def __init__(self, *outputs: str) -> None:
        self.outputs = list(outputs)

    def docker(self, *_arguments: str, **_options: Any) -> str:
        return self.outputs.pop(0)


@pytest.fixture(autouse=True)
def known_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _length: "token")


def executor_of(engine: Printed) -> ContainerExecutor:
    return ContainerExecutor(cast("Engine", engine), {"node-0": "node-0-1"}, {"node-0": 7000}, ["secret"])


def run(engine: Printed, *command: str) -> Any:
    return executor_of(engine).run("node-0", *command)


@pytest.mark.parametrize("error", ["Server closed the connection", "Connection reset by peer"])
def test_a_closed_connection_is_not_taken_for_a_reply(error: str) -> None:
    """A server closes it when it is demoted, and valkey-cli connects again for the next command."""
    closed = f"Error: {error}\n{TOKEN}"
    engine = Printed(closed, f"# Replication\nrole:slave\n{TOKEN}")
    assert "role:slave" in run(engine, "INFO", "replication")
    assert engine.outputs == []
    with pytest.raises(ClosedError):
        run(Printed(closed), "REPLICAOF", "NO", "ONE")


def test_a_value_may_look_like_an_error() -> None:
    assert run(Printed(f'"Error: mine"\n{TOKEN}'), "GET", "key") == "Error: mine"


@pytest.mark.parametrize("printed", ["AUTH failed: I/O error", "null", '""', ""])
def test_what_is_no_section_of_info_is_no_response(printed: str) -> None:
    with pytest.raises(NotRespondingError, match="node-0 doesn't respond to INFO replication"):
        info(executor_of(Printed(f"{printed}\n{TOKEN}")), "node-0", "replication")


def test_a_section_of_info_may_be_empty() -> None:
    assert info(executor_of(Printed(f"# Keyspace\n{TOKEN}")), "node-0", "keyspace") == {}
