"""Options of a job, validated before anything is sent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, NamedTuple, TypedDict

from valkeykit.errors import InvalidJobError, shown

MAX_PAYLOAD_BYTES = 1024 * 1024
"""Bytes that a job's arguments may take; bigger data belongs elsewhere, its address into the job."""

MAX_RESULT_BYTES = 1024 * 1024
"""Bytes that a job's result may take, unless the queue is made with another limit."""

MAX_PROGRESS_BYTES = 64 * 1024
"""Bytes that a job's progress may take."""

MAX_DELAY_SECONDS = 366 * 86_400.0
"""Seconds that a job may be delayed, a year: more is an error in the unit."""

MAX_COUNT = 1_000_000_000
"""The largest count that a queue takes; the server's integers have room for it."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


class JobOptions(TypedDict, total=False):
    """How a job is run.

    Attributes:
        priority: 0 to 9, 9 first; 0 by default.
        attempts: Attempts before it becomes a dead letter; 5 by default.
        timeout: Seconds that an attempt may take; None, the default, for no limit.
        backoff: Seconds before the second attempt; 1 by default. Each further one waits twice as long, at most an hour.
        result_ttl: Seconds for which the result is kept; 0, the default, keeps none.
    """

    priority: int
    attempts: int
    timeout: float | None
    backoff: float
    result_ttl: float


HANDLER_OPTIONS = ("attempts", "timeout", "result_ttl", "backoff")
"""What a worker's handler can decide, in the order of a record."""


@dataclass(frozen=True)
class JobSpec:
    """JobOptions, checked and complete. Times are whole milliseconds; 0 means none.

    Attributes:
        left_open: Options that neither the producer nor a handler of its process sets; the worker's handler sets them.
    """

    name: str
    priority: int = 0
    attempts: int = 5
    timeout: int = 0
    result_ttl: int = 0
    backoff: int = 1000
    left_open: frozenset[str] = frozenset()

    @cached_property
    def spec_line(self) -> str:
        """As a record contains it, after its key. A number with a leading zero is left open."""
        numbers = [f"{'0' * (name in self.left_open)}{getattr(self, name)}" for name in HANDLER_OPTIONS]
        return f"{self.priority} {' '.join(numbers)} {self.name}"

    def traced_line(self, trace: str) -> str:
        """`spec_line` with a trace context."""
        options, _, name = self.spec_line.rpartition(" ")
        return f"{options} {trace} {name}"

    @classmethod
    def from_spec_line(cls, line: str) -> JobSpec:
        """Read what `spec_line` wrote.

        Raises:
            ValueError: It isn't one.
        """
        priority, *numbers, name = line.split(" ")
        options = dict(zip(HANDLER_OPTIONS, numbers, strict=True))
        left_open = frozenset(option for option, number in options.items() if len(number) > 1 and number[0] == "0")
        return cls(name, int(priority), **{key: int(number) for key, number in options.items()}, left_open=left_open)


class JobRequest(NamedTuple):
    """A job that is to be added, all of it checked. Times are milliseconds. trace: its trace context."""

    spec: JobSpec
    payload: bytes
    delay: int = 0
    id: str | None = None
    key: str | None = None
    key_ttl: int = 0
    trace: str = ""

    @property
    def spec_line(self) -> str:
        """Its options as a record contains them."""
        return self.spec.traced_line(self.trace) if self.trace else self.spec.spec_line


def specify(
    name: str,
    *,
    priority: int = 0,
    attempts: int = 5,
    timeout: float | None = None,
    backoff: float = 1.0,
    result_ttl: float = 0,
) -> JobSpec:
    """Check a job's name and options.

    Raises:
        InvalidJobError: One of them can't be used; it is named.
    """
    check_word("the job's name", name)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 9:
        raise InvalidJobError(f"priority is {shown(priority)}, not a whole number from 0 to 9", fix="priority=5")
    if not isinstance(attempts, int) or isinstance(attempts, bool) or not 1 <= attempts <= 1000:
        raise InvalidJobError(f"attempts is {shown(attempts)}, not a whole number from 1 to 1000", fix="attempts=5")
    return JobSpec(
        name,
        priority,
        attempts,
        0 if timeout is None else milliseconds("timeout", timeout, least=0.001),
        milliseconds("result_ttl", result_ttl),
        milliseconds("backoff", backoff),
    )


def check_word(what: str, text: str) -> str:
    """A name, an id or a key: it becomes a part of the server's keys and of a record.

    Raises:
        InvalidJobError: Empty, too long, or with white space or control characters.
    """
    if not isinstance(text, str) or not 0 < len(text) <= 200 or not text.isprintable() or " " in text:
        raise InvalidJobError(
            f"{what} is {shown(text)}, not 1 to 200 printable characters without a space", fix='"send-mail"'
        )
    return text


def check_progress(value: Any) -> Any:
    """A job's progress as JSON has it: a copy, so that nothing the handler does later changes it.

    Raises:
        InvalidJobError: It isn't, or it is too large.
    """
    try:
        text = _encode(value).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidJobError(f"the progress is not JSON: {problem}", fix='progress({"done": 0.5})') from None
    if len(text) > MAX_PROGRESS_BYTES:
        raise InvalidJobError(
            f"the progress is {len(text)} bytes, more than the limit of {MAX_PROGRESS_BYTES}", fix="report less"
        )
    return json.loads(text)


def check_count(what: str, number: int, *, least: int = 0) -> int:
    """A whole number of things.

    Raises:
        InvalidJobError: It isn't one, it is below `least`, or it is beyond a billion.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= MAX_COUNT:
        raise InvalidJobError(
            f"{what} is {shown(number)}, not a whole number from {least} to {MAX_COUNT}", fix=f"{what}={max(least, 10)}"
        )
    return number


def check_queue_name(name: str) -> str:
    """A queue's name. Braces are refused: they would move its keys to another slot.

    Raises:
        InvalidJobError: It can't be used.
    """
    if "{" in check_word("the queue's name", name) or "}" in name:
        raise InvalidJobError(f"the queue's name {name!r} contains a brace", fix='Queue("mail")')
    return name


def milliseconds(what: str, seconds: float, *, least: float = 0.0) -> int:
    """Seconds as whole milliseconds.

    Raises:
        InvalidJobError: Not a number from `least` to a year.
    """
    try:
        fits = not isinstance(seconds, bool) and math.isfinite(seconds) and least <= seconds <= MAX_DELAY_SECONDS
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InvalidJobError(
            f"{what} is {shown(seconds)}, expected seconds from {least} up to a year", fix=f"{what}=60"
        )
    return round(seconds * 1000)


def delay_until(delay: float, at: datetime | None) -> int:
    """Milliseconds until a job is due; a moment that has passed means now.

    Raises:
        InvalidJobError: A negative delay, or a time without a zone.
    """
    wait = milliseconds("delay", delay)
    if at is None:
        return wait
    if wait:
        raise InvalidJobError("delay and at can't be combined", fix="delay=60, or at=…")
    if not isinstance(at, datetime):
        raise InvalidJobError(f"at is {shown(at)}, not a datetime", fix="datetime.now(timezone.utc)")
    if at.tzinfo is None:
        raise InvalidJobError(f"at is {at.isoformat()}, which has no time zone", fix="datetime.now(timezone.utc)")
    return milliseconds("at", max(0.0, (at - datetime.now(timezone.utc)).total_seconds()))


def _copied(arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, Mapping):
        raise TypeError(f"{shown(arguments)} is not a mapping")
    return dict(arguments)


def encode_arguments(arguments: Mapping[str, Any] | None) -> bytes:
    """A job's arguments as JSON.

    Raises:
        InvalidJobError: They aren't a mapping of names to JSON values, or too big.
    """
    if arguments is None:
        return b"{}"
    try:
        fields = arguments if type(arguments) is dict else _copied(arguments)
        payload = _encode(fields).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidJobError(f"the job's arguments aren't JSON: {problem}", fix='add("name", {"user": 5})') from None
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidJobError(
            f"the job's arguments are {len(payload)} bytes, more than the limit of {MAX_PAYLOAD_BYTES}",
            fix="store the data elsewhere and pass its address",
        )
    return payload
