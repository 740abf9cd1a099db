"""Arguments that can't be used: one error of ours at the call, with a fix, and nothing is sent."""

# ruff: noqa: E501  (a table)

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from valkeykit import AsyncQueue, Queue, Worker, errors
from valkeykit.queue.job_options import MAX_PAYLOAD_BYTES

from harness.ports import HOST

NAN, INFINITE = float("nan"), float("inf")


class Unreadable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Incomparable:
    """As an array of numpy, which has no truth."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")


NUMBERS: list[Any] = [
    Incomparable(),
    Decimal("sNaN"),
    NAN,
    -1,
    -0.5,
    True,
    "5",
    "",
    None,
    b"5",
    [],
    {},
    object(),
    Unreadable(),
    10**400,
    10**5000,
    2.5,
    INFINITE,
]
WORDS: list[Any] = [
    "", "with space", "new\nline", "\x00", "\ud800", "x" * 201, b"bytes", 5, NAN, True, None, [], {}, Unreadable(), 10**5000,
    Incomparable(),
]  # fmt: skip


def bad_queue() -> Queue:
    """One that has no server: a call that was sent would end differently."""
    queue = Queue("mail", f"redis://{HOST}:1", retry_for=0)
    queue.handler(name="known")(lambda: None)
    return queue


def without(values: list[Any], *allowed: Any) -> list[Any]:
    return [value for value in values if not any(value is one for one in allowed)]


CALLS: list[tuple[str, Callable[[Queue, Any], Any], list[Any]]] = [
    ("name", lambda queue, bad: queue.add(bad), WORDS),
    ("arguments", lambda queue, bad: queue.add("send", bad), [5, 0, "text", b"", True, [1], NAN, {(1, 2): 3}, {"x": object()}]),
    ("nan", lambda queue, bad: queue.add("send", {"x": bad}), [NAN, INFINITE, "\ud800", "y" * MAX_PAYLOAD_BYTES, b"b", {1j: 1}]),
    ("delay", lambda queue, bad: queue.add("send", delay=bad), without(NUMBERS, True, 2.5)),
    ("at", lambda queue, bad: queue.add("send", at=bad), [5, "now", datetime(2030, 1, 1), Unreadable()]),  # noqa: DTZ001
    ("late", lambda queue, bad: queue.add("send", at=bad), [datetime.now(timezone.utc) + timedelta(days=400)]),
    ("id", lambda queue, bad: queue.add("send", id=bad), without(WORDS, None)),
    ("key", lambda queue, bad: queue.add("send", key=bad), without(WORDS, None)),
    ("key_ttl", lambda queue, bad: queue.add("send", key="k", key_ttl=bad), [0, *without(NUMBERS, 2.5)]),
    ("priority", lambda queue, bad: queue.add("send", priority=bad), [10, *NUMBERS]),
    ("attempts", lambda queue, bad: queue.add("send", attempts=bad), [0, 1001, *NUMBERS]),
    ("timeout", lambda queue, bad: queue.add("send", timeout=bad), [0, *without(NUMBERS, None, 2.5)]),
    ("backoff", lambda queue, bad: queue.add("send", backoff=bad), without(NUMBERS, 2.5)),
    ("result_ttl", lambda queue, bad: queue.add("send", result_ttl=bad), without(NUMBERS, 2.5)),
    ("add_many", lambda queue, bad: queue.add_many("send", bad), [None, 5, "text", b"bytes", {"to": 1}, [5], [{(1, 2): 3}]]),
    ("every", lambda queue, bad: queue.schedule("send", every=bad), [0, 0.01, *without(NUMBERS, 2.5)]),
    ("cron", lambda queue, bad: queue.schedule("send", cron=bad), ["", "* * * *", "61 * * * *", 5, b"* * * * *", NAN, Unreadable()]),
    ("zone", lambda queue, bad: queue.schedule("send", cron="* * * * *", zone=bad), ["", "Mars", "../x", 5, None, "\x00"]),
    ("repeat", lambda queue, bad: queue.schedule("send", every=60, name=bad), without(WORDS, None)),
    ("both", lambda queue, bad: queue.schedule("send", every=60, cron=bad), ["* * * * *"]),
    ("stop_repeating", lambda queue, bad: queue.unschedule(bad), WORDS),
    ("job", lambda queue, bad: queue.job(bad), WORDS),
    ("result", lambda queue, bad: queue.result(bad), WORDS),
    ("wait", lambda queue, bad: queue.result("id", timeout=bad), without(NUMBERS, 2.5)),
    ("cancel", lambda queue, bad: queue.cancel(bad), WORDS),
    ("limit", lambda queue, bad: queue.limit(bad), [10**19, *NUMBERS]),
    ("per", lambda queue, bad: queue.limit(5, per=bad), [0, *without(NUMBERS, 2.5)]),
    ("count", lambda queue, bad: queue.limit_dead_letters(count=bad), without(NUMBERS, None)),
    ("age", lambda queue, bad: queue.limit_dead_letters(age=bad), [0, *without(NUMBERS, None, 2.5)]),
    ("state", lambda queue, bad: queue.jobs(bad), ["running", "", None, 5, [], {}, b"dead", Unreadable()]),
    ("listing", lambda queue, bad: queue.jobs("dead", bad), NUMBERS),
    ("skip", lambda queue, bad: queue.jobs("dead", 10, bad), NUMBERS),
    ("dead_letters", lambda queue, bad: queue.dead_letters(bad), NUMBERS),
    ("purge", lambda queue, bad: queue.purge(bad), ["active", "", None, 5, [], {}, b"dead", Unreadable()]),
    ("requeue", lambda queue, bad: queue.requeue(bad), ["id", b"id", None, 5, [5], [None], ["with space"], [b"id"]]),
    ("queue", lambda _, bad: Queue(bad), ["{a}", "a}", *WORDS]),
    ("max_result", lambda _, bad: Queue("mail", max_result=bad), [0, *NUMBERS]),
    ("retry_for", lambda _, bad: Queue("mail", retry_for=bad), [NAN, -1, True, "5", None, [], Unreadable()]),
    ("handler", lambda queue, bad: queue.handler(bad), [5, "text", [], Unreadable(), lambda: None, functools.partial(print)]),
    ("handlers", lambda queue, bad: queue.handler(name="x")(bad), [None, 5, "text", [], Unreadable()]),
    ("taken", lambda queue, bad: queue.handler(name=bad)(print), ["known", *without(WORDS, None)]),
    ("options", lambda queue, bad: queue.handler(attempts=bad)(print), NUMBERS),
    ("concurrency", lambda queue, bad: Worker(queue, concurrency=bad), [0, 1001, *without(NUMBERS, None, "5", b"5")]),
    ("lease", lambda queue, bad: Worker(queue, lease=bad), [0.5, *without(NUMBERS, 2.5)]),
    ("shutdown_timeout", lambda queue, bad: Worker(queue, shutdown_timeout=bad), without(NUMBERS, 2.5)),
    ("port", lambda queue, bad: Worker(queue, health_port=bad), [70_000, *without(NUMBERS, None)]),
    ("heartbeat", lambda queue, bad: Worker(queue, heartbeat=bad), [5, b"x", [], Unreadable()]),
    ("listeners", lambda queue, bad: Worker(queue, listeners=bad), [5, None, [5], "text", print]),
    ("worker", lambda _, bad: Worker(bad), [None, 5, "mail", print, Unreadable()]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "values"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_one_error_of_ours(call: Callable[[Queue, Any], Any], values: list[Any]) -> None:
    with bad_queue() as queue:
        for value in values:
            with pytest.raises((errors.InvalidJobError, errors.ConfigurationError)) as caught:
                call(queue, value)
            assert caught.value.fix
            assert len(str(caught.value)) < 500


def test_the_asyncio_queue_checks_as_much() -> None:
    async def use() -> None:
        queue = AsyncQueue("mail", f"redis://{HOST}:1", retry_for=0)
        calls: list[Callable[[Any], Any]] = [
            queue.add, queue.job, queue.result, queue.cancel, queue.unschedule, queue.purge, queue.jobs,
            queue.requeue, queue.limit, queue.limit_dead_letters, queue.dead_letters, queue.schedule,
            lambda bad: queue.add_many("send", bad), lambda bad: queue.result("id", timeout=bad),
        ]  # fmt: skip
        for call in calls:
            for bad in ("with space", NAN, b"bytes", 10**5000, Unreadable()):
                with pytest.raises(errors.InvalidJobError):
                    await call(bad)

    asyncio.run(use())


def test_a_coroutine_function_can_not_listen() -> None:
    async def listen(_: object) -> None: ...

    with pytest.raises(errors.ConfigurationError, match="coroutine function"):
        Worker(bad_queue(), listeners=[listen])  # type: ignore[list-item]  # as a user may do


def test_a_function_of_no_queue_and_a_name_that_is_taken() -> None:
    queue = Queue("mail")
    with pytest.raises(errors.InvalidJobError, match="neither a name nor a handler"):
        queue.add(print)
    queue.handler(bad_queue)
    with pytest.raises(errors.InvalidJobError, match="has a handler"):
        queue.handler(bad_queue)
    with pytest.raises(errors.ConfigurationError, match="has no handler"):
        Worker(Queue("mail"))


def test_a_heartbeat_may_be_a_text() -> None:
    assert Worker(bad_queue(), heartbeat="/tmp/beat.json")._health._file == Path("/tmp/beat.json")


@pytest.mark.parametrize("options", [{"to": "ann"}, {"attempts": 3, "to": "ann"}])
def test_arguments_of_a_job_as_keywords_are_explained(options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidJobError, match="to: no such option; the job's arguments are a mapping"):
        Queue("mail").add("send", **options)
