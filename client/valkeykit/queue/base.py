"""How a queue is made, whichever way it does its I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from valkeykit.errors import ConfigurationError
from valkeykit.queue.definition import Definition, runs_on_server
from valkeykit.queue.local import LocalJobs
from valkeykit.queue.options import MAX_RESULT, check_count, shown
from valkeykit.queue.patience import RETRY_FOR
from valkeykit.settings import ConnectOptions, Settings, Source, check, is_number, refuse_replicas, settle

if TYPE_CHECKING:
    from typing_extensions import Unpack


MAX_CONNECTIONS = 500
"""One for each thread that adds at the same time; they are made when they are needed."""


class QueueBase(Definition):
    """A queue's name, handlers and settings."""

    _link_type: Callable[[], Any]

    def __init__(
        self,
        name: str,
        url: Source = None,
        *,
        retry_for: float = RETRY_FOR,
        allow_eviction: bool = False,
        max_result: int = MAX_RESULT,
        **options: Unpack[ConnectOptions],
    ) -> None:
        """Nothing is sent.

        name: of the queue; all its keys lie in one hash slot.
        url, options: as `valkeykit.connect` takes them.
        retry_for: seconds that a call is tried again while the server can't be reached.
        allow_eviction: use a server that may evict jobs.
        max_result: bytes that a job's result may take; a larger one fails the job.

        Raises:
            InvalidJobError: the name or max_result can't be used.
            ConfigurationError: an option can't be used, or USE_VALKEY_QUEUE is neither true nor false.
        """
        check(options)
        refuse_replicas(options)
        if not is_number(retry_for) or retry_for < 0:
            raise ConfigurationError(f"retry_for is {shown(retry_for)}, not a number of seconds", fix="retry_for=10")
        super().__init__(name)
        self.retry_for = retry_for
        self.allow_eviction = allow_eviction
        self.max_result = check_count("max_result", max_result, least=1)
        self.local = None if runs_on_server() else LocalJobs(self.handlers, self.max_result)
        self.source = url
        self.options = options
        self._link = self._link_type()
        if url is not None:
            self.settings()

    def settings(self) -> Settings:
        """How this queue connects; answers are bytes.

        Raises:
            ConfigurationError: the URL or an option can't be used.
        """
        return settle(self.source, defaults={"max_connections": MAX_CONNECTIONS}, **(self.options | {"decode": False}))
