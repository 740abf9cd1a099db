"""`valkeykit migrate` against a plain pipelined loop, on the same servers, in turn; RedisShake where it is on PATH.

BENCH_LARGE=1 adds ten million keys and a key of 2 GB: some 15 minutes and 12 GB of memory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

from bench.report import Row, at_least, at_most, publish
from bench.venv import OURS, measure
from harness import binaries, servers
from harness.servers import ServerProcess

ROUNDS = 3
"""Runs of each, in turn; the median of the ratios counts."""

SMALL_KEYS = 100_000
LARGE_TIMEOUT_SECONDS = 1800
"""Seconds that a run with BENCH_LARGE may take."""

MEGABYTES = 200
SHAKE = "redis-shake"


def run() -> None:
    """Run it all, some four minutes."""
    with tempfile.TemporaryDirectory() as name:
        rows = [*_mixed(Path(name)), *_rewritten(Path(name)), *_large_strings(Path(name)), *_collections(Path(name))]
        if os.environ.get("BENCH_LARGE"):
            rows += _ceilings(Path(name))
        else:
            print("ten million keys and a key of 2 GB: left out, BENCH_LARGE=1 measures them")
    if not shutil.which(SHAKE):
        print(f"{SHAKE}: left out, there is none on PATH")
    publish("migrate", rows)


@contextlib.contextmanager
def _pair(folder: Path, source: str, data: str, number: int) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """A filled source and an empty target."""
    place = folder / f"{source}-{data}"
    old = servers.running(place / "old", program=binaries.program(source))
    with old as filled, servers.running(place / "new") as empty:
        measure(OURS, "peers/migrate_data.py", filled.url, data, str(number), limit=LARGE_TIMEOUT_SECONDS)
        yield filled, empty


def _measured(old: ServerProcess, new: ServerProcess, how: str) -> dict[str, float]:
    with redis.Redis(port=new.port) as client:
        client.flushall()
    return measure(OURS, "peers/migrate_peer.py", how, old.url, new.url, limit=LARGE_TIMEOUT_SECONDS)


def _in_turn(old: ServerProcess, new: ServerProcess, peer: str) -> list[tuple[dict[str, float], dict[str, float]]]:
    return [(_measured(old, new, "valkeykit"), _measured(old, new, peer)) for _ in range(ROUNDS)]


def _median(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> tuple[dict[str, float], dict[str, float]]:
    """The pair whose ratio is the median."""
    return sorted(pairs, key=lambda pair: pair[0]["rate"] / pair[1]["rate"])[len(pairs) // 2]


def _mixed(folder: Path) -> list[Row]:
    with _pair(folder, "redis-7.0", "mixed", SMALL_KEYS) as (old, new):
        pairs = _in_turn(old, new, "plain")
        ours, plain = _median(pairs)
        rows = [
            at_least("mixed small keys, keys/s", ours["rate"], plain["rate"], "plain loop", 1.8),
            at_most("verification, s, against the copy", statistics.median(pair[0]["verify"] for pair in pairs), 1.0,
                    peer=statistics.median(pair[0]["copy"] for pair in pairs), peer_name="the copy"),
            at_most("memory, MiB, small keys", max(pair[0]["memory"] for pair in pairs), MEGABYTES),
        ]  # fmt: skip
        if shutil.which(SHAKE):
            shake = max(_measured(old, new, SHAKE)["rate"] for _ in range(2))
            rows.append(at_least("mixed small keys, keys/s", ours["rate"], shake, SHAKE, 1.0))
    return rows


def _rewritten(folder: Path) -> list[Row]:
    """The same data from a server whose payloads must be rewritten, against one whose needn't."""
    with (
        _pair(folder, "redis-7.0", "mixed", SMALL_KEYS // 2) as (old, new),
        _pair(folder, "redis-7.4", "mixed", SMALL_KEYS // 2) as (foreign, other),
    ):
        pairs = [(_measured(foreign, other, "valkeykit"), _measured(old, new, "valkeykit")) for _ in range(ROUNDS)]
    ours, plain = _median(pairs)
    return [at_least("footers rewritten, keys/s", ours["rate"], plain["rate"], "as they are", 0.8)]


def _large_strings(folder: Path) -> list[Row]:
    with _pair(folder, "redis-7.0", "strings", 1000) as (old, new):
        ours, plain = _median(_in_turn(old, new, "plain"))
    return [at_least("strings of 100 kB, MB/s", ours["megabytes"], plain["megabytes"], "plain loop", 0.9)]


def _collections(folder: Path) -> list[Row]:
    """The limit is what a client gets that reads a collection, and one that writes it, at the same time."""
    with _pair(folder, "redis-7.0", "collections", 100_000) as (old, new):
        ours, limit = _median(_in_turn(old, new, "limit"))
    return [at_least("large collections, elements/s", ours["elements"], limit["elements"], "the servers", 0.9)]


def _ceilings(folder: Path) -> list[Row]:
    with _pair(folder, "redis-7.0", "mixed", 10_000_000) as (old, new):
        many = _measured(old, new, "valkeykit")
    with _pair(folder, "redis-7.0", "giant", 2048) as (old, new):
        giant = _measured(old, new, "valkeykit")
    return [
        at_most("memory, MiB, 10 million keys", many["memory"], MEGABYTES),
        at_most("memory, MiB, a key of 2 GB", giant["memory"], MEGABYTES),
    ]
