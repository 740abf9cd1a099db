"""holdings: what a node's volume amounts to."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.infra.node_volume import BASE, FILE, MANIFEST, NEXT, NOW, add_increment, assess, note, shell


def test_a_complete_volume_is_recognized(data: Path) -> None:
    assert assess(data) == "known:"


def test_without_a_position_it_is_unknown(data: Path) -> None:
    (data / "position").unlink()
    assert assess(data) == "unknown:"


@pytest.mark.parametrize("garbage", ["", "\0\0\0", "shop master x y z\n", "shop master history 5000\n"])
def test_a_garbled_position_counts_for_nothing(data: Path, garbage: str) -> None:
    (data / "position").write_text(garbage)
    assert assess(data) == "unknown:"


def test_a_time_in_the_future_is_earlier_than_any_other(data: Path) -> None:
    """The clock was ahead while such a position was recorded, and others were recorded after it was corrected."""

    def seen(later: int) -> int:
        position = (data / "position").read_text().rpartition(" ")[0]
        (data / "position").write_text(f"{position} {int(time.time()) + later}\n")
        return int(shell(data, "read_position; echo $seen"))

    assert 1 < seen(86_400) < seen(90_000) < NOW
    assert seen(0) > NOW
    assert seen(8) > NOW


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


def test_files_that_the_position_does_not_list_are_not_compared(data: Path) -> None:
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


def test_files_that_cant_be_set_aside_stay_where_they_are(data: Path) -> None:
    script = 'mkdir() { return 1; }; assess; set_aside || echo "$? $(ls "$data")"'
    assert shell(data, script).split() == ["1", "appendonlydir", "members", "position"]


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
