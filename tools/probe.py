"""An application that writes while something is done to its server: how long it can't, and what it loses."""

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

KEPT = 600
"""Seconds that a key lives."""

RETRY_SECONDS = 30.0


class Writer:
    """Writes numbers under keys of its own, as an application that tries again, and counts what was acknowledged.

    client: makes one. wait: replicas that must have a write before it counts.
    longest: seconds without an acknowledged write, at most.
    """

    def __init__(self, client: Callable[[], Client], wait: int = 0) -> None:
        self._client = client
        self._wait = wait
        self._prefix = f"probe:{uuid.uuid4().hex}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stop = threading.Event()
        self.acknowledged = 0
        self.failed: list[str] = []
        self.longest = 0.0

    def __enter__(self) -> Writer:
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
                    client.set(self._key(number), number, ex=KEPT)
                    if self._wait and replicas_with(client, self._key(number), self._wait) < self._wait:
                        continue
                except (*REDIS_ERRORS, ValkeykitError) as problem:
                    self.failed.append(f"{type(problem).__name__}: {problem}")
                    time.sleep(0.05)
                    continue
                self.acknowledged += 1
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()

    def goes_on(self, seconds: float) -> bool:
        """Whether another write is acknowledged within some seconds from now."""
        known, end = self.acknowledged, time.monotonic() + seconds
        while self.acknowledged == known and time.monotonic() < end:
            time.sleep(0.01)
        return self.acknowledged > known

    def lost(self) -> list[int]:
        """Acknowledged numbers that aren't there."""
        with _again(self._client) as client:
            found = ((number, _again(partial(client.get, self._key(number)))) for number in range(self.acknowledged))
            return [number for number, value in found if value != str(number)]

    def forget(self) -> None:
        """Remove its keys; they end by themselves too."""
        with _again(self._client) as client:
            for number in range(self.acknowledged):
                _again(partial(client.unlink, self._key(number)))

    def _key(self, number: int) -> str:
        return f"{self._prefix}:{number}"


def _again(action: Callable[[], T]) -> T:
    """An action that may be repeated, until it succeeds or `RETRY_SECONDS` are over: so soon after a change a server
    may be slow, or a client not know the new primary yet.
    """
    end = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            return action()
        except (*REDIS_ERRORS, ValkeykitError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def replicas_with(client: Client, key: str, wanted: int, seconds: float = 2.0) -> int:
    """How many replicas have what the client has just written to a key, once `wanted` do or the time is over."""
    if isinstance(client, redis.RedisCluster):
        node = client.get_node_from_key(key)
        return int(client.execute_command("WAIT", wanted, int(seconds * 1000), target_nodes=node))
    return int(client.execute_command("WAIT", wanted, int(seconds * 1000)))
