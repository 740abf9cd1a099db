"""The cache's logic, as steps."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from redis.exceptions import NoScriptError

from valkeykit.cache import ttl as ttls
from valkeykit.cache.codec import Codec, CorruptEntryError
from valkeykit.cache.statistics import Statistics
from valkeykit.cache.steps import Compute, Send, Sleep, Steps
from valkeykit.errors import ConfigurationError, RefusedError, UnreachableError
from valkeykit.lua import script as load

MISSING: Final = object()
"""What a read gives where there is nothing and no default was passed, so that None can be cached."""

LEASE = 10.0
"""Seconds that one caller has to compute a value before another may."""

TAG_TTL_MS = 31 * 86_400_000
"""A tag's version is kept this long after its last use. One that is gone makes its entries invalid."""

SERVER_ERRORS = (UnreachableError, RefusedError)
"""What a read survives. A mistake of the caller is none of them."""

_TAGGED = b"\x03"
_LONGEST_KEY = 1024


class Operations:
    """Each method is a sequence of steps; the server's errors come in as SERVER_ERRORS."""

    def __init__(self, namespace: str, codec: Codec, jitter: float, statistics: Statistics) -> None:
        self._prefix = f"{_checked(namespace)}:" if namespace else ""
        self._codec = codec
        self._jitter = jitter
        self.statistics = statistics

    def key(self, name: str) -> str:
        return self._prefix + _checked(name)

    def get(self, name: str, default: Any) -> Steps[Any]:
        try:
            (entry,) = yield Send([("GET", self.key(name))])
        except SERVER_ERRORS:
            return default
        value = yield from self._read(entry)
        return self._count(value, default)

    def get_many(self, names: Sequence[str]) -> Steps[dict[str, Any]]:
        try:
            entries = yield Send([("GET", self.key(name)) for name in names]) if names else Send([])
        except SERVER_ERRORS:
            return {}
        found = {}
        for name, entry in zip(names, entries, strict=True):
            value = yield from self._read(entry)
            if self._count(value, MISSING) is not MISSING:
                found[name] = value
        return found

    def set(self, name: str, value: Any, ttl: float, tags: Sequence[str]) -> Steps[bool]:
        entry, life = self._codec.encode(value), ttls.milliseconds(ttl, self._jitter)
        try:
            versions = yield from self._versions(tags)
            yield Send([("SET", self.key(name), versions + entry, "PX", life)])
        except SERVER_ERRORS:
            return False
        return True

    def set_many(self, values: Mapping[str, Any], ttl: float) -> Steps[bool]:
        commands: list[tuple[Any, ...]] = [
            ("SET", self.key(name), self._codec.encode(value), "PX", ttls.milliseconds(ttl, self._jitter))
            for name, value in values.items()
        ]
        try:
            yield Send(commands)
        except SERVER_ERRORS:
            return False
        return True

    def delete(self, names: Iterable[str]) -> Steps[int]:
        """Leases go too, so that a value which is being computed from what was before isn't stored."""
        keys = [self.key(name) for name in names]
        answers = yield Send([("DEL", key) for name in keys for key in (name, _lease(name))], loud=True)
        return sum(answers[::2])

    def invalidate(self, tags: Iterable[str]) -> Steps[None]:
        yield Send([("SET", self._tag(tag), secrets.token_bytes(8), "PX", TAG_TTL_MS) for tag in tags], loud=True)

    def get_or_compute(  # noqa: PLR0917  (called by the caches alone)
        self,
        name: str,
        compute: Callable[[], Any],
        ttl: float,
        stale: float,
        negative_ttl: float,
        tags: Sequence[str],
        lease: float,
    ) -> Steps[Any]:
        key, token = self.key(name), secrets.token_hex(8)
        life, stale_ms = ttls.milliseconds(ttl, self._jitter), round(stale * 1000)
        negative, lease_ms = ttls.milliseconds(negative_ttl), ttls.milliseconds(lease)
        old, waited, pause = MISSING, 0.0, 0.005
        try:
            while True:
                entry, verdict = yield from self._script("claim", key, token, lease_ms, stale_ms)
                old = yield from self._read(entry)
                if verdict == b"fresh" and old is not MISSING:
                    return self._count(old, MISSING)
                if verdict == b"compute":
                    break
                if old is not MISSING:
                    return self._count(old, MISSING)
                if waited >= lease:
                    return (yield from self._compute(compute))
                if verdict == b"fresh":  # corrupt, or invalidated by a tag
                    yield Send([("DEL", key)], loud=True)
                    continue
                yield Sleep(pause)
                waited, pause = waited + pause, min(pause * 1.5, 0.1)
            self._count(MISSING, MISSING)
            versions = yield from self._versions(tags)
        except SERVER_ERRORS:
            return (yield from self._compute(compute)) if old is MISSING else old
        try:
            value = yield from self._compute(compute)
        except Exception:
            yield from self._quietly_store(key, token, b"", 1)
            if old is not MISSING:
                return old
            raise
        entry = versions + self._codec.encode(value)
        yield from self._quietly_store(key, token, entry, negative if value is None else life + stale_ms)
        return value

    def touch(self, name: str, ttl: float) -> Steps[Any]:
        """Read an entry and start its life anew."""
        try:
            (entry,) = yield Send([("GETEX", self.key(name), "PX", ttls.milliseconds(ttl))])
        except SERVER_ERRORS:
            return MISSING
        value = yield from self._read(entry)
        return self._count(value, MISSING)

    def _compute(self, compute: Callable[[], Any]) -> Steps[Any]:
        self.statistics.computed += 1
        value = yield Compute(compute)
        return value

    def _quietly_store(self, key: str, token: str, entry: bytes, life: int) -> Steps[None]:
        try:
            yield from self._script("store", key, token, entry, life)
        except SERVER_ERRORS:
            return

    def _read(self, entry: bytes | None) -> Steps[Any]:
        """An entry's value; MISSING too where it is corrupt or one of its tags has been invalidated."""
        if entry is None:
            return MISSING
        if entry[:1] == _TAGGED:
            entry = yield from self._untagged(entry)
            if entry is None:
                return MISSING
        try:
            return self._codec.decode(entry)
        except CorruptEntryError:
            return MISSING

    def _versions(self, tags: Sequence[str]) -> Steps[bytes]:
        """What goes before an entry: its tags and their versions now. Tags without one get one."""
        if not tags:
            return b""
        keys = [self._tag(tag) for tag in tags]
        fresh: list[tuple[Any, ...]] = [("SET", key, secrets.token_bytes(8), "NX", "PX", TAG_TTL_MS) for key in keys]
        answers = yield Send([*fresh, *(("GET", key) for key in keys)])
        header = [_TAGGED, len(tags).to_bytes(1, "big")]
        for tag, version in zip(tags, answers[len(keys) :], strict=True):
            name = tag.encode()
            header += (len(name).to_bytes(2, "big"), name, (version or b"").ljust(8)[:8])
        return b"".join(header)

    def _untagged(self, entry: bytes) -> Steps[bytes | None]:
        names, versions, position = [], [], 2
        for _ in range(entry[1]):
            length = int.from_bytes(entry[position : position + 2], "big")
            position += 2
            names.append(entry[position : position + length].decode(errors="replace"))
            versions.append(entry[position + length : position + length + 8])
            position += length + 8
        if not all(names) or position > len(entry):
            return None
        try:
            current = yield Send([("GET", self._tag(name)) for name in names])
        except SERVER_ERRORS:
            return None
        return entry[position:] if current == versions else None

    def _tag(self, tag: str) -> str:
        return f"{self._prefix}tag:{_checked(tag)}"

    def _script(self, name: str, key: str, *arguments: Any) -> Steps[Any]:
        script = load("valkeykit.cache", name)
        keys = (2, key, _lease(key))
        try:
            (answer,) = yield Send([("EVALSHA", script.sha, *keys, *arguments)])
        except NoScriptError:
            (answer,) = yield Send([("EVAL", script.source, *keys, *arguments)])
        return answer

    def _count(self, value: Any, default: Any) -> Any:
        if value is MISSING:
            self.statistics.misses += 1
            return default
        self.statistics.hits += 1
        return value


def _lease(key: str) -> str:
    """In the slot of its entry: the braces hold the whole of a key that has none itself."""
    return f"lease:{{{key}}}"


def _checked(name: str) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_KEY:
        raise ConfigurationError(f"the key is {name!r:.80}, not a text of 1 to 1024 characters", fix='"user:5"')
    if "{" in name or "}" in name:
        return name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return name
