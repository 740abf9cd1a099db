"""The node executor: the interface by which `replication` and `cluster` run commands on nodes, wherever those run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from infra.drivers.waiting import until
from infra.errors import ProvisioningError

NODE_POLL_INTERVAL_SECONDS = 0.05

RESPONSE_TIMEOUT_SECONDS = 20
"""Generous: a server that is loading its data, or needs a password, also responds at once."""

MAX_POLL_SECONDS = 1.0
"""The most that a poll counts: where it takes longer, the machine is busy, and the operation takes longer too."""

BUSY_TIMEOUT_SECONDS = 600.0
"""How long a busy machine may extend a shorter wait."""


class CommandRejectedError(ProvisioningError):
    """The node responded with an error."""


class NotRespondingError(ProvisioningError):
    """The node didn't respond."""


class NodeExecutor(Protocol):
    """Runs commands on the nodes of a deployment, as its administrator."""

    def run(self, node: str, *command: str) -> Any:
        """Run a command on a node, and return what `valkey-cli --json` prints: text, numbers, lists and maps.

        Raises:
            CommandRejectedError, NotRespondingError: the command failed.
        """

    def run_many(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """Run several commands in one go, which is far cheaper for a node in a container.

        Raises:
            CommandRejectedError, NotRespondingError: one of the commands failed.
        """

    def session(self, node: str) -> AbstractContextManager[Callable[..., Any]]:
        """Open a connection to a node that another thread may use: `run` without the name of the node."""


@dataclass(frozen=True)
class NodeAddress:
    """A node's name, and the address at which the other nodes reach it.

    bus: the port of the cluster bus.
    """

    name: str
    host: str
    port: int
    bus: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def info(executor: NodeExecutor, node: str, section: str) -> dict[str, str]:
    """A section of a node's INFO.

    Raises:
        NotRespondingError: it sent something else, as what a client prints whose connection was closed.
    """
    text = str(executor.run(node, "INFO", section))
    if not text.lstrip().startswith("#"):
        raise NotRespondingError(f"{node} doesn't respond to INFO {section}: {text!r:.80}")
    return fields(text)


def fields(text: Any) -> dict[str, str]:
    """The fields of an INFO response, by name."""
    return dict(line.split(":", 1) for line in str(text).splitlines() if ":" in line)


def reachable(executor: NodeExecutor, members: Sequence[NodeAddress]) -> list[NodeAddress]:
    """The members that respond."""
    return [member for member in members if is_reachable(executor, member.name)]


def wait_until(condition: Callable[[], bool], seconds: float, problem: str) -> None:
    """Wait for a condition; nodes that don't respond or reject a command meanwhile are queried again.

    seconds: on a machine that is so busy that polls take longer than `MAX_POLL_SECONDS`, it waits for as many polls.

    Raises:
        ProvisioningError: the condition is still false after that time; its message is the problem.
    """
    begun = time.monotonic()
    for _ in until(seconds, NODE_POLL_INTERVAL_SECONDS, MAX_POLL_SECONDS):
        limit = max(seconds, BUSY_TIMEOUT_SECONDS)
        try:
            if condition():
                return
        except CommandRejectedError:
            pass
        except NotRespondingError:  # its timeout isn't due to a busy machine
            limit = seconds
        if time.monotonic() - begun > limit:
            break
    raise ProvisioningError(problem, fix="run `make up` again to resume")


def is_reachable(executor: NodeExecutor, node: str) -> bool:
    try:
        return bool(executor.run(node, "PING") == "PONG")
    except (CommandRejectedError, NotRespondingError):
        return False
