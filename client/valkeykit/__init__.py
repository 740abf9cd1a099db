"""Valkey for applications: where it is, and a connection to it.

import valkeykit

valkey = valkeykit.connect()        # VALKEY_URL, REDIS_URL or redis://localhost:6379
valkey.set("greeting", "hello")
"""

from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint, Node
from valkeykit.environment import resolve
from valkeykit.errors import ConfigurationError, UnreachableError, ValkeykitError
from valkeykit.url import Address, parse

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
