"""plan-cluster: what the keeper of a cluster does next, from what the nodes know."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.drivers.processes.group import ProcessExecutor
from infra.drivers.topology import cluster
from infra.drivers.topology.node_executor import NodeAddress

NOW = 1_790_000_000
LATEST = 2**31 - 1
SLOTS = {"node-0": "0-8191", "node-1": "8192-12287", "node-4": "12288-16383"}
PLACES = {
    "node-0": "0 8191", "node-1": "8192 12287", "node-2": "- 10.0.0.10", "node-3": "- 10.0.0.11",
    "node-4": "12288 16383",
}  # fmt: skip


def identity(name: str) -> str:
    return name.ljust(40, "0")


@dataclass
class FakeNode:
    """What a node reports. knows: the lines of CLUSTER NODES but its own. follows: the primary's id, or `-`.

    heard: when the others last received a PONG of it.
    """

    name: str
    id: str = ""
    slots: str = ""
    follows: str = "-"
    epoch: int = 0
    heard: int = 0
    knows: list[str] = field(default_factory=list)
    info: str = "cluster_state:ok\n"

    def __post_init__(self) -> None:
        self.id = self.id or identity(self.name)

    def line(self, flags: str = "") -> str:
        role = "slave" if self.follows != "-" else "master"
        port = 7000 + int(self.name[-1])
        address = f"10.0.0.1{self.name[-1]}:{port}@1{port}"
        times = f"0 {self.heard * 1000}"
        return f"{self.id} {address} {flags}{role} {self.follows} {times} {self.epoch} connected {self.slots}"

    def answer(self) -> str:
        return "\n".join([self.line("myself,"), *self.knows, self.info])


def acquaint(*nodes: FakeNode, besides: tuple[str, ...] = ()) -> None:
    for node in nodes:
        node.knows = [*(other.line() for other in nodes if other is not node), *besides]


def healthy() -> dict[str, FakeNode]:
    nodes = {name: FakeNode(name, slots=slots, epoch=int(name[-1]) + 1) for name, slots in SLOTS.items()}
    for number, name in enumerate(("node-2", "node-3")):
        nodes[name] = FakeNode(name, follows=identity(f"node-{number}"), epoch=number + 1)
    acquaint(*nodes.values())
    return nodes


def plan(nodes: dict[str, FakeNode]) -> tuple[list[str], list[str]]:
    """Commands, and what is missing."""
    text = ""
    for name, place in PLACES.items():
        number = int(name[-1])
        text += f"@ {name} 10.0.0.1{number} {7000 + number} {place}\n"
        text += f"{nodes[name].answer()}\n" if name in nodes else ""
    program = ["awk", "-v", f"now={NOW}", "-f", str(cluster.PLAN_SCRIPT)]
    lines = subprocess.run(program, input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if line[0] != "#"], [line for line in lines if line[0] == "#"]


def test_a_healthy_cluster_needs_nothing() -> None:
    assert plan(healthy()) == ([], [])


def test_new_nodes_get_epochs_of_their_own_and_slots() -> None:
    commands, _ = plan({name: FakeNode(name) for name in PLACES})
    assert [command for command in commands if "epoch" in command] == [
        f"node-{number} set-config-epoch {number + 1}" for number in range(5)
    ]
    assert [command for command in commands if "slots" in command] == [
        "node-0 addslotsrange 0 8191",
        "node-1 addslotsrange 8192 12287",
        "node-4 addslotsrange 12288 16383",
    ]


def test_new_nodes_meet_once_they_have_their_slots_though_that_was_interrupted() -> None:
    nodes = {name: FakeNode(name, epoch=int(name[-1]) + 1) for name in PLACES}
    nodes["node-0"].slots = SLOTS["node-0"]
    assert plan(nodes)[0] == ["node-1 addslotsrange 8192 12287", "node-4 addslotsrange 12288 16383"]
    nodes["node-1"].slots, nodes["node-4"].slots = SLOTS["node-1"], SLOTS["node-4"]
    assert plan(nodes)[0] == [f"node-0 meet 10.0.0.1{number} 700{number} 1700{number}" for number in (1, 2, 3, 4)]


def test_lost_slots_are_assigned_to_no_node() -> None:
    nodes = healthy()
    nodes["node-1"].slots = ""
    acquaint(*nodes.values())
    assert not [command for command in plan(nodes)[0] if "slots" in command]


@pytest.mark.parametrize("slots", ["", SLOTS["node-0"]])
def test_new_nodes_neither_get_slots_nor_meet_until_all_of_them_respond(slots: str) -> None:
    nodes = {name: FakeNode(name) for name in PLACES if name != "node-3"}
    nodes["node-0"].slots = slots
    commands, missing = plan(nodes)
    assert not [command for command in commands if "slots" in command or "meet" in command]
    assert missing == ["# node-3 does not respond"]


def test_nodes_that_met_without_slots_get_them() -> None:
    nodes = {name: FakeNode(name, epoch=int(name[-1]) + 1) for name in PLACES}
    acquaint(*nodes.values())
    assert [command for command in plan(nodes)[0] if "slots" in command] == [
        "node-0 addslotsrange 0 8191",
        "node-1 addslotsrange 8192 12287",
        "node-4 addslotsrange 12288 16383",
    ]


def test_a_new_node_never_gets_slots_that_another_node_serves() -> None:
    nodes = healthy()
    nodes["node-2"] = FakeNode("node-2", slots=SLOTS["node-0"], epoch=5)  # it has been promoted
    newcomer = FakeNode("node-0", id="f" * 40)
    nodes["node-0"] = newcomer
    acquaint(*(nodes[name] for name in ("node-1", "node-2", "node-3", "node-4")))
    commands, _ = plan(nodes)
    assert not [command for command in commands if "slots" in command]
    assert "node-1 meet 10.0.0.10 7000 17000" in commands


def test_a_replica_takes_over_from_a_primary_that_was_replaced() -> None:
    nodes = healthy()
    lost = nodes["node-0"].line()
    nodes["node-0"] = FakeNode("node-0", id="f" * 40)
    acquaint(*nodes.values(), besides=(lost,))
    nodes["node-2"].info += "slave_priority:100\nmaster_link_down_since_seconds:3\n"
    commands, _ = plan(nodes)
    assert commands == ["node-2 failover force"]  # and nothing is forgotten or attached before


def two_followers_of_a_lost_primary() -> dict[str, FakeNode]:
    """node-2 and node-3, of node-0, which came back with another id."""
    nodes = healthy()
    lost = nodes["node-0"].line()
    nodes["node-0"] = FakeNode("node-0", id="f" * 40)
    nodes["node-3"].follows = identity("node-0")
    acquaint(*nodes.values(), besides=(lost,))
    return nodes


def replica(
    *, restarted: bool = False, synced: int = 0, offset: int = 0, history: str = "one", priority: int = 100
) -> str:
    """INFO of one that was in sync `synced` seconds ago, and whether it was restarted since."""
    priority = LATEST - (NOW - synced) if restarted else priority
    since = -1 if restarted else synced
    return (
        f"cluster_state:ok\nmaster_link_status:{'up' if since == 0 else 'down'}\nslave_repl_offset:{offset}\n"
        + (f"master_link_down_since_seconds:{since}\n" if since else "")
        + f"slave_priority:{priority}\nmaster_replid:{history}\n"
    )


@pytest.mark.parametrize(
    ("later", "other"),
    [
        pytest.param(replica(restarted=True, synced=300), replica(restarted=True, synced=900), id="both-restarted"),
        pytest.param(replica(offset=5), replica(restarted=True, synced=300), id="in-sync"),
        pytest.param(replica(synced=30, offset=9), replica(synced=30, offset=5), id="higher-offset"),
        pytest.param(replica(restarted=True, synced=10), replica(synced=3600), id="the-other-lost-its-link-long-ago"),
        pytest.param(replica(synced=14), replica(restarted=True, synced=10), id="within-the-slack"),
        pytest.param(replica(synced=3, offset=5), replica(synced=3600, offset=9, history="two"), id="other-history"),
        pytest.param(replica(synced=60), replica(synced=30, history="two", priority=101), id="unfinished-copy"),
    ],
)
def test_the_replica_with_the_latest_data_takes_over(later: str, other: str) -> None:
    nodes = two_followers_of_a_lost_primary()
    for first, second in (("node-2", "node-3"), ("node-3", "node-2")):
        nodes[first].info, nodes[second].info = later, other
        assert plan(nodes)[0] == [f"{first} failover force"]


def test_a_replica_without_sound_data_never_takes_over() -> None:
    nodes = two_followers_of_a_lost_primary()
    nodes["node-2"].info = replica(restarted=True, synced=NOW - LATEST)  # priority 0
    nodes["node-3"].info = replica(restarted=True, synced=3600)
    assert plan(nodes)[0] == ["node-3 failover force"]


def test_replicas_take_over_without_an_election_where_most_primaries_were_replaced() -> None:
    nodes = healthy()
    lost = (nodes["node-0"].line(), nodes["node-1"].line())
    nodes["node-0"], nodes["node-1"] = FakeNode("node-0", id="e" * 40), FakeNode("node-1", id="f" * 40)
    acquaint(*nodes.values(), besides=lost)
    for name in ("node-2", "node-3"):
        nodes[name].info += "slave_priority:100\nmaster_link_down_since_seconds:3\n"
    assert sorted(plan(nodes)[0]) == ["node-2 failover takeover", "node-3 failover takeover"]


def test_a_node_that_does_not_respond_does_not_prevent_a_promotion() -> None:
    nodes = healthy()
    lost = nodes["node-0"].line()
    nodes["node-0"] = FakeNode("node-0", id="f" * 40)
    acquaint(*nodes.values(), besides=(lost,))
    nodes["node-2"].info += "slave_priority:100\nmaster_link_down_since_seconds:3\n"
    del nodes["node-3"]
    assert plan(nodes)[0] == ["node-2 failover force"]


@pytest.mark.parametrize(
    ("heard", "commands"), [(NOW - 60, []), (NOW - 3595, ["node-2 failover force"])], ids=["later", "not-later"]
)
def test_a_replica_with_older_data_waits_for_one_that_does_not_respond(heard: int, commands: list[str]) -> None:
    nodes = two_followers_of_a_lost_primary()
    nodes["node-3"].heard = heard
    lost = nodes["node-1"].knows[-1]
    acquaint(*nodes.values(), besides=(lost,))
    nodes["node-2"].info = replica(synced=3600)
    away = nodes.pop("node-3")
    found, missing = plan(nodes)
    assert found == commands
    waits = "# node-2 is not promoted while node-3 does not respond, which may have later data"
    assert (waits in missing) == (not commands)
    nodes["node-3"] = FakeNode("node-3", id="e" * 40)  # its volume was emptied
    acquaint(*nodes.values(), besides=(lost, away.line()))
    assert "node-2 failover force" in plan(nodes)[0]


@pytest.mark.parametrize(
    ("address", "commands"),
    [("10.9.9.9:7000@17000", []), (":0@0", ["node-2 failover force"])],
    ids=["a-previous-address", "another-id-responds-at-its-address"],
)
def test_a_lost_primary_may_be_a_node_that_does_not_respond(address: str, commands: list[str]) -> None:
    nodes = healthy()
    lost = nodes["node-0"].line().replace("10.0.0.10:7000@17000", address)
    nodes["node-0"] = FakeNode("node-0", id="f" * 40)
    acquaint(*nodes.values(), besides=(lost,))
    nodes["node-2"].info = replica(synced=3)
    assert plan(nodes)[0] == ["node-2 failover force"]
    del nodes["node-3"]
    assert plan(nodes)[0] == commands


def test_a_primary_that_does_not_respond_is_left_to_the_cluster_itself() -> None:
    nodes = healthy()
    nodes["node-2"].info += "slave_priority:100\nmaster_link_down_since_seconds:3\n"
    del nodes["node-0"]
    assert plan(nodes) == ([], ["# node-0 does not respond"])


def test_slots_without_data_are_reported_and_not_assigned() -> None:
    nodes = healthy()
    lost = nodes["node-0"].line()
    nodes["node-0"] = FakeNode("node-0", id="e" * 40)
    nodes["node-2"] = FakeNode("node-2", id="f" * 40)
    acquaint(*nodes.values(), besides=(lost,))
    commands, missing = plan(nodes)
    assert commands == []
    assert any("are lost" in line for line in missing)
    del nodes["node-2"]
    assert not any("are lost" in line for line in plan(nodes)[1])


def test_a_node_that_was_replaced_is_forgotten_and_its_successor_follows() -> None:
    nodes = healthy()
    lost = nodes["node-2"].line()
    nodes["node-2"] = FakeNode("node-2", id="f" * 40)
    acquaint(*nodes.values(), besides=(lost,))
    commands, _ = plan(nodes)
    assert [command for command in commands if "forget" in command] == [
        f"{name} forget {identity('node-2')}" for name in PLACES
    ]
    assert f"node-2 replicate {identity('node-0')}" in commands


def test_no_node_is_forgotten_while_a_node_is_away() -> None:
    nodes = healthy()
    del nodes["node-3"]
    assert plan(nodes) == ([], ["# node-3 does not respond"])


def test_a_node_follows_no_primary_that_it_is_still_meeting() -> None:
    nodes = healthy()
    nodes["node-2"] = FakeNode("node-2", id=identity("node-2"))
    acquaint(*nodes.values())
    nodes["node-2"].knows = [line.replace(" master ", " handshake ") for line in nodes["node-2"].knows]
    assert not [command for command in plan(nodes)[0] if "replicate" in command]


def test_a_failover_that_the_nodes_gave_up_is_ordered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "FAILOVER_TIMEOUT_SECONDS", 0.5)
    orders = []

    class Busy(ProcessExecutor):
        def run(self, node: str, *command: str) -> Any:
            if command == ("CLUSTER", "FAILOVER"):
                orders.append(node)
            return f"# Replication\r\nrole:{'master' if len(orders) > 1 else 'slave'}\r\n"

        def run_many(self, node: str, commands: Any) -> list[Any]:
            return [self.run(node, *command) for command in commands]

    cluster.promote(Busy({}), NodeAddress("node-3", "127.0.0.1", 7003))
    assert orders == ["node-3", "node-3"]


def test_members_that_have_moved_meet_again() -> None:
    """Nodes remember the addresses of each other, which all change with another docker.subnet."""
    nodes = healthy()
    for node in nodes.values():
        node.knows = [line.replace(" 10.0.0.", " 10.9.9.") for line in node.knows]
    assert plan(nodes)[0] == [f"node-0 meet 10.0.0.1{number} 700{number} 1700{number}" for number in (1, 2, 3, 4)]
