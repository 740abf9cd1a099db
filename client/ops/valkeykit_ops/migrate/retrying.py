"""Repetition of a step after an outage of a server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from redis.exceptions import AuthenticationError

from valkeykit_ops.migrate.key_scan import RECONNECT_INTERVAL_SECONDS, TRANSIENT_ERRORS
from valkeykit_ops.migrate.run_context import RunContext

MAX_REPETITIONS = 5
"""How often a step is repeated."""

Result = TypeVar("Result")


def repeated(context: RunContext, step: Callable[[], Result], on_broken: Callable[[], None]) -> Result:
    """Run a step that may run twice; run it again if a connection breaks.

    Args:
        on_broken: Called before a repetition.

    Raises:
        redis.RedisError: A server is unreachable for the reconnect timeout, or connections keep breaking.
    """
    for _ in range(MAX_REPETITIONS):
        try:
            return step()
        except TRANSIENT_ERRORS as problem:
            if isinstance(problem, AuthenticationError):
                raise
            on_broken()
            _await_servers(context)
    return step()


def _await_servers(context: RunContext) -> None:
    give_up = time.monotonic() + context.options.reconnect_timeout
    while True:
        context.check_stop()
        try:
            context.source.sizes()
            context.target.sizes()
        except TRANSIENT_ERRORS as problem:
            if isinstance(problem, AuthenticationError) or time.monotonic() > give_up:
                raise
            context.counters.add("reconnects")
            context.stop.wait(RECONNECT_INTERVAL_SECONDS)
        else:
            return
