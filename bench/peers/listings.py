"""Server time of a page of jobs in each state, with many in that state, and of the calls that count jobs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import redis
from measure import PAYLOAD
from valkeykit import Queue

URL, JOBS = sys.argv[1], int(sys.argv[2])
ROUNDS = 20
"""Calls of each kind, of which the mean counts."""

PREFIX = "valkeykit:{listings}"
QUEUE = Queue("listings", URL)
CLIENT = redis.Redis.from_url(URL)


def cpu_ms() -> float:
    """CPU time of the thread that runs commands."""
    info = CLIENT.info("cpu")
    return 1000 * (info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])


def server_ms(call: Callable[[], object]) -> float:
    """Milliseconds that the server works for a call. Other load on the machine doesn't count."""
    call()
    before = cpu_ms()
    for _ in range(ROUNDS):
        call()
    return (cpu_ms() - before) / ROUNDS


def fill(state: str) -> None:
    """Put all jobs into one state."""
    CLIENT.flushall()
    sets = ({"x": PAYLOAD} for _ in range(JOBS))
    QUEUE.add_many("noop", sets, delay=3600 if state == "delayed" else 0)
    if state in {"dead", "active"}:
        end(state)


def end(state: str) -> None:
    """Move the jobs that wait to the dead letters or to a worker, as the scripts store them."""
    line = f"{PREFIX}:waiting:0"
    while ids := CLIENT.lpop(line, 1000):
        pipe = CLIENT.pipeline(transaction=False)
        if state == "dead":
            pipe.zadd(f"{PREFIX}:dead", dict.fromkeys(ids, 1e12))
            pipe.hset(f"{PREFIX}:errors", mapping=dict.fromkeys(ids, "ValueError: no"))
            pipe.hset(f"{PREFIX}:traces", mapping=dict.fromkeys(ids, "x" * 500))
        else:
            pipe.zadd(f"{PREFIX}:leases", dict.fromkeys(ids, 1e13))
        pipe.hset(f"{PREFIX}:active", mapping=dict.fromkeys(ids, "1 -"))
        pipe.execute()


def calls(state: str) -> Iterator[float]:
    """A page from the start, from the middle and from the end, and the counts."""
    for skip in (0, JOBS // 2, JOBS - 100):
        yield server_ms(lambda skip=skip: QUEUE.jobs(state, limit=100, skip=skip))
    yield server_ms(QUEUE.statistics)
    yield server_ms(QUEUE.history)


QUEUE.check()
SLOWEST = {}
for STATE in ("waiting", "delayed", "active", "dead"):
    fill(STATE)
    SLOWEST[STATE] = max(calls(STATE))
CLIENT.flushall()
QUEUE.close()
print(json.dumps(SLOWEST))
