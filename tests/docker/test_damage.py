"""One node comes back damaged while applications write: nothing is lost that another node has.

ROUNDS says how often each of the known losses is tried, and how many cases of the whole matrix are, in a fixed order.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from harness.docker import DeploymentHarness, make_spec, running
from infra.drivers.topology.node_executor import info, wait_until
from infra.hardening import Topology
from tests.docker import damage
from tests.docker.damage import ANY, OF_CLUSTER
from tests.docker.stored import direct, states
from tests.docker.test_repair import rewrite
from tests.docker.totals import ROUNDS, totals
from tests.support.traffic import Traffic, newest

MAKE_UP_EVERY = 5
"""Rounds; in between only the servers themselves are looked at."""

CUT_OFF_SECONDS = 20.0
"""Sentinels wait 3 s, the nodes of a cluster 5 s."""

Role = Literal["primary", "replica"]
Return = Literal["at_once", "late", "by_make_up"]
"""By the engine's restart policy; by `docker start` after the others have reacted; after `docker rm`, by `make up`."""

KNOWN_LOSSES = [
    ("replicated", "empty", "primary", "at_once"),
    ("replicated", "cut_append_only_file", "primary", "at_once"),
    pytest.param("replicated", "lose_manifest", "primary", "at_once", marks=pytest.mark.thorough),
    pytest.param("cluster", "cut_append_only_file", "primary", "at_once", marks=pytest.mark.thorough),
    ("cluster", "empty", "primary", "at_once"),
    pytest.param("cluster", "empty", "primary", "late", marks=pytest.mark.thorough),
    ("cluster", "empty", "primary", "by_make_up"),
    ("cluster", "empty_nodes_conf", "replica", "late"),
    ("cluster", "empty_base_file", "primary", "at_once"),
    *(
        pytest.param(topology, kind, "primary", comes_back, marks=pytest.mark.thorough)
        for topology, kind, comes_back in (
            ("replicated", "empty_base_file", "at_once"),
            ("replicated", "drop_base_line", "at_once"),
            ("cluster", "cut_what_was_not_durable", "at_once"),
            ("cluster", "take_other_nodes_conf", "late"),
        )
    ),
]
ROLES: tuple[Role, ...] = ("primary", "replica")
RETURNS: tuple[Return, ...] = ("at_once", "late", "by_make_up")
MATRIX: dict[Topology, list[tuple[str, Role, Return]]] = {
    "replicated": list(itertools.product(ANY, ROLES, RETURNS)),
    "cluster": list(itertools.product(OF_CLUSTER, ROLES, RETURNS)),
}


@pytest.fixture(scope="module")
def harness_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Topology], DeploymentHarness]]:
    """The deployment of a topology, created at its first use."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def create(topology: Topology) -> DeploymentHarness:
            return stack.enter_context(running(make_spec(tmp_path_factory.mktemp(topology), topology)))

        yield create


@pytest.mark.parametrize(("topology", "kind", "role", "comes_back"), KNOWN_LOSSES)
def test_nothing_is_lost(
    harness_of: Callable[[Topology], DeploymentHarness], topology: Topology, kind: str, role: Role, comes_back: Return
) -> None:
    for number in range(ROUNDS):
        _round(harness_of(topology), kind, role, comes_back, make_up=number % MAKE_UP_EVERY == 0)


@pytest.mark.thorough
@pytest.mark.parametrize("topology", MATRIX)
def test_nothing_is_lost_whatever_happens(
    harness_of: Callable[[Topology], DeploymentHarness], topology: Topology
) -> None:
    cases = random.Random(16).sample(MATRIX[topology], len(MATRIX[topology]))
    for case in itertools.islice(itertools.cycle(cases), ROUNDS):
        _round(harness_of(topology), *case, make_up=True)


@pytest.mark.thorough
@pytest.mark.parametrize("topology", MATRIX)
def test_a_partition_loses_nothing(harness_of: Callable[[Topology], DeploymentHarness], topology: Topology) -> None:
    """A primary is cut off from the network, for longer than the others wait, and connected again."""
    harness = harness_of(topology)
    with Traffic(harness.client, wait=1) as confirmed, Traffic(harness.client, wait=0) as hasty:
        confirmed.wait_for(50)
        hasty.wait_for(200)
        victim = harness.primary()
        container, network = harness.deployment.container(victim), f"{harness.spec.plan.project}_default"
        (address,) = (node.host for node in harness.deployment.plan.nodes if node.name == victim)
        harness.spec.engine.docker("network", "disconnect", network, container)  # its published port is gone too
        began = time.monotonic()
        sent, held = dict(hasty.acknowledged), _held_by_others(harness, hasty, victim)
        wait_until(lambda: len(_primaries(harness, victim)) == harness.spec.plan.shards, 300, "no failover")
        hasty.wait_for(200)
        time.sleep(max(0.0, began + CUT_OFF_SECONDS - time.monotonic()))
        harness.spec.engine.docker("network", "connect", "--ip", address, network, container)
        _wait_until_healthy(harness)
        confirmed.wait_for(50)
        hasty.wait_for(50)
    harness.ensure()
    harness.assert_healthy()
    required = {key: min(number, held.get(key, -1)) for key, number in sent.items()}
    lost = {**confirmed.lost(confirmed.acknowledged), **hasty.lost(required)}
    totals.add(f"{topology} primary, cut off for {CUT_OFF_SECONDS:.0f} s", confirmed.count, hasty.count, len(lost))
    assert not lost
    confirmed.forget()
    hasty.forget()


def _primaries(harness: DeploymentHarness, victim: str) -> list[str]:
    """Those of the other nodes that are primaries."""
    executor, others = harness.deployment.executor, [node.name for node in harness.deployment.plan.nodes]
    return [name for name in others if name != victim and info(executor, name, "replication")["role"] == "master"]


def _round(harness: DeploymentHarness, kind: str, role: Role, comes_back: Return, *, make_up: bool) -> None:
    kept = _fill_base_files(harness) if "base" in kind else []
    with contextlib.ExitStack() as traffic:
        confirmed = traffic.enter_context(Traffic(harness.client, wait=1))
        hasty = traffic.enter_context(Traffic(harness.client, wait=0))
        confirmed.wait_for(50)
        hasty.wait_for(200)
        time.sleep(2.5)  # much of it is on the disk by then
        victim = _victim(harness, role)
        _stop(harness, victim, comes_back)
        sent, held = dict(hasty.acknowledged), _held_by_others(harness, hasty, victim)
        _damage(harness, victim, kind, comes_back)
        _bring_back(harness, victim, comes_back)
        if comes_back != "by_make_up":
            _wait_until_healthy(harness)
        confirmed.wait_for(20)
        hasty.wait_for(20)
    if make_up:
        began = time.monotonic()
        harness.ensure()
        totals.longest_make_up = max(totals.longest_make_up, time.monotonic() - began)
        harness.assert_healthy()
    # Without WAIT the others need not have had the last writes.
    required = {key: min(number, held.get(key, -1)) for key, number in sent.items()}
    lost = {**confirmed.lost(confirmed.acknowledged), **hasty.lost(required)}
    with harness.client() as client:
        lost |= {key: (0, -1) for key in kept if client.get(key) is None}
    case = f"{harness.spec.plan.topology} {role}, {kind}, back {comes_back}"
    totals.add(case, confirmed.count, hasty.count, len(lost))
    assert not lost, case
    confirmed.forget()
    hasty.forget()


def _fill_base_files(harness: DeploymentHarness) -> list[str]:
    """Write keys that are in the base files alone, on every node."""
    keys = [f"kept:{number}" for number in range(100)]
    with harness.client() as client:
        for key in keys:
            client.set(key, "x")
    for node in harness.deployment.plan.nodes:
        rewrite(harness, node.name)
    return keys


def _victim(harness: DeploymentHarness, role: Role) -> str:
    return random.choice(
        [name for name, state in states(harness).items() if (state["role"] == "master") == (role == "primary")]
    )


def _stop(harness: DeploymentHarness, victim: str, comes_back: Return) -> None:
    """Killed; or, where the restart policy would start it at once, stopped until its files are damaged."""
    container = harness.deployment.container(victim)
    if comes_back == "at_once":
        for line in harness.spec.engine.docker("top", container, "-eo", "pid,comm").splitlines():
            pid, program = line.split(maxsplit=1)
            if program == "valkey-server":
                os.kill(int(pid), signal.SIGSTOP)
    else:
        harness.spec.engine.docker("kill", container)
        harness.spec.engine.docker("wait", container)


def _damage(harness: DeploymentHarness, victim: str, kind: str, comes_back: Return) -> None:
    volume = harness.deployment.volume(victim)
    if comes_back == "by_make_up":
        harness.spec.engine.docker("rm", "--force", harness.deployment.container(victim))
        if kind == "empty":
            harness.spec.engine.docker("volume", "rm", volume)
            return
    OF_CLUSTER[kind](damage.volume(harness.spec.engine, volume))


def _bring_back(harness: DeploymentHarness, victim: str, comes_back: Return) -> None:
    if comes_back == "at_once":
        os.kill(harness.container(victim)["State"]["Pid"], signal.SIGKILL)
    elif comes_back == "late":
        time.sleep(8)  # longer than Sentinels and the nodes of a cluster wait
        harness.spec.engine.docker("start", harness.deployment.container(victim))
    else:
        harness.ensure()


def _held_by_others(harness: DeploymentHarness, traffic: Traffic, victim: str) -> dict[str, int]:
    """The newest value of each key that any other node has."""
    held = []
    for node in harness.deployment.plan.nodes:
        if node.name == victim:
            continue
        with direct(harness, node) as client:
            if harness.spec.plan.topology == "cluster":
                client.execute_command("READONLY")
            held.append(traffic.values(client))
    return newest(held)


def _wait_until_healthy(harness: DeploymentHarness) -> None:
    def healthy() -> bool:
        known = states(harness)
        followers = [state for state in known.values() if state["role"] == "slave"]
        whole = all(state.get("cluster_state", "ok") == "ok" for state in known.values())
        met = {int(state.get("cluster_known_nodes", len(known))) for state in known.values()} == {len(known)}
        plan = harness.spec.plan
        together = len(followers) == plan.shards * plan.replicas
        return whole and met and together and all(state["master_link_status"] == "up" for state in followers)

    wait_until(healthy, 300, "the nodes don't come back together")
