"""What a cache does, written once: generators that yield effects.

The sync and the asyncio cache both run them; only how an effect is performed differs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Command = tuple[Any, ...]


class Send(NamedTuple):
    """Commands for the server, in one round trip; the effect's value is the list of their answers."""

    commands: list[Command]
    bypass_breaker: bool = False
    """Whether it goes to the server even while the breaker is open."""
    no_resend: bool = False
    """Whether it must not be sent again on a fresh connection when the first one turns out to be stale."""


class Sleep(NamedTuple):
    seconds: float


Effects = Generator[Send | Sleep, Any, T]
