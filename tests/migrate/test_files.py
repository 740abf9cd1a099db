"""RDB and append-only files as a source."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness import binaries
from harness.servers import ServerProcess
from tests.migrate import data, harness


@pytest.mark.parametrize("source", ["redis-6.2", "redis-7.0", "redis-7.4", "valkey-8.1", "valkey-9.1"])
def test_an_rdb_file(source: str, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", source) as server, data.raw(server.port) as client:
        data.fill(client, random.Random(source), 300)
        client.save()
        plain = source == "redis-6.2"
        there = data.snapshot(client, plain=plain)
    done = harness.command("run", tmp_path / "old" / "dump.rdb", new.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data.snapshot(theirs, plain=plain) == there


def test_an_rdb_file_with_field_ttls_needs_a_server_that_supports_them(
    new: ServerProcess, theirs: Any, tmp_path: Path
) -> None:
    with harness.started(tmp_path / "old", "redis-7.4") as server, data.raw(server.port) as client:
        data.fields_that_end(client, b"ends")
        client.save()
    file = tmp_path / "old" / "dump.rdb"
    refused = harness.command("run", file, new.url, cwd=tmp_path)
    assert refused.returncode == 1
    assert "cannot be loaded" in refused.stderr
    assert "--scratch-server" in refused.stderr
    scratch = ("--scratch-server", binaries.program("redis-7.4"))
    assert harness.command("run", file, new.url, *scratch, cwd=tmp_path).returncode == 0
    assert theirs.execute_command("HPTTL", "ends", "FIELDS", 1, "f0")[0] > 0


@pytest.mark.parametrize("source", ["redis-6.2", "redis-7.0", "valkey-9.1"])
def test_append_only_files(source: str, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", source, "--appendonly", "yes") as server, data.raw(server.port) as client:
        data.fill(client, random.Random(source), 200)
        there = data.snapshot(client, plain=True)  # such a file doesn't keep a stream's counters
        server.stop()
    folder = tmp_path / "old"
    file = folder / "appendonly.aof" if source == "redis-6.2" else folder / "appendonlydir"
    kept = file.stat().st_mtime_ns
    done = harness.command("run", file, new.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data.snapshot(theirs, plain=True) == there
    assert file.stat().st_mtime_ns == kept


def test_a_truncated_append_only_folder(new: ServerProcess, tmp_path: Path) -> None:
    with (
        harness.started(tmp_path / "old", "redis-7.0", "--appendonly", "yes") as server,
        data.raw(server.port) as client,
    ):
        client.mset({f"key:{number}": "v" * 100 for number in range(100)})
        server.stop()
    part = next((tmp_path / "old" / "appendonlydir").glob("*.incr.aof"))
    part.write_bytes(part.read_bytes()[:-20])
    shown = harness.command("run", tmp_path / "old" / "appendonlydir", new.url, cwd=tmp_path)
    assert shown.returncode == 1
    assert "cannot be loaded" in shown.stderr


def test_a_folder_that_is_no_append_only_folder(new: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "0 manifests" in harness.command("run", tmp_path / "folder", new.url, cwd=tmp_path).stderr


def test_a_file_is_copied_once(old: ServerProcess, ours: Any, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    """A complete copy isn't repeated: clients may have written to the target since."""
    ours.mset({f"key:{number}": number for number in range(1000)})
    ours.save()
    shutil.copy(old.folder / "dump.rdb", tmp_path / "dump.rdb")
    assert harness.command("run", "dump.rdb", new.url, cwd=tmp_path).returncode == 0
    theirs.set("key:1", "written since")
    assert harness.command("run", "dump.rdb", new.url, cwd=tmp_path).returncode == 5
    assert theirs.get("key:1") == b"written since"
    assert theirs.dbsize() == 1000
