"""The operations of a cache, as effects that Cache and AsyncCache run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import NoScriptError

from valkeykit.cache import ttl as ttls
from valkeykit.cache.codec import Codec
from valkeykit.cache.effects import Command, Effects, Send
from valkeykit.cache.entries import MISSING, Entries, has_header
from valkeykit.cache.keys import Keys
from valkeykit.cache.statistics import CacheStatistics
from valkeykit.cache.validation import check_number, check_texts
from valkeykit.errors import ConfigurationError, RefusedError, UnreachableError, shown
from valkeykit.lua import script as load

MAX_TAGS = 255

SERVER_ERRORS = (UnreachableError, RefusedError)
"""Reads fail open on these errors. Errors of the caller are not among them."""


class CacheOperations:
    """Each method is a sequence of effects; the server's errors come in as SERVER_ERRORS."""

    def __init__(self, namespace: str, codec: Codec, jitter: float, statistics: CacheStatistics) -> None:
        self.keys = Keys(namespace)
        self.codec = codec
        self.entries = Entries(self.keys, codec)
        self.jitter = check_number("jitter", jitter, 1, "0.1")
        self.statistics = statistics

    def get(self, name: str, default: Any) -> Effects[Any]:
        key = self.keys.entry(name)
        try:
            (entry,) = yield Send([("GET", key)])
            value = (yield from self.entries.read(entry)) if has_header(entry) else self.entries.decode(entry)
        except SERVER_ERRORS:
            return default
        return self.count(value, default)

    def get_many(self, names: Iterable[str]) -> Effects[dict[str, Any]]:
        names = check_texts("key", names)
        commands: list[Command] = [("GET", self.keys.entry(name)) for name in names]
        if not commands:
            return {}
        try:
            entries = yield Send(commands)
            values = yield from self.entries.read_many(entries)
        except SERVER_ERRORS:
            return {}
        return {
            name: value for name, value in zip(names, values, strict=True) if self.count(value, MISSING) is not MISSING
        }

    def set(self, name: str, value: Any, ttl: float | None, tags: Iterable[str]) -> Effects[bool]:
        key, life, tags = self.keys.entry(name), ttls.expiry(ttl, self.jitter), check_tags(tags)
        entry = self.codec.encode(value)
        try:
            if tags:  # one round trip for their versions
                entry = (yield from self.entries.versions(tags, life)) + entry
            yield Send([set_command(key, entry, life)])
        except SERVER_ERRORS:
            return False
        return True

    def set_many(self, values: Mapping[str, Any], ttl: float | None) -> Effects[bool]:
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"the values are {shown(values)}, expected a dict", fix='use {"user:5": 1}')
        ttls.expiry(ttl)
        commands = [
            set_command(self.keys.entry(name), self.codec.encode(value), ttls.expiry(ttl, self.jitter))
            for name, value in values.items()
        ]
        try:
            if commands:
                yield Send(commands)
        except SERVER_ERRORS:
            return False
        return True

    def delete(self, names: Iterable[str]) -> Effects[int]:
        """Delete the leases as well, so that a value computed from old data is not stored."""
        keys = [self.keys.entry(name) for name in names]
        if not keys:
            return 0
        answers = yield Send(
            [("DEL", name) for key in keys for name in (key, self.keys.own("lease", key))], bypass_breaker=True
        )
        return sum(answers[::2])

    def invalidate(self, tags: Iterable[str]) -> Effects[None]:
        if commands := [self.entries.renewed(tag) for tag in tags]:
            yield Send(commands, bypass_breaker=True)

    def touch(self, name: str, ttl: float | None) -> Effects[Any]:
        """Read an entry and reset its time to live."""
        key, life = self.keys.entry(name), ttls.expiry(ttl)
        try:
            (entry,) = yield Send([touch_command(key, life)])
            if longer := self.entries.prolonged(key, entry, life):
                yield Send(longer)
            value = yield from self.entries.read(entry)
        except SERVER_ERRORS:
            return MISSING
        return self.count(value, MISSING)

    def script(self, name: str, key: str, *arguments: Any) -> Effects[Any]:
        """Run a script on an entry and its lease."""
        script = load("valkeykit.cache", name)
        keys = (2, key, self.keys.own("lease", key))
        try:
            (answer,) = yield Send([("EVALSHA", script.sha, *keys, *arguments)])
        except NoScriptError:
            (answer,) = yield Send([("EVAL", script.source, *keys, *arguments)])
        return answer

    def count(self, value: Any, default: Any) -> Any:
        if value is MISSING:
            self.statistics.misses += 1
            return default
        self.statistics.hits += 1
        return value


def check_tags(tags: Iterable[str]) -> Sequence[str]:
    """Raises ConfigurationError unless these are up to 255 texts."""
    if tags == ():
        return ()
    tags = check_texts("tag", tags)
    if len(tags) > MAX_TAGS:
        raise ConfigurationError(f"an entry has {len(tags)} tags, at most {MAX_TAGS} fit", fix="use coarser tags")
    return tags


def set_command(key: str, entry: bytes, life: int | None) -> Command:
    return ("SET", key, entry) if life is None else ("SET", key, entry, "PX", life)


def touch_command(key: str, life: int | None) -> Command:
    return ("GETEX", key, "PERSIST") if life is None else ("GETEX", key, "PX", life)
