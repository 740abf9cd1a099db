"""The cache as applications use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from redis.exceptions import AuthenticationError, ConnectionError, ReadOnlyError  # noqa: A004

from valkeykit.cache.base import CacheBase
from valkeykit.cache.operations import LEASE, MISSING
from valkeykit.cache.steps import Compute, Send, Sleep, Steps
from valkeykit.cache.ttl import API_RESPONSE, NEGATIVE
from valkeykit.causes import FOREIGN
from valkeykit.channel import Channel
from valkeykit.connection import open_client
from valkeykit.lazy import LazyChannel

T = TypeVar("T")


class Cache(CacheBase):
    """A cache on the server.

    Reads fail open: where the server can't be asked, there is nothing. Writes then return False.
    Deletes fail loud, since data that should be gone would be served later on. DISABLE_REDIS counts as
    a server that can't be asked.
    """

    _link_type = LazyChannel
    _link: LazyChannel

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default where there is none or the server can't be asked."""
        return self.run(self._operations.get(key, default))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values that exist, by key, in one round trip."""
        return self.run(self._operations.get_many(list(keys)))

    def set(self, key: str, value: Any, ttl: float = API_RESPONSE, *, tags: Iterable[str] = ()) -> bool:
        """Store a value for `ttl` seconds, a little less by the jitter. False where the server can't be asked.

        tags: `invalidate` ends all entries of a tag at once. Reading a tagged entry takes a second round trip.

        Raises:
            ConfigurationError: the value can't be serialized, or key or TTL can't be used.
        """
        return self.run(self._operations.set(key, value, ttl, list(tags)))

    def set_many(self, values: Mapping[str, Any], ttl: float = API_RESPONSE) -> bool:
        """Store values by key, in one round trip."""
        return self.run(self._operations.set_many(values, ttl))

    def delete(self, *keys: str) -> int:
        """Delete entries; returns how many there were.

        Raises:
            ValkeykitError: the server can't be asked, so they may still be there.
        """
        return self.run(self._operations.delete(keys))

    def invalidate(self, *tags: str) -> None:
        """End all entries of these tags. Raises as `delete` does."""
        self.run(self._operations.invalidate(tags))

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], T],
        ttl: float = API_RESPONSE,
        *,
        stale: float = 0,
        negative_ttl: float = NEGATIVE,
        tags: Iterable[str] = (),
        lease: float = LEASE,
    ) -> T:
        """The value, computed by one caller of all processes where there is none.

        stale: seconds after `ttl` in which the others get the old value while one computes,
            and all do if that fails; without an old value they wait.
        negative_ttl: seconds that None is kept.
        lease: seconds that a computation may take before another caller tries.

        Raises what `compute` raises, unless there is an old value.
        """
        steps = self._operations.get_or_compute(key, compute, ttl, stale, negative_ttl, list(tags), lease)
        value: T = self.run(steps)
        return value

    def touch(self, key: str, ttl: float, default: Any = None) -> Any:
        """The value, whose life starts anew with `ttl` seconds."""
        value = self.run(self._operations.touch(key, ttl))
        return default if value is MISSING else value

    def commands(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands as they are, in one round trip; keys are completed by `key`. Fails loud."""
        return self._send(Send(list(commands), loud=True, once=True))

    def close(self) -> None:
        """Close the connections; a further call opens them again."""
        self._link.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, steps: Steps[T]) -> T:
        """Run what a cache or what is built on it does."""
        answer: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as end:
                value: T = end.value
                return value
            answer, failure = None, None
            try:
                if type(step) is Send:
                    answer = self._send(step)
                elif type(step) is Compute:
                    answer = step.function()
                elif type(step) is Sleep:
                    time.sleep(step.seconds)
            except Exception as error:  # noqa: BLE001  (the steps decide)
                failure = error

    def _send(self, step: Send) -> list[Any]:
        self._admit(loud=step.loud)
        began = time.perf_counter()
        try:
            answers = self._ask(step.commands, once=step.once)
        except FOREIGN as error:
            raise self._failed(error) from error
        self._succeeded(began)
        return answers

    def _ask(self, commands: list[tuple[Any, ...]], *, once: bool) -> list[Any]:
        channel = self._link.channel or self._link.open(self._connect)
        try:
            return _exchange(channel, commands, alone=not once)
        except (ConnectionError, ReadOnlyError) as error:  # the next connection is another one
            if once or isinstance(error, AuthenticationError):
                raise
            return _exchange(channel, commands, alone=True)

    def _connect(self) -> Channel:
        return Channel(open_client(self._settings(), sure=True))


def _exchange(channel: Channel, commands: list[tuple[Any, ...]], *, alone: bool) -> list[Any]:
    """alone: a single command may take the channel's shorter way, whose connection may be stale."""
    if alone and len(commands) == 1:
        return [channel.send(*commands[0])]
    pipeline = channel.client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(pipeline.execute()) if commands else []
