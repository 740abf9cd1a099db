"""The cache against its peers, with plain redis-py as the floor, on one server in one run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report import at_least, at_most, publish
from bench.venv import OURS, measure, python
from harness import servers

PEERS = ("aiocache", "cashews", "django_valkey")
ROUNDS = 3
"""The best of so many runs counts, for each side: other load on the machine only slows."""

CALLS = 6000


def run() -> None:
    """Run it all, less than a minute."""
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, servers.running(Path(folder)) as server:
        for _ in range(ROUNDS):
            for name in ("floor", "floor_async", "valkeykit", "valkeykit_async", *PEERS):
                program = python("cache") if name in PEERS else OURS
                found = measure(program, "peers/caches.py", name, server.url, str(CALLS))
                before = figures.get(name, found)
                figures[name] = {key: min(before[key], value) for key, value in found.items()}
        computed = measure(OURS, "peers/stampede.py", server.url)
    imported = min(measure(OURS, "peers/imported.py")["seconds"] for _ in range(ROUNDS))
    for name, times in figures.items():
        print(f"{name}: " + ", ".join(f"{key} {value * 1e6:,.0f} µs" for key, value in times.items()))
    rows = []
    for kind in ("get", "set"):
        peer = min(PEERS, key=lambda name: figures[name][kind])
        ours, floor = figures["valkeykit"][kind] * 1e6, figures["floor"][kind] * 1e6
        ours_async, floor_async = figures["valkeykit_async"][kind] * 1e6, figures["floor_async"][kind] * 1e6
        rows += [
            at_most(f"{kind}, µs, against plain redis-py", ours, 1.15, peer=floor, peer_name="redis-py"),
            at_most(f"{kind}, µs, asyncio", ours_async, 1.15, peer=floor_async, peer_name="redis-py"),
            at_least(f"{kind}s/s against the best peer", 1e6 / min(ours, ours_async),
                     1 / figures[peer][kind], peer, 1.0),
        ]  # fmt: skip
    rows.append(at_most("computations for 200 concurrent callers", computed["computed"], 1))
    rows.append(at_most("import valkeykit, ms", imported * 1000, 150))
    publish("cache", rows)
