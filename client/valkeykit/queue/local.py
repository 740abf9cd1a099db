"""USE_VALKEY_QUEUE off: a job runs in process, at once, where it is added. No server is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from valkeykit.errors import InvalidJobError
from valkeykit.queue.answers import Added, JobState
from valkeykit.queue.definition import Handler
from valkeykit.queue.options import Description, Spec

KEPT = 1000
"""States of jobs that are remembered, the latest ones."""

_logger = logging.getLogger("valkeykit.queue")


class LocalJobs:
    """Runs jobs one after the other, all attempts without a pause, and remembers how they ended."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._states: OrderedDict[str, JobState] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, job: Description) -> Added:
        """Run a job to its end, unless one of its id has run; a delay is not waited for.

        Raises:
            InvalidJobError: no handler of this process has the job's name.
        """
        identity = job.id or secrets.token_urlsafe(8)
        if identity in self._states:
            return Added(identity, False)
        self._run(identity, job.spec, job.payload)
        return Added(identity, True)

    def state(self, identity: str) -> JobState:
        return self._states.get(identity) or JobState(identity, "missing", None, 0, None, None, None)

    def _run(self, identity: str, spec: Spec, payload: bytes) -> None:
        handler = self._handlers.get(spec.name)
        if handler is None:
            raise InvalidJobError(f"no handler for {spec.name!r} in this process", fix="@queue.handler on its function")
        arguments = json.loads(payload)
        for attempt in range(1, spec.attempts + 1):
            try:
                result = _call(handler, arguments)
            except Exception as error:
                _logger.exception("job %s (%s) failed, attempt %d", identity, spec.name, attempt)
                self._keep(JobState(identity, "dead", spec.name, attempt, repr(error), None, None))
            else:
                self._keep(JobState(identity, "completed", spec.name, attempt, None, None, result))
                return

    def _keep(self, state: JobState) -> None:
        with self._lock:
            self._states[state.id] = state
            while len(self._states) > KEPT:
                self._states.popitem(last=False)


def _call(handler: Handler, arguments: dict[str, Any]) -> Any:
    if not handler.is_async:
        return handler.function(**arguments)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(handler.function(**arguments))
    return _run_beside_the_loop(handler, arguments)


def _run_beside_the_loop(handler: Handler, arguments: dict[str, Any]) -> Any:
    """A loop runs in this thread already, so the coroutine gets a thread and a loop of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(handler.function(**arguments))).result()
