"""No command destroys what only one of both servers has."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from valkeykit_ops.migrate.cut_over_step import CutOver
from valkeykit_ops.migrate.safety import UnsafeOperationError

from harness.servers import ServerProcess
from tests.migrate import data, harness

WRITES = ("restore", "unlink", "del", "rename", "renamenx", "pexpireat", "set", "flushall", "append", "function|load")


@pytest.fixture
def switched(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    """Ten keys were migrated and cut over; then clients wrote to the new server."""
    ours.mset({f"key:{number}": "old" for number in range(10)})
    assert harness.migrate(old.url, new.url, state, CutOver(quiet=0.1)).complete
    theirs.set("key:1", "new")
    theirs.set("order:1", "new")
    theirs.delete("key:2")


def written(client: Any) -> dict[str, int]:
    """Calls of commands that write."""
    return {
        name: row["calls"]
        for name, row in client.info("commandstats").items()
        if name.removeprefix("cmdstat_") in WRITES
    }


@pytest.mark.usefixtures("switched")
@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        pytest.param(["cut-over", "--quiet", "0.1"], marks=pytest.mark.thorough),
        pytest.param(["run", "--conflict", "replace"], marks=pytest.mark.thorough),
    ],
)
def test_a_command_that_is_repeated_after_the_cut_over(
    command: list[str], old: ServerProcess, new: ServerProcess, theirs: Any, state: Path, tmp_path: Path
) -> None:
    before = data.snapshot(theirs)
    done = harness.command(*command, old.url, new.url, "--state", state, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert "was cut over at" in done.stderr
    assert "valkeykit migrate verify" in done.stderr
    assert data.snapshot(theirs) == before


@pytest.mark.usefixtures("switched")
def test_verification_writes_to_neither_server(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, tmp_path: Path
) -> None:
    contents = data.snapshot(ours), data.snapshot(theirs)
    before = written(ours), written(theirs)
    report = (state / "report.json").read_text()
    done = harness.command("verify", old.url, new.url, "--state", state, "--json", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {(one["key"], one["verdict"]) for one in found["differences"]} == {
        ("key:1", "different"), ("key:2", "missing"), ("order:1", "unexpected"),
    }  # fmt: skip
    assert (written(ours), written(theirs)) == before
    assert (data.snapshot(ours), data.snapshot(theirs)) == contents
    assert (state / "report.json").read_text() == report
    assert json.loads((state / "verification.json").read_text())["complete"] is False


def test_verification_with_the_scope_of_the_migration(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, tmp_path: Path
) -> None:
    ours.mset({"a:1": 1, "b:1": 1})
    assert harness.command("run", old.url, new.url, "--rename", "a:=c:", cwd=tmp_path).returncode == 0
    assert harness.command("verify", old.url, new.url, cwd=tmp_path).returncode == 0
    theirs.set("c:1", 2)
    assert harness.command("verify", old.url, new.url, cwd=tmp_path).returncode == 4
    assert theirs.get("c:1") == b"2"


def test_verification_compares_functions(old: ServerProcess, new: ServerProcess, ours: Any, tmp_path: Path) -> None:
    ours.set("a", 1)
    assert harness.command("run", old.url, new.url, cwd=tmp_path).returncode == 0
    ours.function_load("#!lua name=late\nredis.register_function('late', function() return 1 end)\n")
    assert harness.command("verify", old.url, new.url, cwd=tmp_path).returncode == 4
    assert json.loads((tmp_path / "valkeykit-migration" / "verification.json").read_text())["functions"] == {
        "late": "missing"
    }


def test_no_reverse_migration_without_a_cut_over(
    old: ServerProcess, new: ServerProcess, ours: Any, tmp_path: Path
) -> None:
    ours.set("a", 1)
    for command in ("plan", "run"):
        assert harness.command(command, old.url, new.url, cwd=tmp_path).returncode == 0
        refused = harness.command("reverse", old.url, new.url, "--yes", cwd=tmp_path)
        assert refused.returncode == 5
        assert "has no cut-over" in refused.stderr
    assert ours.dbsize() == 1


@pytest.mark.usefixtures("switched")
def test_a_reverse_migration_needs_a_confirmation(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, tmp_path: Path
) -> None:
    ours.set("written:here", 1)
    asked = harness.command("reverse", old.url, new.url, "--state", state, cwd=tmp_path)
    assert asked.returncode == 5
    assert (
        f"previous server: redis 7.0.15 at 127.0.0.1:{old.port}: 11 keys, 1 writes since the cut-over" in asked.stderr
    )
    assert f"at 127.0.0.1:{new.port}: 10 keys, 3 writes since the cut-over" in asked.stderr
    assert "pass --yes" in asked.stderr
    assert ours.get("key:1") == b"old"
    swapped = harness.command("reverse", new.url, old.url, "--yes", "--state", state, cwd=tmp_path)
    assert swapped.returncode == 1
    assert "source and target are swapped" in swapped.stderr
    agreed = harness.command("reverse", old.url, new.url, "--yes", "--state", state, cwd=tmp_path)
    assert agreed.returncode == 0, agreed.stderr
    assert data.snapshot(ours) == data.snapshot(theirs)


@pytest.mark.usefixtures("switched")
def test_a_reverse_migration_from_an_empty_server(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, tmp_path: Path
) -> None:
    theirs.flushall()
    refused = harness.command("reverse", old.url, new.url, "--yes", "--state", state, cwd=tmp_path)
    assert refused.returncode == 5
    assert "has no keys; the previous one has 10" in refused.stderr
    assert ours.dbsize() == 10


@pytest.mark.usefixtures("switched")
def test_the_switch_back_is_a_cut_over_too(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path, tmp_path: Path
) -> None:
    back = ("reverse", old.url, new.url, "--state", state)
    done = harness.command(*back, "--yes", "--cut-over", "--quiet", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours.set("key:1", "written after the switch back")
    repeated = harness.command(*back, cwd=tmp_path)
    assert repeated.returncode == 5
    assert ours.get("key:1") == b"written after the switch back"
    with contextlib.suppress(UnsafeOperationError):
        harness.migrate(old.url, new.url, state)
    assert theirs.get("key:1") == b"new"


def test_a_reverse_migration_that_was_not_confirmed(old: ServerProcess, new: ServerProcess, state: Path) -> None:
    with pytest.raises(UnsafeOperationError, match="not confirmed"):
        harness.migrate(new.url, old.url, state, reverse=True)


@pytest.mark.usefixtures("switched")
def test_a_run_with_swapped_servers(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, tmp_path: Path
) -> None:
    swapped = harness.command("run", new.url, old.url, "--state", state, cwd=tmp_path)
    assert swapped.returncode == 1
    assert "source and target are swapped" in swapped.stderr
    assert ours.dbsize() == 10
