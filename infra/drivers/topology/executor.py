"""How the nodes of a deployment are told something, wherever they run.

What forms a deployment (`replication`, `cluster`) needs no more than this: a command on a node, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from infra.drivers.waiting import until
from infra.errors import ProvisioningError

POLL_SECONDS = 0.05

SILENT_SECONDS = 20
"""How long a server may say nothing: also one that reads its data, or wants a password, says so at once."""


class RefusedError(ProvisioningError):
    """The node answered with an error."""


class SilentError(ProvisioningError):
    """The node didn't answer."""


class Console(Protocol):
    def run(self, node: str, *command: str) -> Any:
        """Run a command on a node, as its admin.

        Returns what `valkey-cli --json` gives: text, numbers, lists and maps.

        Raises:
            RefusedError, SilentError: there is no such answer.
        """

    def ask(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        """Several commands in one go, which is far cheaper where a node lives in a container.

        Raises:
            RefusedError, SilentError: one of the answers is missing.
        """

    def session(self, node: str) -> AbstractContextManager[Callable[..., Any]]:
        """A connection of its own to a node, which another thread may use: `run` without the name of the node."""


@dataclass(frozen=True)
class Member:
    """A node, by the name that the console knows, and where the other nodes reach it.

    bus: where it listens for the other nodes of a cluster.
    """

    name: str
    host: str
    port: int
    bus: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def info(console: Console, node: str, section: str) -> dict[str, str]:
    """A section of a node's INFO."""
    return fields(console.run(node, "INFO", section))


def fields(text: Any) -> dict[str, str]:
    """What an INFO says, by name."""
    return dict(line.split(":", 1) for line in str(text).splitlines() if ":" in line)


def answering(console: Console, members: Sequence[Member]) -> list[Member]:
    """The members that answer."""
    return [member for member in members if answers(console, member.name)]


def wait_until(condition: Callable[[], bool], seconds: float, problem: str) -> None:
    """Wait for something; nodes that are silent or refuse meanwhile may change their mind.

    Raises:
        ProvisioningError: with the problem, as it is still not so when the time is over.
    """
    for _ in until(seconds, POLL_SECONDS):
        try:
            if condition():
                return
        except (RefusedError, SilentError):
            continue
    raise ProvisioningError(problem, fix="run `make up` again to resume")


def answers(console: Console, node: str) -> bool:
    try:
        return bool(console.run(node, "PING") == "PONG")
    except (RefusedError, SilentError):
        return False
