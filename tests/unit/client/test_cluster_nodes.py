"""CLUSTER NODES, as servers of several versions answer it."""

from __future__ import annotations

from valkeykit.url import Node
from valkeykit_ops import nodes
from valkeykit_ops.cluster_nodes import ClusterMember, OpenSlot, count, parse_members, shown, uncovered

REPLY = b"""txt:a1 127.0.0.1:7000@17000,shop-1,tls-port=0 myself,master - 0 1700000000000 1 connected 0-99 200 [5->-b2]
b2 127.0.0.1:7001@17001 master,fail - 1 1 2 disconnected 300-16383 [5-<-a1]
c3 127.0.0.1:7002@17002 slave b2 0 1 2 connected
d4 :0@0 master,noaddr - 1 1 0 disconnected
e5 [::1]:7003@17003 handshake - 0 0 0 connected
f6 ::1:7004@17004 slave,fail? a1 0 1 1 connected
"""


def members() -> dict[str, ClusterMember]:
    return {one.identity: one for one in parse_members(REPLY, Node("queried", 7000))}


def test_addresses_roles_and_failures() -> None:
    found = members()
    assert set(found) == {"a1", "b2", "c3", "f6"}
    assert (found["a1"].node, found["a1"].is_self, found["a1"].has_failed) == (Node("127.0.0.1", 7000), True, False)
    assert (found["c3"].primary, found["a1"].primary) == ("b2", None)
    assert [one.identity for one in found.values() if one.has_failed] == ["b2", "f6"]
    assert found["f6"].node == Node("::1", 7004)


def test_slots_and_moves() -> None:
    found = members()
    assert found["a1"].slots == ((0, 99), (200, 200))
    assert found["a1"].open_slots == (OpenSlot(5, "b2", is_source=True),)
    assert found["b2"].open_slots == (OpenSlot(5, "a1", is_source=False),)
    missing = uncovered(found.values())
    assert (shown(missing), count(missing)) == ("100-199, 201-299", 199)
    assert shown(uncovered([])) == "0-16383"


def test_a_node_without_its_own_address() -> None:
    reply = "a1 :6379@16379 myself,master - 0 0 0 connected"
    assert [one.node for one in parse_members(reply, Node("cache.example", 6379))] == [Node("cache.example", 6379)]


def test_failed_nodes_are_announced_too() -> None:
    """CLUSTER SLOTS leaves them out, and has the addresses that clients use for the others."""
    slots = [[0, 99, [b"shop-1.example", 7000, b"a1"]]]
    announced = nodes.announced_nodes(
        Node("h", 1), {"redis_mode": "cluster"}, slots, parse_members(REPLY, Node("h", 1))
    )
    assert announced[0] == Node("shop-1.example", 7000)
    assert {one.port for one in announced} == {7000, 7001, 7002, 7004}
    assert len(announced) == 4
