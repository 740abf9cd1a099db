"""Valkey for applications: where it is, and a connection to it.

import valkeykit

valkey = valkeykit.connect()        # VALKEY_URL, REDIS_URL or redis://localhost:6379
valkey.set("greeting", "hello")
"""

from typing import TYPE_CHECKING, Any

from valkeykit.endpoint import Endpoint, Node
from valkeykit.environment import resolve
from valkeykit.errors import ConfigurationError, UnreachableError, ValkeykitError
from valkeykit.url import Address, parse

if TYPE_CHECKING:
    from valkeykit.connection import connect

__all__ = [
    "Address",
    "ConfigurationError",
    "Endpoint",
    "Node",
    "UnreachableError",
    "ValkeykitError",
    "connect",
    "parse",
    "resolve",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """redis-py takes 0.3 s to import, so it is loaded by the first connection only."""
    if name == "connect":
        from valkeykit.connection import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
