"""holdings, members and start-node: what a node's volume amounts to, which other members hold more, and
what the node does then.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from infra.drivers.docker import reasons, recovery_events
from infra.drivers.docker.deployment_files import SCRIPTS

NOW = 1_790_000_000
LATEST = 2**31 - 1
BASE = "appendonly.aof.2.base.rdb"
FILE, NEXT = "appendonly.aof.2.incr.aof", "appendonly.aof.3.incr.aof"
MANIFEST = f"file {BASE} seq 2 type b\nfile {FILE} seq 2 type i\n"
LIST = "".join(f"10.0.0.1{n} 700{n} node-{n} {'- 10.0.0.10' if n else '0 16383'}\n" for n in range(3))
FRESH = {"master_link_status": "down", "master_link_down_since_seconds": -1}
OWN, OTHER, THIRD = ("0" * 40, "1" * 40, "2" * 40)


def shell(data: Path, script: str) -> str:
    """What a script prints that has sourced both files, with another place for the data."""
    set_up = f"data={data} aof={data}/appendonlydir manifest={data}/appendonlydir/appendonly.aof.manifest"
    lines = [
        "set -u",
        f". {SCRIPTS}/holdings",
        f". {SCRIPTS}/members",
        f"{set_up} position={data}/position damage={data}/damage answers={data}/members",
        script,
    ]
    return subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout.strip()


def start_node(data: Path, script: str, topology: str = "cluster") -> str:
    """What a script prints that has sourced start-node of node-0, but for its end, which starts the server."""
    functions, end, _ = (SCRIPTS / "start-node").read_text().partition("\nreplicaof= ")
    assert end
    (data / "list").write_text(LIST)
    (data / "start").write_text(functions.replace("/etc/valkey/bin", str(SCRIPTS)))
    script = "\n".join(
        [
            f"cd {data}; data=$PWD aof=$PWD/appendonlydir manifest=$aof/appendonly.aof.manifest list=$PWD/list",
            "position=$PWD/position damage=$PWD/damage answers=$PWD/members nodes=$PWD/nodes.conf waiting=$PWD/waiting",
            "ip=10.0.0.10 port=7000 replicaof= unled= remedy='; repair it: make repair'",
            "poll() { :; }; sleep() { :; }; assess",
            script,
        ]
    )
    command = ["sh", "-c", f"set -- {topology} shop node-0\n. {data}/start\n{script}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def assess(data: Path) -> str:
    return shell(data, 'assess; echo "$holding: $reason"')


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A volume with an append-only file of 1,000 bytes, all of which were durable at offset 5000."""
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_text(MANIFEST)
    (folder / "appendonly.aof.2.base.rdb").write_text("base")
    (folder / FILE).write_bytes(b"x" * 1000)
    (tmp_path / "members").mkdir()
    note(tmp_path)
    return tmp_path


def note(data: Path, role: str = "master", size: int = 1000, file: str = FILE, rest: str = "") -> None:
    (data / "position").write_text(f"shop {role} history 5000 {file} {size} 1000 7 {NOW}{rest}\n")


def add_increment(data: Path) -> None:
    """Another one, which is the last, as after a rewrite that failed; the position knows the sizes of all files."""
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text(f"{MANIFEST}file {NEXT} seq 3 type i\n")
    (data / "appendonlydir" / NEXT).write_bytes(b"y" * 1000)
    note(data, file=NEXT, rest=f" 9.1.2 {BASE} 1004")


def member(data: Path, name: str, **fields: object) -> None:
    """What another member answered."""
    known = {"role": "slave", "loading": 0, "slave_priority": 100, "master_replid": "history", **fields}
    (data / "members" / name).write_text("".join(f"{key}:{value}\r\n" for key, value in known.items()))


def ahead(data: Path, *names: str) -> str:
    return shell(data, f'assess; compare_with {" ".join(names)}; echo "$ahead|$behind|$away|$fresh_only"')


def test_a_complete_volume_is_known(data: Path) -> None:
    assert assess(data) == "known:"


def test_without_a_position_it_is_unknown(data: Path) -> None:
    (data / "position").unlink()
    assert assess(data) == "unknown:"


@pytest.mark.parametrize("garbage", ["", "\0\0\0", "shop master x y z\n", "shop master history 5000\n"])
def test_a_garbled_position_counts_for_nothing(data: Path, garbage: str) -> None:
    (data / "position").write_text(garbage)
    assert assess(data) == "unknown:"


def test_an_empty_volume_holds_nothing(tmp_path: Path) -> None:
    assert assess(tmp_path).startswith("nothing:")


def test_fewer_bytes_than_were_durable(data: Path) -> None:
    with (data / "appendonlydir" / FILE).open("r+b") as file:
        file.truncate(999)
    assert assess(data) == f"short: {FILE} has 999 bytes, but had 1000"


def test_an_older_file_than_the_position_names(data: Path) -> None:
    note(data, file="appendonly.aof.3.incr.aof")
    assert assess(data).startswith(f"short: {FILE} is older than appendonly.aof.3.incr.aof")


def test_a_newer_file_than_the_position_names(data: Path) -> None:
    note(data, file="appendonly.aof.1.incr.aof")
    assert assess(data) == "known:"


def test_files_without_a_manifest_are_damage(data: Path) -> None:
    (data / "appendonlydir" / "appendonly.aof.manifest").unlink()
    assert assess(data).startswith("damaged: appendonlydir has files, but no manifest")


@pytest.mark.parametrize("manifest", ["\0" * 120, MANIFEST[:70], f"{MANIFEST}garbage\n"])
def test_a_garbled_manifest_is_damage(data: Path, manifest: str) -> None:
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text(manifest)
    assert assess(data) == "damaged: the manifest of the append-only files is damaged"


def test_a_file_that_the_manifest_names_is_missing(data: Path) -> None:
    (data / "appendonlydir" / "appendonly.aof.2.base.rdb").unlink()
    assert assess(data) == "damaged: the append-only file appendonly.aof.2.base.rdb is missing"


def test_an_empty_base_file_is_damage(data: Path) -> None:
    (data / "appendonlydir" / BASE).write_bytes(b"")
    assert assess(data) == f"damaged: the append-only file {BASE} is empty"


def test_a_manifest_that_lost_its_base_is_damage(data: Path) -> None:
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text(MANIFEST.splitlines(keepends=True)[1])
    assert assess(data) == "damaged: the manifest of the append-only files names no base file"


def test_an_emptied_file_that_is_not_the_last_is_damage(data: Path) -> None:
    add_increment(data)
    assert assess(data) == "known:"
    (data / "appendonlydir" / FILE).write_bytes(b"")
    assert assess(data) == f"damaged: the append-only files before {NEXT} have 4 bytes, but had 1004"


def test_other_files_than_the_position_knows_are_not_compared(data: Path) -> None:
    """The end of a rewrite replaces the base file, and drops all but the last file."""
    add_increment(data)
    note(data, rest=" 9.1.2 appendonly.aof.1.base.rdb 99999")
    assert assess(data) == "known:"
    note(data, rest=" 9.1.2")
    assert assess(data) == "known:"


def test_a_snapshot_without_an_append_only_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_text("snapshot")
    assert assess(tmp_path).startswith("damaged: there is a dump.rdb")


def test_a_start_that_failed_is_damage(data: Path) -> None:
    (data / "damage").write_text("it is damaged after byte 12\n")
    assert assess(data) == "damaged: it is damaged after byte 12"


@pytest.mark.parametrize(
    ("writer", "holding"),
    [("9.1.2", "damaged"), ("8.2.0", "damaged"), ("10.0.0", "damaged"), ("8.1.4", "known"), ("7.2.9", "known")],
)
def test_data_of_a_newer_version_is_damage(data: Path, writer: str, holding: str) -> None:
    position = data / "position"
    position.write_text(f"{position.read_text().strip()} {writer}\n")
    found = shell(data, 'version=8.1.1; assess; echo "$holding: $reason"')
    reason = f"its data was written by Valkey {writer}, a newer version than 8.1.1" if holding == "damaged" else ""
    assert found == f"{holding}: {reason}".strip()


def test_a_volume_that_can_be_written_has_no_obstacle(data: Path) -> None:
    assert shell(data, "find_obstacle") == ""
    assert not (data / "probe").exists()


def test_a_replica_with_a_higher_offset_is_ahead(data: Path) -> None:
    member(data, "node-1", master_link_status="up", slave_repl_offset=5001)
    member(data, "node-2", master_link_status="down", master_link_down_since_seconds=3, slave_repl_offset=5000)
    assert ahead(data, "node-1", "node-2") == "node-1|1||"


def test_bytes_appended_after_the_position_count(data: Path) -> None:
    note(data, size=900)
    member(data, "node-1", master_link_status="up", slave_repl_offset=5100)
    member(data, "node-2", master_link_status="up", slave_repl_offset=5101)
    assert ahead(data, "node-1", "node-2") == "node-2|1||"


def test_a_replica_is_ahead_of_a_file_that_lost_its_end(data: Path) -> None:
    """What was noted, but not yet on the disk."""
    note(data, size=1300)
    assert assess(data) == "known:"
    member(data, "node-1", master_link_status="up", slave_repl_offset=5000)
    member(data, "node-2", master_link_status="up", slave_repl_offset=4000)
    assert ahead(data, "node-1", "node-2") == "node-1|1||"
    note(data, role="stopped", size=1300)
    assert ahead(data, "node-1") == "node-1|0||"


def test_nobody_is_ahead_of_a_primary_that_ended_orderly(data: Path) -> None:
    note(data, role="stopped")
    member(data, "node-1", master_link_status="up", slave_repl_offset=9000)
    assert ahead(data, "node-1") == "|1||yes"


def test_a_replica_of_another_history_is_ahead(data: Path) -> None:
    member(data, "node-1", master_link_status="up", slave_repl_offset=1, master_replid="another")
    assert ahead(data, "node-1") == "node-1|0||"


@pytest.mark.parametrize(("seen", "expected"), [(NOW + 60, "node-1|0||yes"), (NOW, "|1||yes"), (NOW - 60, "|0||yes")])
def test_among_nodes_that_have_just_started_the_latest_is_ahead(data: Path, seen: int, expected: str) -> None:
    member(data, "node-1", master_link_status="down", master_link_down_since_seconds=-1, slave_priority=LATEST - seen)
    assert ahead(data, "node-1") == expected


def test_a_node_without_sound_data_is_ahead_of_none_that_has_some(data: Path) -> None:
    member(data, "node-1", master_link_status="down", master_link_down_since_seconds=-1, slave_priority=0, db0="keys=9")
    assert ahead(data, "node-1") == "|0||yes"  # nor does it show that they are the latest
    (data / "appendonlydir" / FILE).write_bytes(b"")
    assert ahead(data, "node-1") == "|0||yes"  # both have lost something: that is for an operator to decide


@pytest.mark.parametrize("broken", ["short", "damaged"])
def test_older_data_do_not_replace_what_is_left_of_later_ones(data: Path, broken: str) -> None:
    if broken == "damaged":
        (data / "damage").write_text("it is damaged after byte 12\n")
    (data / "appendonlydir" / FILE).write_bytes(b"")
    member(data, "node-1", **FRESH, slave_priority=LATEST - NOW + 3600)
    script = 'assess; compare_with node-1; echo "$holding|$ahead|$older"'
    assert shell(data, script) == f"{broken}|| node-1"
    lost = {"master_link_status": "down", "slave_repl_offset": 9000}
    member(data, "node-1", **lost, master_link_down_since_seconds=int(time.time()) - NOW + 3600)
    assert ahead(data, "node-1").startswith("|0|")
    member(data, "node-1", **FRESH, slave_priority=LATEST - NOW + 3)
    assert shell(data, script) == f"{broken}|node-1|"
    member(data, "node-1", master_link_status="up")
    assert ahead(data, "node-1") == "node-1|0||"


def test_a_node_without_data_is_behind_any_that_has_keys(tmp_path: Path) -> None:
    (tmp_path / "members").mkdir()
    member(tmp_path, "node-1", master_link_status="down", master_link_down_since_seconds=-1, slave_priority=0)
    assert ahead(tmp_path, "node-1") == "|1||yes"
    member(
        tmp_path, "node-1", master_link_status="down", master_link_down_since_seconds=-1, slave_priority=0,
        db0="keys=9,expires=0",
    )  # fmt: skip
    assert ahead(tmp_path, "node-1") == "node-1|0||yes"


def test_members_that_cant_be_compared_are_away(data: Path) -> None:
    (data / "members" / "node-1").write_text("")
    member(data, "node-2", loading=1)
    assert ahead(data, "node-1", "node-2", "node-3") == "|0|node-1, node-2, node-3|yes"


def test_a_primary_is_ahead_but_for_a_former_one(data: Path) -> None:
    member(data, "node-1", role="master")
    assert ahead(data, "node-1") == "node-1|0||"
    script = 'topology=replicated; assess; compare_with node-1; echo "$ahead|$behind"'
    assert shell(data, script) == "|1"
    member(data, "node-1", role="master", master_replid2="history")  # promoted from what this node had
    assert shell(data, script) == "node-1|0"
    member(data, "node-1", role="master", master_replid2="earlier")
    (data / "position").unlink()
    assert shell(data, script) == "node-1|0"


def test_a_replica_that_has_not_read_its_nodes_conf_yet_is_no_primary(data: Path) -> None:
    member(data, "node-1", role="master")
    with (data / "members" / "node-1").open("a") as answers:
        answers.write(f"{OTHER} 10.0.0.11:0@17001,,tls-port=7001 myself,slave {OWN} 0 0 1 connected\n")
    assert ahead(data, "node-1") == "|0|node-1|yes"
    assert shell(data, "last_in_sync node-1") == "0"


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


def test_a_replica_that_lost_its_primary_before_this_node_led_is_not_ahead(data: Path) -> None:
    lost = {"master_link_status": "down", "master_replid": "before", "slave_repl_offset": 9000}
    member(data, "node-1", **lost, master_link_down_since_seconds=int(time.time()) - NOW + 60)
    assert ahead(data, "node-1") == "|0||yes"
    member(data, "node-1", **lost, master_link_down_since_seconds=5)
    assert ahead(data, "node-1") == "node-1|0||"


def test_an_orderly_stop_makes_the_data_of_a_replica_no_younger(data: Path) -> None:
    script = f'. {SCRIPTS}/recorder; loaded=$data; read_position; note_end; cut -d " " -f 2,9 <"$position"'
    note(data, role="slave")
    assert shell(data, script) == f"slave {NOW}"
    note(data, role="master")
    role, seen = shell(data, script).split()
    assert role == "stopped"
    assert int(seen) > NOW


def test_a_server_that_is_stopped_while_it_loads_has_led_nobody(data: Path) -> None:
    before = (data / "position").read_text()
    shell(data, f". {SCRIPTS}/recorder; loaded=$data/no; read_position; note_end")
    assert (data / "position").read_text() == before


def test_files_that_cant_be_set_aside_stay_where_they_are(data: Path) -> None:
    script = 'mkdir() { return 1; }; assess; set_aside || echo "$? $(ls "$data")"'
    assert shell(data, script).split() == ["1", "appendonlydir", "members", "position"]


def test_a_position_is_noted_with_the_size_of_all_files(data: Path) -> None:
    add_increment(data)
    answers = (
        "# Replication\nrole:master\nmaster_replid:history\nmaster_repl_offset:7000\n# Persistence\nloading:0\n"
        "aof_rewrite_scheduled:0\naof_pending_bio_fsync:0\naof_buffer_length:0\n# Keyspace\ndb0:keys=7\nPONG\n"
    )
    (data / "answers").write_text(f"PONG\n{answers * 3}")
    script = f'. {SCRIPTS}/recorder; owner= project=shop version=9.1.2 seen=1; note <"{data}/answers"; cat "$position"'
    *words, seen, version, base, earlier = shell(data, script).split()
    assert words == ["shop", "master", "history", "7000", NEXT, "1000", "1000", "7"]
    assert int(seen) > NOW
    assert [version, base, earlier] == ["9.1.2", BASE, "1004"]
    assert assess(data) == "known:"


def test_a_newcomer_without_slots_has_led_nobody(data: Path) -> None:
    (data / "answers").write_text(
        "PONG\nrole:master\nmaster_replid:h\nmaster_repl_offset:0\nloading:0\naof_rewrite_scheduled:0\n"
        "aof_pending_bio_fsync:0\naof_buffer_length:0\n# Persistence\n# Keyspace\nPONG\n"
    )
    script = f'. {SCRIPTS}/recorder; newcomer=$data/newcomer; : >"$newcomer"; ask() {{ :; }}\n'
    script += f'port=1 project=shop seen=1; note <"{data}/answers"; cut -d " " -f 2,8,9 <"$position"'
    assert shell(data, script) == "master 0 1"
    script = "topology=cluster; assess; echo $holding $(priority)"
    assert start_node(data, script).split() == ["known", "0"]
    note(data)
    assert start_node(data, script).split() == ["known", str(LATEST - NOW)]


def test_no_position_is_noted_while_the_files_are_of_the_data_before(data: Path) -> None:
    """A replica that has copied all data writes them to its disk; and a server that answers PONG alone has no data."""
    before = (data / "position").read_text()
    (data / "appendonlydir" / "temp-appendonly.aof.incr").write_bytes(b"")
    (data / "answers").write_text(
        "PONG\nrole:slave\nmaster_replid:h\nslave_repl_offset:9\nmaster_link_status:up\nloading:0\n"
        "aof_rewrite_scheduled:0\naof_pending_bio_fsync:0\naof_buffer_length:0\n# Persistence\nPONG\n"
    )
    shell(data, f'. {SCRIPTS}/recorder; project=shop seen=1; note <"{data}/answers"')
    assert (data / "position").read_text() == before


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
        ({}, True),  # nobody knows the node
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


def test_a_node_that_waits_for_long_asks_the_others_less_often(data: Path) -> None:
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


@pytest.mark.parametrize("end", [b"#", b"#TS", b"#TS:17959", b"#TS:1795933060\r"])
def test_an_incomplete_timestamp_is_removed(data: Path, end: bytes) -> None:
    file = data / "appendonlydir" / FILE
    file.write_bytes(b"*1\r\n$4\r\nPING\r\n" + end)
    shell(data, "remove_torn_timestamp")
    assert file.read_bytes() == b"*1\r\n$4\r\nPING\r\n"


@pytest.mark.parametrize("end", [b"", b"#TS:1795933060\r\n", b"*1", b"#tag", b"#TS:12\0", b"\xff#TS"])
def test_nothing_else_is_removed_before_a_start(data: Path, end: bytes) -> None:
    file = data / "appendonlydir" / FILE
    file.write_bytes(b"*1\r\n$4\r\nPING\r\n" + end)
    shell(data, "remove_torn_timestamp")
    assert file.read_bytes() == b"*1\r\n$4\r\nPING\r\n" + end


def test_a_node_without_files_has_no_timestamp(tmp_path: Path) -> None:
    shell(tmp_path, "remove_torn_timestamp")
    assert list(tmp_path.iterdir()) == []


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


def test_a_node_of_a_cluster_that_no_member_knows_waits_and_keeps_its_data(data: Path) -> None:
    member(data, "node-1")
    waits = start_node(data, "began=1; return_as_new 'its nodes.conf is lost or damaged' || cat \"$waiting\"")
    found = reasons.find(waits.splitlines()[-1], "", "make repair X")
    assert found
    assert found.text == "its nodes.conf is lost or damaged; waiting for a member that knows the cluster"
    assert "if every node has lost its nodes.conf, see docs/operations/repair.md" in found.fix
    assert (data / "appendonlydir" / FILE).exists()
    assert not list(data.glob("set-aside-*"))
