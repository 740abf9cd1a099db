"""The docker target: how long a deployment takes to be proven, how long writes pause, what a rotation costs.

Needs a Docker engine and the images that tests/docker/prepare makes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from bench.report import Row, at_most, publish
from harness.docker import DeploymentHarness, make_spec, new_secrets, running
from infra.hardening import Topology
from stackctl.availability_probe import AvailabilityProbe
from stackctl.stack import PROJECT

UP_GOALS: dict[Topology, float] = {"single": 15, "replicated": 30, "cluster": 40}
MAX_PAUSE_SECONDS = 10.0

WRITERS = 4


def run() -> None:
    """About three minutes."""
    rows: list[Row] = []
    for topology, goal in UP_GOALS.items():
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            with running(make_spec(Path(folder), topology)) as harness:
                _smoke(harness)
                rows.append(at_most(f"{topology}: nothing to smoke-tested, s", time.perf_counter() - begin, goal))
                rows.append(_rotation(harness, topology))
                if topology != "single":
                    rows.append(_pause(harness, topology))
    publish("docker", rows)


def _smoke(harness: DeploymentHarness) -> None:
    passwords = harness.spec.secrets.passwords
    urls = {name: harness.endpoint.url(name, passwords[name]) for name in ("app", "admin", "monitor")}
    environment = {**harness.endpoint.variables(urls["app"]), "PATH": "/usr/bin:/bin"}
    environment |= {"VALKEY_ADMIN_URL": urls["admin"], "VALKEY_MONITOR_URL": urls["monitor"]}
    command = [sys.executable, "-m", "pytest", "tests/smoke", "-q", "--tb=no"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)


def _rotation(harness: DeploymentHarness, topology: str) -> Row:
    """Failed requests of both steps, with as many a second as the goal names at least in sum."""
    old = harness.spec.secrets
    new = replace(new_secrets(["unused"], harness.spec.plan.users), certificate=old.certificate, ca=old.ca)
    begin = time.perf_counter()
    writers = [AvailabilityProbe(harness.client) for _ in range(WRITERS)]
    with writers[0], writers[1], writers[2], writers[3]:
        harness.ensure(secrets=replace(new, previous=old.passwords, login=old.passwords["admin"]))
    failed = sum(len(writer.failed) for writer in writers)
    rate = sum(writer.acknowledged for writer in writers) / (time.perf_counter() - begin)
    others = [AvailabilityProbe(harness.client) for _ in range(WRITERS)]
    with others[0], others[1], others[2], others[3]:
        harness.ensure(secrets=new)
    failed += sum(len(writer.failed) for writer in others)
    return at_most(f"{topology}: failed requests of a rotation at {rate:,.0f}/s", failed, 0)


def _pause(harness: DeploymentHarness, topology: str) -> Row:
    """The longest time without an acknowledged write after a primary was killed."""
    victim = harness.primary()
    with AvailabilityProbe(harness.client) as writer:
        time.sleep(1)
        harness.spec.engine.docker("kill", harness.deployment.container(victim))
        threading.Event().wait(MAX_PAUSE_SECONDS + 2)
    return at_most(
        f"{topology}: without writes after a primary was killed, s", writer.longest_outage_seconds, MAX_PAUSE_SECONDS
    )
