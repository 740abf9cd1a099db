"""A failover of containers, and a command that is killed while it holds writers back."""

from __future__ import annotations

import contextlib
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeykit.connection import Client

from harness.docker import DeploymentHarness, make_spec, running
from harness.waiting import wait_until
from infra.drivers.docker import driver
from infra.drivers.topology import pause
from infra.drivers.topology.node_executor import info
from stackctl.availability_probe import AvailabilityProbe
from stackctl.stack import PROJECT


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path_factory.mktemp("replicated"), "replicated")) as made:
        yield made


def left(harness: DeploymentHarness, node: str) -> int:
    """Milliseconds until the node's pause ends."""
    return int(info(harness.deployment.executor, node, "clients")["paused_timeout_milliseconds"])


def wait_until_over(harness: DeploymentHarness, node: str) -> None:
    while (now := left(harness, node)) > 0:
        assert now <= pause.PAUSE_SECONDS * 1000
        time.sleep(0.05)


def test_a_failover_under_load_loses_nothing_and_leaves_no_pause(replicated: DeploymentHarness) -> None:
    first, fence = replicated.primary(), replicated.spec.plan.directives.get("min-replicas-to-write")
    with AvailabilityProbe(replicated.client, wait=0) as probe:
        assert probe.makes_progress(60)
        driver.fail_over(replicated.spec, replicated.known)
        assert probe.makes_progress(60)
    assert probe.lost() == []
    assert replicated.primary() != first
    assert fence is None or replicated.deployment.executor.run(first, "CONFIG", "GET", "min-replicas-to-write")[
        "min-replicas-to-write"
    ] == str(fence)
    wait_until_over(replicated, first)
    wait_until(lambda: all(problem.startswith("primaries: ") for problem in replicated.wrong()), 300)


_HOLD = """
import pickle, sys, time
from pathlib import Path
from infra.drivers.topology import pause
executor, node = pickle.loads(Path(sys.argv[1]).read_bytes())
with pause.hold_writes(executor, node) as held:
    print("held", flush=True)
    while True:
        time.sleep(0.1)
        if held.is_unbroken:
            print("unbroken", flush=True)
        else:  # a machine that is busy
            held.begin()
"""


def _is_written(client: Client) -> bool:
    try:
        return bool(client.set("key", "value"))
    except redis.ResponseError as error:
        if not str(error).startswith("NOREPLICAS"):  # on a busy machine the replicas' acknowledgements are late
            raise
        return False


def test_a_killed_commands_pause_ends_within_two_seconds(replicated: DeploymentHarness, tmp_path: Path) -> None:
    node, given = replicated.primary(), tmp_path / "given"
    given.write_bytes(pickle.dumps((replicated.deployment.executor, node)))
    command = [sys.executable, "-c", _HOLD, str(given)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            assert 0 < left(replicated, node) <= pause.PAUSE_SECONDS * 1000
            for _ in range(50):  # longer than one pause
                assert holder.stdout.readline() == "unbroken\n"
        finally:
            holder.send_signal(signal.SIGKILL)
    wait_until_over(replicated, node)
    with contextlib.closing(replicated.client()) as client:
        wait_until(lambda: _is_written(client), 300)
    executor = replicated.deployment.executor
    while "cmd=client|pause" in str(executor.run(node, "CLIENT", "LIST")):
        time.sleep(0.1)  # its valkey-cli ends with it
