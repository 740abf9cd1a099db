"""An application that overwrites its keys while nodes fail, and records which value of each was acknowledged."""

from __future__ import annotations

import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress

from valkeykit.connection import Client
from valkeykit.error_translation import REDIS_ERRORS

from harness.waiting import retry, wait_until
from stackctl.availability_probe import replicas_with

KEYS = 300
PAUSE_SECONDS = 0.005
"""Between two writes: the servers shall have time for all else."""


class Traffic:
    """Writes rising numbers to the same keys again and again.

    client: makes one. wait: replicas that must have a write before it counts, confirm_seconds: within which time.
    hash_tag: of all keys, so that one shard has them.
    acknowledged: by key, the last number that was acknowledged. written: writes that only the primary acknowledged too.
    """

    def __init__(
        self, client: Callable[[], Client], wait: int, *, confirm_seconds: float = 2.0, hash_tag: str = ""
    ) -> None:
        self._client = client
        self._wait = wait
        self._confirm_seconds = confirm_seconds
        self._prefix = f"{hash_tag}traffic:{uuid.uuid4().hex[:8]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stop = threading.Event()
        self.acknowledged: dict[str, int] = {}
        self.written = self.count = 0

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(300)
        if self._thread.is_alive():
            stack = sys._current_frames()[self._thread.ident or 0]
            raise AssertionError("a call hangs:\n" + "".join(traceback.format_stack(stack)))

    def wait_for(self, writes: int, seconds: float = 180) -> None:
        """Wait until so many more writes are acknowledged.

        Raises:
            AssertionError: they aren't within that time.
        """
        goal = self.count + writes
        wait_until(lambda: self.count >= goal, seconds, f"no {writes} writes are acknowledged in {seconds:g} s")

    def values(self, client: Client) -> dict[str, int]:
        """What a server has of them; keys that it doesn't serve are left out."""
        keys = list(self.acknowledged)
        pipeline = client.pipeline(transaction=False)  # at once: the others react while this is read
        for key in keys:
            pipeline.get(key)
        answers = zip(keys, pipeline.execute(raise_on_error=False), strict=True)
        return {key: int(value or -1) for key, value in answers if not isinstance(value, Exception)}

    def lost(self, required: dict[str, int]) -> dict[str, tuple[int, int]]:
        """Keys that have an older value than required, or none: required and found."""
        found = retry(lambda: self._numbers(required), *REDIS_ERRORS)  # a new node may not know every name yet
        return {key: (number, found[key]) for key, number in required.items() if found[key] < number}

    def _numbers(self, keys: Iterable[str]) -> dict[str, int]:
        with self._client() as client:
            return {key: int(client.get(key) or -1) for key in keys}

    def forget(self) -> None:
        with self._client() as client:
            for key in self.acknowledged:
                client.unlink(key)

    def _run(self) -> None:
        with self._client() as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                key = f"{self._prefix}:{number % KEYS}"
                with suppress(*REDIS_ERRORS):
                    client.set(key, number)
                    self.written += 1
                    if not self._wait or replicas_with(client, key, self._wait, self._confirm_seconds) >= self._wait:
                        self.acknowledged[key] = number
                        self.count += 1
                time.sleep(PAUSE_SECONDS)


def newest(values: Iterable[dict[str, int]]) -> dict[str, int]:
    """The highest number of each key."""
    result: dict[str, int] = {}
    for one in values:
        for key, number in one.items():
            result[key] = max(number, result.get(key, -1))
    return result
