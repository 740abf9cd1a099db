"""Connecting at the first use, without a server."""

from __future__ import annotations

import threading

import pytest
from valkeykit import AsyncCache, Cache, Queue, errors
from valkeykit.fast_connection import FastConnection
from valkeykit.lazy_connection import LazyConnection

from harness.waiting import wait_until


def test_callers_share_the_outcome_of_one_attempt() -> None:
    lazy, attempts, begun = LazyConnection(), [0], threading.Event()
    failures: list[str] = []

    def connect() -> FastConnection:
        attempts[0] += 1
        begun.set()
        wait_until(lambda: waiting[0] == 20)
        raise errors.UnreachableError("away")

    waiting = [0]

    def call() -> None:
        waiting[0] += 1
        try:
            lazy.open(connect)
        except errors.UnreachableError as error:
            failures.append(str(error))

    first = threading.Thread(target=call)
    first.start()
    begun.wait(30)
    others = [threading.Thread(target=call) for _ in range(19)]
    for thread in others:
        thread.start()
    for thread in (first, *others):
        thread.join(30)
    assert failures == ["away"] * 20
    assert attempts[0] < 20  # a late one may begin another attempt


@pytest.mark.parametrize("kind", [Cache, AsyncCache, lambda *a, **k: Queue("q", *a, **k)])
def test_replicas_and_bad_options_are_refused_at_once(kind: type) -> None:
    url = "valkey+replicated://localhost:1,localhost:2"
    with pytest.raises(errors.ConfigurationError, match="read_from_replicas"):
        kind(url, read_from_replicas=True)
    for options in ({"read_timeout": True}, {"max_connections": "5"}, {"no_such": 1}, {"connect_timeout": None}):
        with pytest.raises(errors.ConfigurationError, match=next(iter(options))):
            kind(url, **options)


@pytest.mark.parametrize("retry_for", [True, "10", float("nan"), -1, None])
def test_retry_for_is_a_number(retry_for: object) -> None:
    with pytest.raises(errors.ConfigurationError, match="retry_for"):
        Queue("mail", retry_for=retry_for)  # type: ignore[arg-type]
