"""start-node: what a node does after it has compared its data with those of the other members."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.drivers.docker import reasons, recovery_events
from tests.unit.infra.node_volume import FILE, FRESH, LATEST, NOW, OTHER, OWN, THIRD, assess, member, note, start_node


@pytest.mark.parametrize(("loading", "serves"), [(1, False), (0, True)])
def test_a_member_with_older_data_is_no_reason_to_serve(data: Path, loading: int, *, serves: bool) -> None:
    """Yesterday's data of the primary, an emptied replica, and one that is loading today's data."""
    member(data, "node-1", **FRESH, slave_priority=0)
    member(data, "node-2", **FRESH, loading=loading, slave_priority=LATEST - NOW)
    said = start_node(data, "began=0; compare_with node-1 node-2; may_lead && echo serves || :", "replicated")
    assert (said == "serves") == serves, said


@pytest.mark.parametrize("slots", ["", " 0-16383"])
def test_a_start_without_append_only_files_is_no_first_one_where_there_were_keys(data: Path, slots: str) -> None:
    for file in (data / "appendonlydir").iterdir():
        file.unlink()
    assert assess(data) == "damaged: its append-only files are gone, which had 7 keys"
    position = (data / "position").read_text()
    (data / "position").write_text(position.replace(f" 7 {NOW}", f" 0 {NOW}"))
    assert assess(data).startswith("nothing:")
    line = f"{OWN} 10.0.0.10:0@17000,,tls-port=7000 myself,master - 0 0 1 connected{slots}"
    (data / "nodes.conf").write_text(f"{line}\nvars currentEpoch 1 lastVoteEpoch 0\n")
    said = start_node(data, "replicas_of() { :; }; settle_cluster && echo serves || :")
    assert ("its append-only files are gone, and no other member holds more" in said) == bool(slots)
    assert ("serves" in said) != bool(slots)


def conf(address: str) -> str:
    line = f"{OWN} {address}:0@17000,,tls-port=7000 myself,master - 0 0 1 connected 0-16383"
    return f"{line}\nvars currentEpoch 1 lastVoteEpoch 0\n"


def test_a_nodes_conf_of_another_member_is_not_the_nodes_own(data: Path) -> None:
    for address, expected in (("10.0.0.10", ""), ("10.0.0.12", "node-2"), ("10.9.9.9", ""), ("", "")):
        (data / "nodes.conf").write_text(conf(address))
        assert start_node(data, "swapped_with") == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, True),  # no member lists the node
        ({"node-1": [(OWN, 0, "master -", "")]}, True),  # a failover took its slots
        ({"node-1": [(OWN, 0, "master -", "0-9")]}, False),
        ({"node-1": [(OWN, 0, "master -", "0-9"), (OTHER, 1, f"myself,slave {OWN}", "")]}, True),
        ({"node-1": [(OWN, 0, f"slave {OTHER}", ""), (OTHER, 2, "master,fail -", "0-9")]}, False),  # no primary
        ({"node-1": [(OWN, 0, f"slave {OTHER}", ""), (OTHER, 2, "master,fail -", "")]}, True),
        ({"node-1": [(OWN, 0, f"slave {OTHER}", ""), (OTHER, 1, "myself,master -", "0-9")]}, True),
        (
            {
                "node-1": [(OWN, 0, f"slave {OTHER}", ""), (OTHER, 2, "master,fail -", "0-9")],
                "node-2": [(THIRD, 2, "myself,master -", "")],  # the primary's node is a new one
            },
            False,
        ),
    ],
)
def test_a_node_without_nodes_conf_gives_up_only_what_others_have(
    data: Path, answers: dict[str, list[tuple[str, int, str, str]]], expected: bool
) -> None:
    for name, rows in answers.items():
        member(data, name, master_link_status="up")
        with (data / "members" / name).open("a") as file:
            for identity, number, role, slots in rows:
                address = f"10.0.0.1{number}:700{number}@1700{number}"
                file.write(f"{identity} {address} {role} 0 0 1 connected {slots}".rstrip() + "\n")
    if not answers:
        member(data, "node-1")
    assert start_node(data, "is_replaceable && echo yes || echo no") == ("yes" if expected else "no")


def test_a_node_without_nodes_conf_stops_where_members_stay_away(data: Path) -> None:
    (data / "nodes.conf").write_text("garbage\n")
    member(data, "node-1", role="master")
    (data / "members" / "node-2").write_text("")
    with (data / "members" / "node-1").open("a") as file:
        file.write(f"{OWN} 10.0.0.10:7000@17000 master - 0 0 1 connected 0-9\n")
    script = 'settle_cluster; cut -c 1-4 "$waiting"'
    assert start_node(data, script).splitlines()[-1] == "wait"
    assert start_node(data, f"began=1; {script}").splitlines()[-1] == "stop"
    member(data, "node-2", loading=1)
    assert start_node(data, f"began=1; {script}").splitlines()[-1] == "wait"
    member(data, "node-2", role="master")
    found = start_node(data, script).splitlines()
    assert "no member has a copy of its slots; repair it: make repair" in found[0]
    assert found[1] == "stop"


def test_a_copy_with_older_data_is_none(data: Path) -> None:
    own = f"{OWN} 10.0.0.10:7000@17000 master - 0 0 1 connected 0-9"
    lines = f"{own}\n{OTHER} 10.0.0.11:7001@17001 myself,slave {OWN} 0 0 1 connected\n"
    for priority, expected in ((LATEST - NOW, "yes"), (LATEST - NOW + 3600, "no"), (0, "no")):
        member(data, "node-1", **FRESH, slave_priority=priority)
        with (data / "members" / "node-1").open("a") as file:
            file.write(lines)
        assert start_node(data, "is_replaceable && echo yes || echo no") == expected


def test_a_short_replica_gives_up_what_another_replica_of_its_primary_has(data: Path) -> None:
    (data / "appendonlydir" / FILE).write_bytes(b"")
    lost = f"{OTHER} :0@0 master,fail,noaddr - 0 0 1 disconnected 0-9\n"
    own = f"{OWN} 10.0.0.10:7000@17000 myself,slave {OTHER} 0 0 1 connected\n"
    (data / "nodes.conf").write_text(f"{own}{lost}vars currentEpoch 1 lastVoteEpoch 0\n")
    for priority, given_up in ((LATEST - NOW + 3600, 0), (0, 0), (LATEST - NOW, 1)):
        member(data, "node-1", **FRESH, slave_priority=priority)
        with (data / "members" / "node-1").open("a") as file:
            file.write(f"{THIRD} 10.0.0.11:7001@17001 myself,slave {OTHER} 0 0 1 connected\n{lost}")
        start_node(data, "settle_cluster || :")
        assert len(list(data.glob("set-aside-*/appendonlydir"))) == given_up


def test_what_a_node_reports_while_it_waits(data: Path) -> None:
    member(data, "node-1", master_link_status="up", slave_repl_offset=9000)
    member(data, "node-2", master_link_status="up", slave_repl_offset=9000)
    found = start_node(data, "compare_with node-1 node-2; may_lead || :")
    assert found.endswith("node-1, node-2 hold more; waiting until one of them is the primary")
    new = data / "new"
    (new / "members").mkdir(parents=True)
    script = "compare_with node-1; may_lead || :; began=1 remedy='; repair it: make repair'; may_lead || :"
    early, late = start_node(new, script).splitlines()
    assert early.endswith("its data directory is empty, and these members do not respond: node-1")
    assert late.endswith("node-1; repair it: make repair")


def test_a_node_that_waits_for_long_queries_the_others_less_often(data: Path) -> None:
    script = 'sleep() { echo "$1"; }; hold wait x || :; began=$((began - 60)); hold wait x || :'
    assert start_node(data, script).splitlines()[1:] == ["0.2", "2"]


def test_a_primary_waits_for_an_election_only_as_long_as_one_takes(data: Path) -> None:
    script = "is_election_over && echo yes || echo no; unled=$(($(seconds) - 20)); is_election_over && echo yes"
    assert start_node(data, script).split() == ["no", "yes"]


@pytest.mark.parametrize("broken", [True, False])
def test_a_short_node_that_follows_keeps_its_files(data: Path, broken: bool) -> None:
    if broken:
        (data / "appendonlydir" / FILE).write_bytes(b"")
    member(data, "node-1", role="master")
    start_node(data, "follow '10.0.0.11 7001'", "replicated")
    assert len(list(data.glob("set-aside-*/appendonlydir"))) == broken


def test_a_node_without_its_line_in_the_list_does_not_start(data: Path) -> None:
    found = start_node(data, 'find_own_address && echo "$ip $port"')
    assert found == "10.0.0.10 7000"
    script = ': >"$list"; find_own_address || cat "$waiting"'
    assert start_node(data, script).splitlines()[-1] == f"stop: its line is missing in {data}/list -> make up"
    assert "serves" not in start_node(data, 'rm "$list"; if find_own_address; then echo serves; fi')


def test_a_single_server_reports_that_its_file_is_shorter(data: Path) -> None:
    assert start_node(data, "settle && echo starts", "single") == "starts"
    (data / "appendonlydir" / FILE).write_bytes(b"x" * 400)
    reported, started = start_node(data, "settle && echo starts", "single").splitlines()
    assert reported.startswith("start-node: node-0: it starts without the last part of its data: ")
    assert f"{FILE} has 400 bytes, but had 1000" in reported
    assert recovery_events._NOTABLE.findall(reported)
    assert started == "starts"


def test_a_cluster_node_unknown_to_the_members_waits_and_keeps_its_data(data: Path) -> None:
    member(data, "node-1")
    waits = start_node(data, "began=1; return_as_new 'its nodes.conf is lost or damaged' || cat \"$waiting\"")
    found = reasons.find(waits.splitlines()[-1], "", "make repair X")
    assert found
    assert found.text == "its nodes.conf is lost or damaged; waiting for a member that knows the cluster"
    assert "if every node has lost its nodes.conf, see docs/operations/repair.md" in found.fix
    assert (data / "appendonlydir" / FILE).exists()
    assert not list(data.glob("set-aside-*"))


@pytest.mark.parametrize(
    ("role", "last_response", "loading", "priority"),
    [
        pytest.param("slave", NOW + 60, 0, 0, id="it-was-down-meanwhile"),
        pytest.param("slave", NOW + 5, 0, LATEST - NOW, id="both-ended-together"),
        pytest.param("slave", "", 0, LATEST - NOW, id="the-sentinels-have-started-too"),
        pytest.param("slave", NOW + 60, 1, LATEST - NOW, id="the-primary-has-started-too"),
        pytest.param("master", NOW + 5, 0, 0, id="it-was-the-primary-before"),
    ],
)
def test_a_replica_that_lacks_what_its_primary_had_is_not_promoted(
    data: Path, role: str, last_response: int | str, loading: int, priority: int
) -> None:
    note(data, role=role)
    script = f"last_response_of() {{ echo {last_response}; }}; ask() {{ echo loading:{loading}; }}"
    assert start_node(data, f"{script}; replicaof='10.0.0.11 7001'; priority", "replicated") == str(priority)


def test_it_is_promoted_if_its_primary_has_lost_everything(data: Path) -> None:
    member(data, "node-1", **FRESH, slave_priority=0, db0="keys=9")
    member(data, "node-2", **FRESH, slave_priority=0)
    script = 'primary_by_sentinels() { echo 10.0.0.10 7000; }; ask() { echo "$@" >>asked; }; settle_replicated'
    assert "may lead" not in start_node(data, f"{script} || :", "replicated")
    for name in ("appendonlydir", "position"):
        (data / name).rename(data / f"former-{name}")
    found = start_node(data, f"assess; {script} || :; cat asked", "replicated")
    assert f"10.0.0.11 7001 config set replica-priority {LATEST - 1}" in found
    assert "10.0.0.12" not in found
    assert "node-1 holds more; waiting until it is the primary" in found


def test_a_primary_that_has_lost_everything_waits_for_members_with_later_data(data: Path) -> None:
    new = data / "new"
    (new / "members").mkdir(parents=True)
    member(new, "node-1", **FRESH, slave_priority=0, db0="keys=9")
    script = "compare_with node-1 node-2; may_lead || :"
    found = start_node(new, script, "replicated")
    assert "node-2 may have later data than node-1 and does not respond -> make up, or make repair NODE=node-2" in found
    assert start_node(new, script.replace("2;", "2 node-3;"), "replicated").endswith("make repair NODE=node-2")
    member(new, "node-1", **FRESH, slave_priority=LATEST - NOW, db0="keys=9")
    assert start_node(new, script, "replicated").endswith("node-1 holds more; waiting until it is the primary")
