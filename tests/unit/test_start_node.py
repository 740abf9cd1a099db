"""compose/bin/holdings and members: what a node's volume amounts to, and which other members hold more."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from infra.local.docker.files import SCRIPTS

NOW = 1_790_000_000
LATEST = 2**31 - 1
FILE = "appendonly.aof.2.incr.aof"
MANIFEST = f"file appendonly.aof.2.base.rdb seq 2 type b\nfile {FILE} seq 2 type i\n"


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


def note(data: Path, role: str = "master", offset: int = 5000, size: int = 1000, file: str = FILE) -> None:
    (data / "position").write_text(f"shop {role} history {offset} {file} {size} 1000 7 {NOW}\n")


def member(data: Path, name: str, **fields: object) -> None:
    """What another member answered."""
    known = {"role": "slave", "loading": 0, "slave_priority": 100, "master_replid": "history", **fields}
    (data / "members" / name).write_text("".join(f"{key}:{value}\n" for key, value in known.items()))


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


def test_nobody_is_ahead_of_a_primary_that_ended_orderly(data: Path) -> None:
    note(data, role="stopped")
    member(data, "node-1", master_link_status="up", slave_repl_offset=9000)
    assert ahead(data, "node-1") == "|1||yes"


def test_a_replica_of_another_history_is_ahead(data: Path) -> None:
    member(data, "node-1", master_link_status="up", slave_repl_offset=1, master_replid="another")
    assert ahead(data, "node-1") == "node-1|0||"


@pytest.mark.parametrize(("seen", "expected"), [(NOW + 60, "node-1|0||yes"), (NOW, "|1||yes"), (NOW - 60, "|1||yes")])
def test_among_nodes_that_have_just_started_the_latest_is_ahead(data: Path, seen: int, expected: str) -> None:
    member(data, "node-1", master_link_status="down", master_link_down_since_seconds=-1, slave_priority=LATEST - seen)
    assert ahead(data, "node-1") == expected


def test_a_node_without_sound_data_is_ahead_of_none_that_has_some(data: Path) -> None:
    member(data, "node-1", master_link_status="down", master_link_down_since_seconds=-1, slave_priority=0, db0="keys=9")
    assert ahead(data, "node-1") == "|1||yes"
    (data / "appendonlydir" / FILE).write_bytes(b"")
    assert ahead(data, "node-1") == "|1||yes"  # both have lost something: that is for an operator to decide


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
    (data / "position").unlink()
    assert shell(data, script) == "node-1|0"


def test_a_replica_that_lost_its_primary_before_this_node_led_is_not_ahead(data: Path) -> None:
    lost = {"master_link_status": "down", "master_replid": "before", "slave_repl_offset": 9000}
    member(data, "node-1", **lost, master_link_down_since_seconds=int(time.time()) - NOW + 60)
    assert ahead(data, "node-1") == "|1||yes"
    member(data, "node-1", **lost, master_link_down_since_seconds=5)
    assert ahead(data, "node-1") == "node-1|0||"


def test_an_orderly_stop_makes_the_data_of_a_replica_no_younger(data: Path) -> None:
    script = f'. {SCRIPTS}/recorder; read_position; note_end; cut -d " " -f 2,9 <"$position"'
    note(data, role="slave")
    assert shell(data, script) == f"slave {NOW}"
    note(data, role="master")
    role, seen = shell(data, script).split()
    assert role == "stopped"
    assert int(seen) > NOW


def test_files_that_cant_be_set_aside_stay_where_they_are(data: Path) -> None:
    script = 'mkdir() { return 1; }; assess; set_aside || echo "$? $(ls "$data")"'
    assert shell(data, script).split() == ["1", "appendonlydir", "members", "position"]
