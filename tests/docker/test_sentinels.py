"""Sentinels that lost what they knew: volumes lost or configurations cut, after the primary has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from valkeykit.endpoint import SERVICE

from harness.docker import Bed, make_spec, running
from infra.drivers.docker import driver
from infra.drivers.topology import replication
from infra.drivers.topology.executor import NodeAddress, wait_until
from tests.docker import stored
from tests.docker.stored import data_of, read, write
from tests.docker.test_frozen import signal

LONG = 300.0


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running(make_spec(tmp_path_factory.mktemp("sentinels"), "replicated")) as made:
        yield made


@pytest.fixture
def primary(bed: Bed) -> str:
    """A primary that is not the configured one."""
    if bed.primary() == "node-0":
        driver.fail_over(bed.spec, bed.known)
        bed.ensure()  # which records the roles
    assert bed.primary() != "node-0"
    return bed.primary()


def sentinels(bed: Bed) -> list[str]:
    return [sentinel.name for sentinel in bed.deployment.plan.sentinels]


def nodes(bed: Bed) -> list[str]:
    return [node.name for node in bed.deployment.plan.nodes]


def kill(bed: Bed, *services: str) -> None:
    containers = [bed.deployment.container(service) for service in services]
    bed.spec.engine.docker("kill", *containers)
    bed.spec.engine.docker("wait", *containers)


def start(bed: Bed, *services: str) -> None:
    bed.spec.engine.docker("start", *map(bed.deployment.container, services))


def lose_volumes(bed: Bed, *services: str) -> None:
    bed.spec.engine.docker("rm", "--force", *map(bed.deployment.container, services))
    bed.spec.engine.docker("volume", "rm", *map(bed.deployment.volume, services))


def cut(bed: Bed, *services: str) -> None:
    """Right after the line that names the primary: what Sentinel logs in with follows."""
    for service in services:
        file = data_of(bed, service) / "sentinel.conf"
        text = file.read_bytes()
        os.truncate(file, text.index(b"\n", text.index(b"sentinel monitor ")) + 1)


def named(bed: Bed) -> set[NodeAddress | None]:
    deployment = bed.deployment
    return {
        replication.primary_by_sentinels(deployment.executor, [name], deployment.plan.nodes) for name in sentinels(bed)
    }


def member(bed: Bed, name: str) -> NodeAddress:
    return next(node for node in bed.deployment.plan.nodes if node.name == name)


def last_seen(bed: Bed, node: str) -> int:
    return int((data_of(bed, node) / "position").read_text().split()[8])


def wait_until_healthy(bed: Bed) -> None:
    wait_until(lambda: not bed.wrong(), LONG, "it does not recover")


@pytest.mark.parametrize("count", [3, pytest.param(2, marks=pytest.mark.thorough)])
def test_lost_volumes_after_a_failover(bed: Bed, primary: str, count: int) -> None:
    write(bed, f"{count} lost")
    lose_volumes(bed, *sentinels(bed)[:count])
    bed.ensure()
    assert not bed.wrong()
    assert (bed.primary(), named(bed)) == (primary, {member(bed, primary)})
    assert read(bed) == {f"{count} lost"}


def test_lost_volumes_while_the_primary_is_down(bed: Bed, primary: str) -> None:
    """Its replicas are known without it, so that one of them is promoted."""
    write(bed, "down")
    kill(bed, primary)
    lose_volumes(bed, *sentinels(bed))
    bed.deployment.compose("up", "--detach", "--no-recreate", *sentinels(bed))
    others = [node for node in bed.deployment.plan.nodes if node.name != primary]
    executor = bed.deployment.executor
    wait_until(lambda: "master" in {replication.role(executor, node) for node in others}, LONG, "none is promoted")
    bed.ensure()
    assert not bed.wrong()
    assert read(bed) == {"down"}


def test_everything_is_lost_but_the_data(bed: Bed, primary: str) -> None:
    """A replica that missed the last writes is the configured primary; it waits until the latest one leads."""
    write(bed, "before")
    kill(bed, "node-0")
    with bed.client() as client:
        client.set("latest", "1")
        wait_until(lambda: bool(client.execute_command("WAIT", 1, 1000)), LONG, "no replica has it")
    seen = last_seen(bed, "node-0")
    wait_until(lambda: last_seen(bed, primary) > seen + 15, LONG, "no position is recorded")
    kill(bed, *(name for name in nodes(bed) if name != "node-0"), *sentinels(bed))
    lose_volumes(bed, *sentinels(bed))
    bed.ensure()
    assert not bed.wrong()
    assert bed.primary() != "node-0"
    with bed.client() as client:
        assert client.get("latest") == "1"
    assert read(bed) == {"before"}


def logged(bed: Bed, text: str) -> list[str]:
    """The Sentinels whose log has it."""
    return [name for name in sentinels(bed) if text in bed.deployment.compose("logs", "--no-log-prefix", name)]


def test_a_primary_that_was_down_for_the_sentinels_alone_is_demoted_at_once(bed: Bed) -> None:
    """They would make it a replica only after eight seconds, in which it accepts writes that are lost."""
    write(bed, "alone")
    executor, primary = bed.deployment.executor, member(bed, bed.primary())
    signal(bed, primary.name, "STOP")
    wait_until(lambda: named(bed).isdisjoint({primary, None}), LONG, "no other node is promoted")
    signal(bed, primary.name, "CONT")
    wait_until(lambda: replication.role(executor, primary) == "slave", LONG, "it is not demoted")
    wait_until(lambda: bool(logged(bed, f"demote-primary: {primary.address} ")), LONG, "the script was not run")
    bed.ensure()
    leader = member(bed, bed.primary())
    executor.run(primary.name, "REPLICAOF", "NO", "ONE")
    assert f"now follows {leader.address}" in demote(bed, primary, leader)
    assert replication.role(executor, primary) == "slave"
    bed.ensure()
    executor.run(primary.name, "REPLICAOF", "NO", "ONE")
    assert "stays a primary" in demote(bed, leader, primary)
    assert replication.role(executor, leader) == "master"
    bed.ensure()
    assert read(bed) == {"alone"}


def demote(bed: Bed, old: NodeAddress, new: NodeAddress) -> str:
    """What the script reports that a Sentinel runs."""
    script = ["sh", "/etc/valkey/bin/demote-primary", "valkey", "leader", "start"]
    container = bed.deployment.container(sentinels(bed)[0])
    return bed.spec.engine.docker("exec", container, *script, old.host, str(old.port), new.host, str(new.port))


@pytest.mark.thorough
@pytest.mark.usefixtures("primary")
def test_everything_restarts_and_two_volumes_are_lost(bed: Bed) -> None:
    write(bed, "restart")
    kill(bed, *nodes(bed), *sentinels(bed))
    lose_volumes(bed, *sentinels(bed)[:2])
    bed.ensure()
    assert not bed.wrong()
    assert read(bed) == {"restart"}


def test_a_configuration_that_is_cut_is_set_aside(bed: Bed, primary: str) -> None:
    kill(bed, *sentinels(bed)[:2])
    cut(bed, *sentinels(bed)[:2])
    start(bed, *sentinels(bed)[:2])
    wait_until_healthy(bed)
    for name in sentinels(bed)[:2]:
        assert list(data_of(bed, name).glob("sentinel.conf.damaged-*"))
    assert (bed.primary(), named(bed)) == (primary, {member(bed, primary)})


def test_make_up_repairs_sentinels_that_run_without_a_login(bed: Bed, primary: str) -> None:
    """As one of an earlier release does whose configuration was cut."""
    executor = bed.deployment.executor
    for name in sentinels(bed)[:2]:
        replication.monitor(executor, name, member(bed, primary), 3)
        executor.run(name, "SENTINEL", "CONFIG", "SET", "sentinel-user", "")
    assert bed.wrong()
    bed.ensure()
    assert not bed.wrong()


def test_make_up_repairs_sentinels_that_name_a_replica(bed: Bed, primary: str) -> None:
    """As those of an earlier release do that lost their volumes after a failover."""
    executor = bed.deployment.executor
    write(bed, "named")
    for name in sentinels(bed):  # all of them before one monitors another node, or they correct each other
        executor.run(name, "SENTINEL", "REMOVE", SERVICE)
    for name in sentinels(bed):
        replication.monitor(executor, name, member(bed, "node-0"), 3)
    assert bed.wrong() == [f"the Sentinels report node-0 as the primary, but it is a replica of {primary}"]
    executor.run(sentinels(bed)[2], "SENTINEL", "REMOVE", SERVICE)  # a repair that was interrupted
    bed.ensure()
    assert not bed.wrong()
    assert (bed.primary(), named(bed)) == (primary, {member(bed, primary)})
    assert read(bed) == {"named"}


def test_a_node_that_was_killed_is_stopped(bed: Bed) -> None:
    name = stored.stop_one(bed, "replica")
    assert bed.wrong() == [f"{name}: it is stopped"]
    kill(bed, "sentinel-0")
    assert set(bed.wrong()) == {f"{name}: it is stopped", "sentinel-0: it is stopped"}
    bed.ensure()
    assert not bed.wrong()
