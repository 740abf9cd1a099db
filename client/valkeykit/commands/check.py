"""valkeykit check: test cache and queue from the environment of the application."""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer
from redis.exceptions import RedisError

from valkeykit.cache import Cache
from valkeykit.connection import Client, connect
from valkeykit.error_translation import translate_errors
from valkeykit.errors import ValkeykitError
from valkeykit.queue import Queue, Worker
from valkeykit.queue.schema import REGISTRY_KEY, key_prefix
from valkeykit.settings import resolve_settings

CHECK_TTL_SECONDS = 60
"""What is written expires even if the command is killed."""

RETRY_SECONDS = 2.0
"""How long a server that does not respond is retried; short, since a user waits."""

_FIXED_KEYS = (
    "jobs",
    "leases",
    "active",
    "started",
    "losses",
    "config",
    "stats",
    "minutes",
    "recent",
    "workers",
    "beats",
    "wakeups",
)
"""Keys of a queue that do not expire."""


def check(ca: Annotated[str | None, typer.Option(help="Path of the CA certificate.")] = None) -> None:
    """Connect, use a cache, run a job and print statistics. Exit 1 at the first failure, with its reason."""
    name = f"valkeykit-check-{uuid.uuid4().hex[:8]}"
    settings = resolve_settings(None, ca=ca)
    nodes, user = ", ".join(map(str, settings.address.nodes)), settings.address.username or "default"
    with translate_errors(), closing(connect(ca=ca)) as client:
        with _step("connection", f"to {nodes} as {user}"):
            client.ping()
        with _step("cache", "an entry was written, read and deleted"):
            _use_cache(client, name, ca)
        with _step("queue", "a job was added, run by a worker, and its result read"):
            statistics = _run_job(client, name, ca)
    _print(f"statistics: {statistics}", passed=True)


@contextmanager
def _step(name: str, done: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except Exception:
        _print(name, passed=False)
        raise
    _print(f"{name}: {done} ({(time.monotonic() - began) * 1000:,.0f} ms)", passed=True)


def _print(text: str, *, passed: bool) -> None:
    has_marks = (sys.stdout.encoding or "").lower().startswith("utf")
    mark = ("✓" if passed else "✗") if has_marks else ("ok" if passed else "FAILED")
    typer.echo(f"{typer.style(mark, fg='green' if passed else 'red')} {text}")


def _use_cache(client: Client, name: str, ca: str | None) -> None:
    with Cache(namespace=name, ca=ca) as cache:
        if not cache.set("entry", 1, CHECK_TTL_SECONDS):
            client.set(f"{name}:entry", 1, ex=CHECK_TTL_SECONDS)  # raises what the cache has hidden
        if cache.get("entry") != 1 or not cache.delete("entry"):
            raise ValkeykitError("the cache did not return what it was given", fix="valkeykit doctor")


def _run_job(client: Client, name: str, ca: str | None) -> str:
    try:
        with Queue(name, ca=ca, retry_for=RETRY_SECONDS) as queue:
            queue.eager = None  # the queue on the server, whatever USE_VALKEY_QUEUE is
            queue.handler(name="double", result_ttl=CHECK_TTL_SECONDS)(lambda number: number * 2)
            identity = queue.add("double", {"number": 21}).id
            Worker(queue, concurrency=1).run(burst=True)
            if queue.result(identity) != 42:
                raise ValkeykitError("the job has another result than expected", fix="valkeykit doctor")
            counts = queue.statistics()
            return f"{counts.completed} job completed, {counts.waiting} waiting, {counts.dead} dead letters"
    finally:
        with contextlib.suppress(RedisError):
            client.delete(*[f"{key_prefix(name)}:{key}" for key in _FIXED_KEYS])
            client.srem(REGISTRY_KEY, name)
