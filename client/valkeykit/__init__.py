"""Valkey for applications: connections with production defaults, a cache and a job queue.

import valkeykit

valkey = valkeykit.connect()        # VALKEY_URL, REDIS_URL or redis://localhost:6379
valkey.set("greeting", "hello")

What needs redis-py is imported when it is first used: redis-py takes several
hundred milliseconds to import where OpenTelemetry is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from valkeykit.endpoint import Endpoint
from valkeykit.environment import resolve
from valkeykit.errors import ConfigurationError, UnreachableError, ValkeykitError
from valkeykit.url import Address, Node, parse

if TYPE_CHECKING:
    from valkeykit.aconnection import aconnect
    from valkeykit.cache import AsyncCache, Cache
    from valkeykit.connection import connect
    from valkeykit.error_translation import translate_error, translate_errors
    from valkeykit.queue import AsyncQueue, Queue, Worker, current_job

_LAZY = {
    "AsyncCache": "valkeykit.cache",
    "Cache": "valkeykit.cache",
    "AsyncQueue": "valkeykit.queue",
    "Queue": "valkeykit.queue",
    "Worker": "valkeykit.queue",
    "current_job": "valkeykit.queue",
    "aconnect": "valkeykit.aconnection",
    "connect": "valkeykit.connection",
    "translate_error": "valkeykit.error_translation",
    "translate_errors": "valkeykit.error_translation",
}

__all__ = [
    "Address",
    "AsyncCache",
    "AsyncQueue",
    "Cache",
    "ConfigurationError",
    "Endpoint",
    "Node",
    "Queue",
    "UnreachableError",
    "ValkeykitError",
    "Worker",
    "aconnect",
    "connect",
    "current_job",
    "parse",
    "resolve",
    "translate_error",
    "translate_errors",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from valkeykit.installation import version

        return version()
    if name not in _LAZY:
        raise AttributeError(f"module 'valkeykit' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
