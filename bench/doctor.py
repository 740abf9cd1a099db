"""valkeykit doctor: how much of the error table it recognizes, its false alarms, its seconds; and what stats costs.

The endpoints are those of its tests, each a real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from valkeykit_ops.doctor.finding import NOTE
from valkeykit_ops.stats.reading import cpu_of

from bench.report import Row, at_least, at_most, publish
from harness.endpoints import cases, faulty, healthy, unhealthy
from harness.endpoints.cases import OpenEndpoint
from harness.servers import ServerProcess, running

WINDOW_SECONDS = 60.0
"""How long stats watches, while the server's CPU time is taken."""

KEYS = 10_000
HANGING = ("connect-timeout", "no-answer:silent", "no-answer:stopped", "no-answer:busy", "no-answer:tls", "too-slow")
"""Endpoints that make a client wait."""

MAX_COMMAND_SECONDS = 5.0
"""Seconds in which the command must end, Python's start with it."""


def run() -> None:
    """Run it all, some four minutes."""
    with tempfile.TemporaryDirectory() as name:
        rows = [
            _recognized(Path(name), faulty.TABLE_ROWS, "error table recognized, share"),
            _recognized(Path(name), unhealthy.OTHER_STATES, "states without an error recognized, share"),
            _false_alarms(Path(name)),
            _longest(Path(name)),
            _cost_of_stats(Path(name)),
        ]
    publish("doctor", rows)


def _recognized(folder: Path, endpoints: Mapping[str, OpenEndpoint], title: str) -> Row:
    right = 0
    for number, (name, endpoint) in enumerate(endpoints.items()):
        with endpoint(_place(folder, f"{title[:5]}-{number}")) as case:
            right += cases.finding_of(name) in {one.name for one in case.examine().findings}
    return at_least(title, right, len(endpoints), "all", 1.0)


def _false_alarms(folder: Path) -> Row:
    alarms = 0
    for number, (name, endpoint) in enumerate(healthy.ENDPOINTS.items()):
        with endpoint(_place(folder, f"healthy-{number}")) as case:
            found = case.examine().findings
        expected = healthy.EXPECTED_ALARMS.get(name, ())
        alarms += sum(one.severity != NOTE and one.name not in expected for one in found)
    return at_most(f"false alarms on {len(healthy.ENDPOINTS)} healthy endpoints", alarms, 0.0)


def _longest(folder: Path) -> Row:
    seconds = []
    for number, name in enumerate(HANGING):
        with unhealthy.OTHER_STATES[name](_place(folder, f"hanging-{number}")) as case:
            began = time.perf_counter()
            _valkeykit("doctor", case.url).wait()
            seconds.append(time.perf_counter() - began)
    return at_most("seconds until the command ends, at worst", max(seconds), MAX_COMMAND_SECONDS)


def _cost_of_stats(folder: Path) -> Row:
    """What the server spends while it is watched, less what it spends alone."""
    with running(folder / "watched", "--maxmemory", "300mb") as server:
        with closing(server.client()) as client:
            client.mset({f"key:{number}": "x" * 100 for number in range(KEYS)})
        alone = _spent(server)
        watching = _valkeykit("stats", server.url, "--seconds", str(WINDOW_SECONDS + 10))
        try:
            time.sleep(3)  # it has started, and found the nodes
            watched = _spent(server)
        finally:
            watching.kill()
            watching.wait()
    return at_most("stats, % of a core of the server's", (watched - alone) / WINDOW_SECONDS * 100, 0.5)


def _spent(server: ServerProcess) -> float:
    """Seconds of CPU time in WINDOW_SECONDS."""
    with closing(server.client()) as client:
        before = cpu_of(client.info("cpu"))
        time.sleep(WINDOW_SECONDS)
        return cpu_of(client.info("cpu")) - before


def _valkeykit(*arguments: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", "from valkeykit.cli import main; main()"]
    return subprocess.Popen(
        [*program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"NO_COLOR": "1"}
    )


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place
