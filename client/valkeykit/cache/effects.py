"""The cache's effects: commands for the server, and pauses."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from valkeykit.effects import Sleep

T = TypeVar("T")
Command = tuple[Any, ...]


class Send(NamedTuple):
    """A request to send commands in one round trip; it is answered with the list of their responses.

    Attributes:
        commands: The commands.
        bypass_breaker: Send them even while the circuit breaker is open.
        no_resend: Don't send them again on a new connection if the first one turns out to be stale.
    """

    commands: list[Command]
    bypass_breaker: bool = False
    no_resend: bool = False


Effects = Generator[Send | Sleep, Any, T]
"""An operation of a cache."""
