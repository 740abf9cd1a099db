"""What the doctor reports about a cluster: slots that are being moved, failed nodes, slots without a primary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
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


def test_a_move_of_a_slot_that_did_not_finish(nodes: Nodes) -> None:
    first, second = nodes[:2]
    command(second, "CLUSTER", "SETSLOT", "5", "IMPORTING", command(first, "CLUSTER", "MYID"))
    command(first, "CLUSTER", "SETSLOT", "5", "MIGRATING", command(second, "CLUSTER", "MYID"))
    [finding] = named(examine(nodes[2]), "open-slot")
    assert (finding.severity, finding.what) == (WARNING, "slots are being moved: 5")
    assert set(finding.node.split(", ")) == {f"{HOST}:{node.port}" for node in (first, second)}
    assert finding.fix.count("SETSLOT 5 STABLE") == 2
    for node in (first, second):
        command(node, "CLUSTER", "SETSLOT", "5", "STABLE")
    assert not alarms(examine(nodes[2]))


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
    assert f"5,461 slots have no primary: {HOST}:{primary.port} has failed (0-5460)" in finding.what
    assert "announced-unreachable" not in alarms(report)
    for node in (primary, replica):
        configure(node.start())
    wait_until(lambda: not alarms(examine(nodes[1])))


def test_a_replica_takes_over_without_a_majority(nodes: Nodes) -> None:
    for node in nodes[1:3]:
        node.kill()
    wait_until(has_failed(nodes[0], *nodes[1:3]))
    fixes = [one.fix for one in named(examine(nodes[0]), "cluster-down")]
    assert any(str(nodes[4].port) in fix and "CLUSTER FAILOVER TAKEOVER" in fix for fix in fixes)
    for node in nodes[4:]:
        command(node, "CLUSTER", "FAILOVER", "TAKEOVER")
    for node in nodes[1:3]:
        configure(node.start())
    wait_until(lambda: not alarms(examine(nodes[0])))
