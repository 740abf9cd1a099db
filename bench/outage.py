"""All nodes of a group killed at once: how long writes pause, compared with the servers' own failure detection.

Needs a Docker engine on this machine, root, and the images that tests/docker/prepare makes.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from valkeykit.error_translation import REDIS_ERRORS
from valkeykit.errors import ValkeykitError

from bench.report import Row, at_most, publish
from harness.docker import DeploymentHarness, make_spec, running
from infra.drivers.topology.replication import DOWN_AFTER_MILLISECONDS
from infra.hardening import Topology, topology_directives

DETECTION: dict[Topology, tuple[str, float]] = {
    "replicated": ("down-after", DOWN_AFTER_MILLISECONDS / 1000),
    "cluster": ("node timeout", int(topology_directives("cluster", 1)["cluster-node-timeout"]) / 1000),
}
"""The setting after which the other members fail over, and its seconds."""

MAX_PAUSE_SECONDS = 12.5
"""Half of the shortest pause of a busy machine before waiting nodes became cheap."""

ROUNDS = 3

KEYS = ("a", "b", "c")
"""In a cluster of three shards, each has one of them."""

OBSERVED_SECONDS = 45
LIMIT_SECONDS = 300


def run() -> None:
    """About seven minutes."""
    publish("outage", [_row(topology) for topology in DETECTION])


def _row(topology: Topology) -> Row:
    """The longest pause of all rounds, with the load average at that time."""
    setting, seconds = DETECTION[topology]
    with tempfile.TemporaryDirectory() as folder, running(make_spec(Path(folder), topology)) as harness:
        pause, load = max(_round(harness) for _ in range(ROUNDS))
    name = f"{topology}: without writes after all nodes were killed, load {load:.0f}, s"
    return at_most(name, pause, round(MAX_PAUSE_SECONDS / seconds, 1), peer=seconds, peer_name=setting)


def _round(harness: DeploymentHarness) -> tuple[float, float]:
    harness.assert_healthy()
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        pauses = [pool.submit(_longest_pause, harness, key, stop) for key in KEYS]
        time.sleep(2)
        load, _, _ = os.getloadavg()
        processes = [harness.container(node.name)["State"]["Pid"] for node in harness.deployment.plan.nodes]
        for process in processes:
            os.kill(process, signal.SIGKILL)
        time.sleep(OBSERVED_SECONDS)
        stop.set()
        return max(pause.result() for pause in pauses), load


def _longest_pause(harness: DeploymentHarness, key: str, stop: threading.Event) -> float:
    """The longest time between two acknowledged writes; the last one is after `stop`."""
    longest, last = 0.0, time.monotonic()
    with harness.client() as client:
        while True:
            is_last = stop.is_set()
            acknowledged = True
            try:
                client.set(key, "x")
            except (*REDIS_ERRORS, ValkeykitError):
                acknowledged = False
            now = time.monotonic()
            longest = max(longest, now - last)
            if (acknowledged and is_last) or longest > LIMIT_SECONDS:
                return longest
            last = now if acknowledged else last
            time.sleep(0.02)
