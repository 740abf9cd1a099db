"""members: which other members hold more than the node."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.infra.node_volume import FILE, FRESH, LATEST, NOW, OTHER, OWN, assess, member, note, shell


def ahead(data: Path, *names: str) -> str:
    return shell(data, f'assess; compare_with {" ".join(names)}; echo "$ahead|$behind|$away|$fresh_only"')


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


def test_no_node_is_ahead_of_a_primary_that_stopped_cleanly(data: Path) -> None:
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


def test_a_primary_is_ahead_unless_it_was_replaced(data: Path) -> None:
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


def test_a_replica_that_lost_its_primary_before_this_node_led_is_not_ahead(data: Path) -> None:
    lost = {"master_link_status": "down", "master_replid": "before", "slave_repl_offset": 9000}
    member(data, "node-1", **lost, master_link_down_since_seconds=int(time.time()) - NOW + 60)
    assert ahead(data, "node-1") == "|0||yes"
    member(data, "node-1", **lost, master_link_down_since_seconds=5)
    assert ahead(data, "node-1") == "node-1|0||"


@pytest.mark.parametrize(("run_id", "refreshed", "is_known"), [("r", 9_000, True), ("r", 0, False), ("", 9_000, False)])
def test_a_primary_last_responded_when_any_sentinel_heard_it(
    data: Path, run_id: str, refreshed: int, is_known: bool
) -> None:
    """The time counts from a Sentinel's start, or from a failover, where the primary has not responded since."""
    folder = data / "members.sentinels"
    folder.mkdir()
    for sentinel, seconds in ((1, 600), (2, 4_000), (3, None)):
        values = {
            "ip": "10.0.0.11",
            "port": 7001,
            "runid": run_id,
            "last-ok-ping-reply": (seconds or 0) * 1000,
        }
        lines = {**values, "info-refresh": refreshed} if seconds else {}
        (folder / str(sentinel)).write_text("".join(f"{key}\n{value}\n" for key, value in lines.items()))
    script = "ask_sentinels() { :; }; last_response_of '10.0.0.12 7002'; last_response_of '10.0.0.11 7001'"
    found = [time.time() - int(line) for line in shell(data, script).split()]
    assert len(found) == is_known
    assert all(600 <= ago < 2_000 for ago in found)
