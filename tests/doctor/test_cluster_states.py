"""What the doctor reports about a cluster: slots that are being moved, failed nodes, slots without a primary."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from valkeykit.url import Node
from valkeykit_ops.cluster_nodes import parse_members
from valkeykit_ops.doctor import examination, target
from valkeykit_ops.doctor.finding import NOTE, PROBLEM, WARNING, DoctorReport, Finding

from harness import servers
from harness.ports import HOST
from harness.servers import ServerProcess
from harness.waiting import wait_until
from tests.support import fixes

Nodes = list[ServerProcess]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three primaries and their replicas. The tests run in order, and each leaves a healthy cluster."""
    with servers.cluster(tmp_path_factory.mktemp("cluster"), 3, 1) as made:
        for node in made:
            configure(node)
        yield made


def configure(node: ServerProcess) -> None:
    """Also after a restart, which forgets it."""
    command(node, "CONFIG", "SET", "maxmemory", "300mb")
    command(node, "CONFIG", "SET", "cluster-require-full-coverage", "no")


def command(node: ServerProcess, *words: str) -> Any:
    with closing(node.client()) as client:
        return client.execute_command(*words)


def examine(node: ServerProcess) -> DoctorReport:
    return examination.examine(target.of_url(f"valkey+cluster://{HOST}:{node.port}"))


def named(report: DoctorReport, name: str) -> list[Finding]:
    return [one for one in report.findings if one.name == name]


def alarms(report: DoctorReport) -> set[str]:
    return {one.name for one in report.findings if one.severity != NOTE}


def has_failed(observer: ServerProcess, *failed: ServerProcess) -> Callable[[], bool]:
    ports = {node.port for node in failed}

    def check() -> bool:
        with closing(observer.client()) as client:
            connection = client.connection_pool.get_connection()
            connection.send_command("CLUSTER", "NODES")
            members = parse_members(connection.read_response(), Node(HOST, observer.port))
            connection.disconnect()
        return {one.node.port for one in members if one.has_failed} == ports

    return check


def test_a_move_of_a_slot_that_did_not_finish(nodes: Nodes, tmp_path: Path) -> None:
    first, second = nodes[:2]
    command(second, "CLUSTER", "SETSLOT", "5", "IMPORTING", command(first, "CLUSTER", "MYID"))
    command(first, "CLUSTER", "SETSLOT", "5", "MIGRATING", command(second, "CLUSTER", "MYID"))
    [finding] = named(examine(nodes[2]), "open-slot")
    assert (finding.severity, finding.what) == (WARNING, "slots are being moved: 5")
    assert set(finding.node.split(", ")) == {f"{HOST}:{node.port}" for node in (first, second)}
    assert finding.fix.count("SETSLOT 5 STABLE") == 2
    fixes.run(finding.fix, tmp_path)
    assert not alarms(examine(nodes[2]))


def test_a_move_of_a_slot_whose_keys_have_all_moved(nodes: Nodes, tmp_path: Path) -> None:
    """It is completed, since cancelling it would hide the keys."""
    owner, other = nodes[:2]
    slot = int(command(owner, "CLUSTER", "KEYSLOT", "bar"))
    command(other, "CLUSTER", "SETSLOT", str(slot), "IMPORTING", command(owner, "CLUSTER", "MYID"))
    command(owner, "CLUSTER", "SETSLOT", str(slot), "MIGRATING", command(other, "CLUSTER", "MYID"))
    with closing(other.client()) as client, client.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("ASKING")
        pipeline.set("bar", "1")
        pipeline.execute()
    [finding] = named(examine(nodes[2]), "open-slot")
    assert finding.fix.count(f"SETSLOT {slot} NODE") == 2
    fixes.run(finding.fix, tmp_path)
    wait_until(lambda: not alarms(examine(nodes[2])))
    with closing(other.client()) as client:
        assert client.get("bar") == "1"
        client.delete("bar")


def test_a_failed_replica(nodes: Nodes) -> None:
    replica, others = nodes[3], [*nodes[:3], *nodes[4:]]
    replica.kill()
    wait_until(lambda: all(has_failed(node, replica)() for node in others))
    report = examine(nodes[1])
    [finding, *_] = named(report, "node-failed")
    assert (finding.severity, report.is_healthy) == (WARNING, True)
    assert f"the replica {HOST}:{replica.port} of {HOST}:{nodes[0].port} has failed" in finding.what
    assert finding.fix.count("CLUSTER FORGET") == len(others)
    assert "announced-unreachable" not in alarms(report)
    assert f"{HOST}:{nodes[0].port}" in named(report, "no-replica")[0].what


def test_slots_without_a_primary_are_named(nodes: Nodes) -> None:
    """Its replica failed before, so none takes over; the other slots still work."""
    primary, replica = nodes[0], nodes[3]
    primary.kill()
    wait_until(lambda: all(has_failed(node, primary, replica)() for node in nodes[1:3]))
    report = examine(nodes[1])
    [finding, *_] = named(report, "cluster-down")
    assert finding.severity == PROBLEM
    assert f"slots have no primary: {HOST}:{primary.port} has failed (" in finding.what
    assert "announced-unreachable" not in alarms(report)
    for node in (primary, replica):
        configure(node.start())
    wait_until(lambda: not alarms(examine(nodes[1])))


def test_a_replica_takes_over_without_a_majority(nodes: Nodes, tmp_path: Path) -> None:
    for node in nodes[1:3]:
        node.kill()
    wait_until(lambda: all(has_failed(node, *nodes[1:3])() for node in (nodes[0], *nodes[3:])))

    def printed() -> list[str]:
        return list(dict.fromkeys(one.fix for one in named(examine(nodes[0]), "cluster-down")))

    def is_up() -> bool:
        """With two of three primaries, the other replica may take over by itself before its fix is run."""
        commands = printed()
        with contextlib.suppress(AssertionError):
            fixes.run(commands[0] if commands else "true", tmp_path)
        return not commands

    assert [fix.endswith("CLUSTER FAILOVER TAKEOVER") for fix in printed()] == [True, True]
    wait_until(is_up, every=1)
    for node in nodes[1:3]:
        configure(node.start())
    wait_until(lambda: not alarms(examine(nodes[0])))


def test_a_node_that_is_gone_is_removed(nodes: Nodes, tmp_path: Path) -> None:
    """The last test: the removed node does not come back."""
    gone, others = nodes[2], [*nodes[:2], *nodes[3:]]
    gone.kill()
    wait_until(lambda: all(has_failed(node, gone)() for node in others))
    [finding, *_] = named(examine(nodes[0]), "node-failed")
    fixes.run(finding.fix, tmp_path)
    assert not alarms(examine(nodes[0]))
