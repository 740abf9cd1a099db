"""The availability probe: a client that writes during an operation, and measures outages and lost writes."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import redis
from valkeykit.connection import Client
from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.errors import ValkeykitError

T = TypeVar("T")

KEY_TTL_SECONDS = 600

RETRY_TIMEOUT_SECONDS = 30.0


class AvailabilityProbe:
    """Writes numbers to keys of its own, retries as an application does, and counts acknowledged writes.

    client: creates a client. wait: replicas that must confirm a write before it counts.
    longest_outage_seconds: the longest time without an acknowledged write.
    """

    def __init__(self, client: Callable[[], Client], wait: int = 0) -> None:
        self._client = client
        self._wait = wait
        self._prefix = f"probe:{uuid.uuid4().hex}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stop = threading.Event()
        self.acknowledged = 0
        self.failed: list[str] = []
        self.longest_outage_seconds = 0.0

    def __enter__(self) -> AvailabilityProbe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        last = time.monotonic()
        with contextlib.ExitStack() as opened:
            client: Client | None = None
            while not self._stop.is_set():
                number = self.acknowledged
                try:
                    if client is None:
                        client = opened.enter_context(self._client())
                    client.set(self._key(number), number, ex=KEY_TTL_SECONDS)
                    if self._wait and replicas_with(client, self._key(number), self._wait) < self._wait:
                        continue
                except (*REDIS_ERRORS, ValkeykitError) as problem:
                    self.failed.append(f"{type(problem).__name__}: {problem}")
                    time.sleep(0.05)
                    continue
                self.acknowledged += 1
                self.longest_outage_seconds = max(self.longest_outage_seconds, time.monotonic() - last)
                last = time.monotonic()

    def makes_progress(self, seconds: float) -> bool:
        """Whether another write is acknowledged within some seconds from now."""
        before, end = self.acknowledged, time.monotonic() + seconds
        while self.acknowledged == before and time.monotonic() < end:
            time.sleep(0.01)
        return self.acknowledged > before

    def lost(self) -> list[int]:
        """Acknowledged numbers that are missing."""
        with _retry(self._client) as client:
            values = ((number, _retry(partial(client.get, self._key(number)))) for number in range(self.acknowledged))
            return [number for number, value in values if value != str(number)]

    def clean_up(self) -> None:
        """Remove the probe's keys, which also expire."""
        with _retry(self._client) as client:
            for number in range(self.acknowledged):
                _retry(partial(client.unlink, self._key(number)))

    def _key(self, number: int) -> str:
        return f"{self._prefix}:{number}"


def _retry(action: Callable[[], T]) -> T:
    """Retry an idempotent action for up to `RETRY_TIMEOUT_SECONDS`.

    Right after a change a server may be slow, and a client may not know the new primary yet.
    """
    end = time.monotonic() + RETRY_TIMEOUT_SECONDS
    while True:
        try:
            return action()
        except (*REDIS_ERRORS, ValkeykitError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def replicas_with(client: Client, key: str, required: int, seconds: float = 2.0) -> int:
    """The number of replicas that have the client's last write to a key, once `required` have it or time is up."""
    if isinstance(client, redis.RedisCluster):
        node = client.get_node_from_key(key)
        return int(client.execute_command("WAIT", required, int(seconds * 1000), target_nodes=node))
    return int(client.execute_command("WAIT", required, int(seconds * 1000)))
