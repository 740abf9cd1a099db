"""The queue against its peers, on one server: every figure of a table comes from the same run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.report import Row, at_least, at_most, publish
from bench.venv import OURS, measure, python
from harness import servers
from harness.servers import ServerProcess

PEERS = {
    "rq": 1000,
    "arq": 4000,
    "saq": 4000,
    "dramatiq": 5000,
    "celery": 3000,
    "taskiq": 5000,
    "streaq": 5000,
    "docket": 2000,
}
"""Jobs for each, so that none runs for much longer than three seconds."""

ROUNDS = 2
"""The best of so many runs counts, for each side: other load on the machine only slows."""

OURS_SCRIPT = "peers/valkeykit_peer.py"
PAYLOAD_BYTES = 108
"""Bytes that the job's arguments take as JSON."""


def run() -> None:
    """Run it all, some two minutes."""
    with tempfile.TemporaryDirectory() as folder, servers.running(Path(folder)) as server:
        rows = [*_speed(server), *_latency(server), *_million(server), *_listings(server)]
    publish("queue", rows)


def _speed(server: ServerProcess) -> list[Row]:
    ours: dict[str, float] = {}
    peers: dict[str, dict[str, Any]] = {}
    for _ in range(ROUNDS):
        for kind, jobs in (("sync", 30_000), ("async", 30_000), ("many", 100_000)):
            found = measure(OURS, OURS_SCRIPT, server.url, str(jobs), kind)
            for name, figure in found.items():
                better = min if name == "memory" else max
                key = f"{kind} {name}"
                ours[key] = better(ours.get(key, figure), figure)
        for name, jobs in PEERS.items():
            found = measure(python(name), f"peers/{name}_peer.py", server.url, str(jobs))
            before = peers.get(name, found)
            peers[name] = {key: max(before[key], value) for key, value in found.items()} | {
                "memory": min(before["memory"], found["memory"])
            }
    for name, figures in peers.items():
        print(f"{name}: " + ", ".join(f"{key} {value:,.0f}" for key, value in figures.items()))
    fastest = max(peers, key=lambda name: peers[name]["process"])
    quickest = max(peers, key=lambda name: peers[name]["enqueue"])
    smallest = min(peers, key=lambda name: peers[name]["memory"])
    return [
        at_least("jobs/s, functions", ours["sync process"], peers[fastest]["process"], fastest, 20),
        at_least("jobs/s, coroutines", ours["async process"], peers[fastest]["process"], fastest, 20),
        at_least("add/s", ours["sync enqueue"], peers[quickest]["enqueue"], quickest, 1.2),
        at_least("add_many jobs/s", ours["many enqueue"], peers[quickest]["enqueue"], quickest, 10),
        at_most("memory a waiting job, bytes / best peer's", ours["sync memory"], 1.0,
                peer=peers[smallest]["memory"], peer_name=smallest),
    ]  # fmt: skip


def _latency(server: ServerProcess) -> list[Row]:
    found = measure(OURS, "peers/latency.py", server.url, "400")
    return [
        at_most("add to start, p50, ms", found["p50"], 2),
        at_most("add to start, p99, ms", found["p99"], 10),
        at_most("commands/s of an idle worker", found["idle"], 2),
    ]


def _million(server: ServerProcess) -> list[Row]:
    """Each run has both figures within seconds; the run whose ratio is the median counts."""
    runs = [measure(OURS, "peers/million.py", server.url, "1000000", "100000") for _ in range(3)]
    median = sorted(runs, key=lambda run: run["among"] / run["alone"])[1]
    return [
        at_least("jobs/s with 1 million waiting / without", median["among"], median["alone"], "itself", 0.9),
        at_most("memory a job among 1 million, bytes", median["memory"], 1.5 * PAYLOAD_BYTES + 200),
    ]


def _listings(server: ServerProcess) -> list[Row]:
    """The slowest page of a listing in each state: no other client waits for long."""
    found = measure(OURS, "peers/listings.py", server.url, "1000000")
    return [
        at_most(f"server time of a page, 1 million {state}, ms", milliseconds, 5)
        for state, milliseconds in found.items()
    ]
