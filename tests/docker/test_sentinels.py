"""Sentinels that lost what they knew: volumes lost or configurations cut, after the primary has changed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from valkeykit.endpoint import SERVICE

from harness.docker import DeploymentHarness, make_spec, running
from infra.drivers.docker import driver
from infra.drivers.docker.surviving_copies import SLACK_SECONDS
from infra.drivers.topology import replication
from infra.drivers.topology.node_executor import NodeAddress, wait_until
from tests.docker import stored
from tests.docker.stored import data_of, read, write
from tests.docker.test_frozen import signal

ELECTION_SECONDS = 300.0


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentHarness]:
    with running(make_spec(tmp_path_factory.mktemp("sentinels"), "replicated")) as made:
        yield made


@pytest.fixture
def primary(harness: DeploymentHarness) -> str:
    """A primary that is not the configured one."""
    if harness.primary() == "node-0":
        driver.fail_over(harness.spec, harness.known)
        harness.ensure()  # which records the roles
    assert harness.primary() != "node-0"
    return harness.primary()


def sentinels(harness: DeploymentHarness) -> list[str]:
    return [sentinel.name for sentinel in harness.deployment.plan.sentinels]


def nodes(harness: DeploymentHarness) -> list[str]:
    return [node.name for node in harness.deployment.plan.nodes]


def kill(harness: DeploymentHarness, *services: str) -> None:
    containers = [harness.deployment.container(service) for service in services]
    harness.spec.engine.docker("kill", *containers)
    harness.spec.engine.docker("wait", *containers)


def start(harness: DeploymentHarness, *services: str) -> None:
    harness.spec.engine.docker("start", *map(harness.deployment.container, services))


def lose_volumes(harness: DeploymentHarness, *services: str) -> None:
    harness.spec.engine.docker("rm", "--force", *map(harness.deployment.container, services))
    harness.spec.engine.docker("volume", "rm", *map(harness.deployment.volume, services))


def cut(harness: DeploymentHarness, *services: str) -> None:
    """Right after the line that names the primary: what Sentinel logs in with follows."""
    for service in services:
        file = data_of(harness, service) / "sentinel.conf"
        text = file.read_bytes()
        os.truncate(file, text.index(b"\n", text.index(b"sentinel monitor ")) + 1)


def named(harness: DeploymentHarness) -> set[NodeAddress | None]:
    deployment = harness.deployment
    return {
        replication.primary_by_sentinels(deployment.executor, [name], deployment.plan.nodes)
        for name in sentinels(harness)
    }


def member(harness: DeploymentHarness, name: str) -> NodeAddress:
    return next(node for node in harness.deployment.plan.nodes if node.name == name)


def last_seen(harness: DeploymentHarness, node: str) -> int:
    return int((data_of(harness, node) / "position").read_text().split()[8])


@pytest.mark.parametrize("count", [3, pytest.param(2, marks=pytest.mark.thorough)])
def test_lost_volumes_after_a_failover(harness: DeploymentHarness, primary: str, count: int) -> None:
    write(harness, f"{count} lost")
    lose_volumes(harness, *sentinels(harness)[:count])
    harness.ensure()
    harness.assert_healthy()
    assert (harness.primary(), named(harness)) == (primary, {member(harness, primary)})
    assert read(harness) == {f"{count} lost"}


@pytest.mark.thorough
def test_lost_volumes_while_the_primary_is_down(harness: DeploymentHarness, primary: str) -> None:
    """Its replicas are known without it, so that one of them is promoted."""
    write(harness, "down")
    kill(harness, primary)
    lose_volumes(harness, *sentinels(harness))
    harness.deployment.compose("up", "--detach", "--no-recreate", *sentinels(harness))
    others = [node for node in harness.deployment.plan.nodes if node.name != primary]
    executor = harness.deployment.executor
    wait_until(
        lambda: "master" in {replication.role(executor, node) for node in others}, ELECTION_SECONDS, "none is promoted"
    )
    harness.ensure()
    harness.assert_healthy()
    assert read(harness) == {"down"}


def test_everything_is_lost_but_the_data(harness: DeploymentHarness, primary: str) -> None:
    """A replica that missed the last writes is the configured primary; it waits until the latest one leads."""
    write(harness, "before")
    kill(harness, "node-0")
    with harness.client() as client:
        client.set("latest", "1")
        wait_until(lambda: bool(client.execute_command("WAIT", 1, 1000)), ELECTION_SECONDS, "no replica has it")
    seen = last_seen(harness, "node-0")
    wait_until(lambda: last_seen(harness, primary) > seen + 15, ELECTION_SECONDS, "no position is recorded")
    kill(harness, *(name for name in nodes(harness) if name != "node-0"), *sentinels(harness))
    lose_volumes(harness, *sentinels(harness))
    harness.ensure()
    harness.assert_healthy()
    assert harness.primary() != "node-0"
    with harness.client() as client:
        assert client.get("latest") == "1"
    assert read(harness) == {"before"}


def logged(harness: DeploymentHarness, text: str) -> list[str]:
    """The Sentinels whose log has it."""
    return [name for name in sentinels(harness) if text in harness.deployment.compose("logs", "--no-log-prefix", name)]


def test_a_primary_that_was_down_for_the_sentinels_alone_is_demoted_at_once(harness: DeploymentHarness) -> None:
    """They would make it a replica only after eight seconds, in which it accepts writes that are lost."""
    write(harness, "alone")
    executor, primary = harness.deployment.executor, member(harness, harness.primary())
    signal(harness, primary.name, "STOP")
    wait_until(lambda: named(harness).isdisjoint({primary, None}), ELECTION_SECONDS, "no other node is promoted")
    signal(harness, primary.name, "CONT")
    wait_until(lambda: replication.role(executor, primary) == "slave", ELECTION_SECONDS, "it is not demoted")
    wait_until(
        lambda: bool(logged(harness, f"demote-primary: {primary.address} ")), ELECTION_SECONDS, "the script was not run"
    )
    harness.ensure()
    leader = member(harness, harness.primary())
    executor.run(primary.name, "REPLICAOF", "NO", "ONE")
    assert f"now follows {leader.address}" in demote(harness, primary, leader)
    assert replication.role(executor, primary) == "slave"
    harness.ensure()
    executor.run(primary.name, "REPLICAOF", "NO", "ONE")
    assert "stays a primary" in demote(harness, leader, primary)
    assert replication.role(executor, leader) == "master"
    harness.ensure()
    assert read(harness) == {"alone"}


@pytest.mark.thorough
def test_a_primary_that_was_replaced_is_not_promoted_before_it_has_copied(harness: DeploymentHarness) -> None:
    """The other replica has later data, though it has just started: the former primary never reaches its successor."""
    executor, engine, old = harness.deployment.executor, harness.spec.engine, member(harness, harness.primary())
    signal(harness, old.name, "STOP")
    wait_until(lambda: named(harness).isdisjoint({old, None}), ELECTION_SECONDS, "no other node is promoted")
    successor = member(harness, harness.primary())
    (replica,) = [node for node in harness.deployment.plan.nodes if node not in {old, successor}]
    write(harness, "later", [successor, replica])
    with unreachable(harness, old, successor):
        signal(harness, old.name, "CONT")
        wait_until(lambda: priorities(harness, old) == {0}, ELECTION_SECONDS, "it can be promoted")
        signal(harness, successor.name, "STOP")
        kill(harness, replica.name)
        engine.docker("start", harness.deployment.container(replica.name))
        wait_until(lambda: named(harness) == {replica}, ELECTION_SECONDS, "the replica is not promoted")
    signal(harness, successor.name, "CONT")
    wait_until(lambda: replication.role(executor, successor) == "slave", ELECTION_SECONDS, "it is not demoted")
    harness.ensure()
    harness.assert_healthy()
    assert read(harness) == {"later"}


@pytest.mark.thorough
def test_a_replica_that_starts_alone_with_older_data_is_not_promoted(harness: DeploymentHarness) -> None:
    """The other nodes, which are down, have later data. If they lose them, the replica has the latest."""
    write(harness, "older")
    stale, *others = _start_alone(harness, "later")
    start(harness, *others)
    harness.ensure()
    harness.assert_healthy()
    assert read(harness) == {"later"}
    stale, *others = _start_alone(harness, "lost")
    lose_volumes(harness, *others)
    harness.ensure()
    harness.assert_healthy()
    assert (harness.primary(), read(harness)) == (stale, {"later"})


def _start_alone(harness: DeploymentHarness, value: str) -> list[str]:
    """Start a replica alone that was down while this value was written; returns its name, and those of the others."""
    primary = harness.primary()
    stale, other = [name for name in nodes(harness) if name != primary]
    kill(harness, stale)
    wait_until(lambda: time.time() - last_seen(harness, stale) > SLACK_SECONDS + 5, ELECTION_SECONDS, "time stands")
    write(harness, value, [member(harness, primary), member(harness, other)])
    kill(harness, primary, other)
    start(harness, stale)
    wait_until(lambda: priorities(harness, member(harness, stale)) == {0}, ELECTION_SECONDS, "it can be promoted")
    return [stale, primary, other]


@contextmanager
def unreachable(harness: DeploymentHarness, node: NodeAddress, other: NodeAddress) -> Iterator[None]:
    """For a node alone; the Sentinels reach both."""
    container = harness.deployment.container(node.name)
    process = harness.spec.engine.docker("inspect", "--format", "{{.State.Pid}}", container).strip()
    route = ["nsenter", "--target", process, "--net", "ip", "route"]
    subprocess.run([*route, "add", "blackhole", f"{other.host}/32"], check=True)
    try:
        yield
    finally:
        subprocess.run([*route, "delete", "blackhole", f"{other.host}/32"], check=True)


def priorities(harness: DeploymentHarness, node: NodeAddress) -> set[int]:
    """As the Sentinels know them."""
    answers = [harness.deployment.executor.run(name, "SENTINEL", "REPLICAS", SERVICE) for name in sentinels(harness)]
    replicas = [replica for answer in answers for replica in answer]
    return {int(one["slave-priority"]) for one in replicas if one["port"] == str(node.port)}


def demote(harness: DeploymentHarness, old: NodeAddress, new: NodeAddress) -> str:
    """What the script reports that a Sentinel runs."""
    script = ["sh", "/etc/valkey/bin/demote-primary", "valkey", "leader", "start"]
    container = harness.deployment.container(sentinels(harness)[0])
    return harness.spec.engine.docker("exec", container, *script, old.host, str(old.port), new.host, str(new.port))


@pytest.mark.thorough
@pytest.mark.usefixtures("primary")
def test_everything_restarts_and_two_volumes_are_lost(harness: DeploymentHarness) -> None:
    write(harness, "restart")
    kill(harness, *nodes(harness), *sentinels(harness))
    lose_volumes(harness, *sentinels(harness)[:2])
    harness.ensure()
    harness.assert_healthy()
    assert read(harness) == {"restart"}


def test_a_configuration_that_is_cut_is_set_aside(harness: DeploymentHarness, primary: str) -> None:
    kill(harness, *sentinels(harness)[:2])
    cut(harness, *sentinels(harness)[:2])
    start(harness, *sentinels(harness)[:2])
    harness.assert_healthy()
    for name in sentinels(harness)[:2]:
        assert list(data_of(harness, name).glob("sentinel.conf.damaged-*"))
    assert (harness.primary(), named(harness)) == (primary, {member(harness, primary)})


def test_make_up_repairs_sentinels_that_run_without_a_login(harness: DeploymentHarness, primary: str) -> None:
    """As one of an earlier release does whose configuration was cut."""
    executor = harness.deployment.executor
    for name in sentinels(harness)[:2]:
        replication.monitor(executor, name, member(harness, primary), 3)
        executor.run(name, "SENTINEL", "CONFIG", "SET", "sentinel-user", "")
    assert harness.wrong()
    harness.ensure()
    harness.assert_healthy()


def test_make_up_repairs_sentinels_that_name_a_replica(harness: DeploymentHarness, primary: str) -> None:
    """As those of an earlier release do that lost their volumes after a failover."""
    executor = harness.deployment.executor
    write(harness, "named")
    for name in sentinels(harness):  # all of them before one monitors another node, or they correct each other
        executor.run(name, "SENTINEL", "REMOVE", SERVICE)
    for name in sentinels(harness):
        replication.monitor(executor, name, member(harness, "node-0"), 3)
    expected = f"the Sentinels report node-0 as the primary, but it is a replica of {primary}"
    wait_until(lambda: harness.wrong() == [expected], ELECTION_SECONDS, "another problem is reported")
    executor.run(sentinels(harness)[2], "SENTINEL", "REMOVE", SERVICE)  # a repair that was interrupted
    harness.ensure()
    harness.assert_healthy()
    assert (harness.primary(), named(harness)) == (primary, {member(harness, primary)})
    assert not replication.without_script(executor, sentinels(harness))
    assert read(harness) == {"named"}


def test_a_node_that_was_killed_is_stopped(harness: DeploymentHarness) -> None:
    name = stored.stop_one(harness, "replica")
    wait_until(lambda: harness.wrong() == [f"{name}: it is stopped"], ELECTION_SECONDS, "another problem is reported")
    kill(harness, "sentinel-0")
    both = {f"{name}: it is stopped", "sentinel-0: it is stopped"}
    wait_until(lambda: set(harness.wrong()) == both, ELECTION_SECONDS, "another problem is reported")
    harness.ensure()
    harness.assert_healthy()
