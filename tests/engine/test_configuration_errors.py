"""Configuration errors: one clear line, an exit code, and nothing changes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from harness.project import Project
from infra.drivers.processes import ports
from stackctl.errors import StackError


def refused(project: Project, *expected: str) -> None:
    """`pulumi up` fails with these words, without a traceback, and registers nothing of ours."""
    result = project.pulumi("up", "--yes", "--skip-preview")
    assert result.returncode != 0
    said = result.stdout + result.stderr
    for text in expected:
        assert text in said
    assert "Traceback" not in said
    assert [r for r in project.resources() if "valkey:" in r["type"] and "Stack" not in r["type"]] == []
    assert not project.folder.path.exists()


def test_every_error_is_reported_before_anything_changes(project: Project) -> None:
    project.configure(target="embeded", memory="2 gigs", worklaod="queue", port="80")  # codespell:ignore
    refused(
        project,
        "4 configuration errors",
        "  target is",
        "'2 gigs'",
        "did you mean workload",
        "pulumi config set port",
    )


def test_a_renamed_project_reads_its_own_keys(project: Project) -> None:
    file = project.root / "Pulumi.yaml"
    file.write_text(file.read_text().replace("name: valkey\n", "name: acme-cache\n"))
    project.configure(memory="2 gigs", memry="1")
    refused(project, "2 configuration errors", "memory is '2 gigs'", "memry is an unknown key")
    assert project.stack.configuration()["memory"] == "2 gigs"
    project.configure(**{"valkey:memory": "64mb"})
    refused(project, "memory is not read, since the project is called acme-cache")


def test_a_word_where_a_number_belongs(project: Project) -> None:
    project.configure(port="six")
    refused(project, "  port is 'six'", "pulumi config set port 6380")


def test_settings_beyond_the_machine_are_reported_together(project: Project) -> None:
    with socket.socket() as busy:
        busy.bind((ports.HOST, 0))
        busy.listen()
        project.configure(memory="99999gb", version="7.2", port=str(busy.getsockname()[1]), restoreFrom="nowhere.rdb")
        refused(
            project,
            "memory is 99999gb, but the machine has",
            "Valkey 7.2 is not available",
            "is in use by python",
            f"(pid {os.getpid()})",
            "nowhere.rdb: No such file or directory",
        )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an RDB file"),
        (b"PK\x03\x04 a zip file", "is not an RDB file"),
        (b"REDIS0012" + bytes(100), "is of RDB version 12 (Redis 7.4 or newer)"),
        (b"VALKEY081" + bytes(100), "is of RDB version 81"),
    ],
)
def test_a_file_that_is_no_dump(project: Project, content: bytes, reason: str) -> None:
    (project.root / "dump.rdb").write_bytes(content)
    project.configure(restoreFrom="dump.rdb")
    refused(project, reason)


def test_a_truncated_dump(project: Project) -> None:
    project.stack.up()
    with project.client() as client:
        client.mset({f"key:{number}": number for number in range(1000)})
    project.stack.down()
    (snapshot,) = project.folder.path.iterdir()
    dump = project.root / "dump.rdb"
    dump.write_bytes(snapshot.read_bytes()[:-20])
    snapshot.unlink()
    snapshot.parent.rmdir()
    project.configure(restoreFrom="dump.rdb")
    refused(project, "is truncated or damaged")


def test_a_data_folder_of_something_else(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "documents"
    other.mkdir()
    (other / "thesis.doc").touch()
    project.configure(dataDir=str(other))
    refused(project, "has files that belong to something else (thesis.doc)", "pulumi config set dataDir")
    assert [entry.name for entry in other.iterdir()] == ["thesis.doc"]


@pytest.mark.parametrize(("key", "value"), [("dataDir", "elsewhere"), ("restoreFrom", "dump.rdb")])
def test_what_cant_change_on_a_live_stack(project: Project, key: str, value: str) -> None:
    project.stack.up()
    pid = project.server().pid
    project.configure(**{key: value})
    result = project.pulumi("up", "--yes", "--skip-preview")
    assert result.returncode != 0
    assert f"{key}" in result.stdout
    assert "Traceback" not in result.stdout
    assert project.server().pid == pid


def test_a_failing_change_is_one_line_and_can_be_taken_back(project: Project) -> None:
    project.configure(workload="queue", memory="64mb")
    project.stack.up()
    with project.client() as client:
        for number in range(20):
            client.set(f"key:{number}", b"x" * 1024**2)
    project.configure(memory="16mb")
    result = project.pulumi("up", "--yes", "--skip-preview")
    assert result.returncode != 0
    assert "every write would fail -> pulumi config set memory <more>" in result.stdout
    assert "Traceback" not in result.stdout
    project.configure(memory="64mb")
    assert project.stack.up() is False


def test_a_stack_that_doesnt_exist(project: Project) -> None:
    for ask in (project.stack.outputs, project.stack.down):
        with pytest.raises(StackError, match=r"there is no stack test .* -> make up STACK=test"):
            ask()


def test_a_stack_that_isnt_up(project: Project) -> None:
    project.configure(memory="64mb")
    with pytest.raises(StackError, match="isn't up -> make up STACK=test"):
        project.stack.outputs()


def test_a_wrong_passphrase(project: Project) -> None:
    project.stack.up()
    (project.root / ".valkey" / "passphrase").write_text("wrong")
    for ask in (project.stack.outputs, project.stack.up):
        with pytest.raises(StackError, match=r"passphrase.* -> set PULUMI_CONFIG_PASSPHRASE_FILE"):
            ask()


def test_a_lock_that_another_command_holds(project: Project) -> None:
    project.stack.up()
    lock = _lock(project, os.uname().nodename, os.getppid())
    lock.write_text(lock.read_text().replace(os.uname().nodename, "another-machine"))
    with pytest.raises(StackError, match=r"another pulumi command .* -> wait for it"):
        project.stack.up()
    assert lock.exists()


def test_a_lock_that_a_killed_command_left_is_no_obstacle(project: Project) -> None:
    project.stack.up()
    lock = _lock(project, os.uname().nodename, 2**22 + 1)
    assert project.stack.up() is False
    assert not lock.exists()


def test_the_lock_of_a_command_that_ended_and_is_not_reaped_is_no_obstacle(project: Project, tmp_path: Path) -> None:
    project.stack.up()
    command = tmp_path / "pulumi"
    command.symlink_to("/bin/true")
    with subprocess.Popen([command]) as ended:
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)
        lock = _lock(project, os.uname().nodename, ended.pid)
        assert project.stack.up() is False
    assert not lock.exists()


def _lock(project: Project, host: str, pid: int) -> Path:
    folder = project.root / ".valkey/state/.pulumi/locks/organization/valkey" / project.stack.name
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "0b0e0d0c-0000-4000-8000-000000000000.json"
    lock.write_text(json.dumps({"pid": pid, "username": "me", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"}))
    return lock
