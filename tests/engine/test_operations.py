"""What an operator does to a stack that is up, and what is refused before anything is touched."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
from valkeykit.connection import connect

from harness.project import Project
from infra.drivers.processes import process
from stackctl import config_change
from stackctl.errors import StackError
from stackctl.operations import backup, card, failover, restore, rotation
from stackctl.stack import Stack


def test_a_refused_change_leaves_the_configuration(project: Project) -> None:
    project.stack.up()
    with pytest.raises(StackError):
        config_change.apply(project.stack, lambda: {"memory": "1kb"}, "make scale")
    with pytest.raises(StackError):
        config_change.apply(project.stack, lambda: {"version": "1.0", "memory": "64mb"}, "make upgrade")
    assert project.stack.configuration()["memory"] == "256mb"
    assert not project.stack.up()


def test_up_is_rehearsed_before_there_is_anything(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.stack.query("stack", "select", "--create", "other")
    project.stack.create()
    project.stack.dry_run()
    assert "valkey:Server: (create)" in capfd.readouterr().out
    assert project.stack.query("stack", "--show-name").strip() == "other"
    assert project.resources() == []
    assert process.find(project.folder) is None


def test_a_rehearsal_changes_nothing(project: Project) -> None:
    project.stack.query("stack", "init", "other")
    project.stack.up()
    assert project.stack.query("stack", "--show-name").strip() == "other"  # what the user selected stays
    state = project.pulumi("stack", "export").stdout
    config_change.preview(project.stack, lambda: {"memory": "64mb"})
    assert project.pulumi("stack", "export").stdout == state
    assert project.stack.configuration()["memory"] == "256mb"
    with project.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(256 * 1024**2)}
    assert config_change.apply(project.stack, lambda: {"memory": "64mb"}, "make scale")
    with project.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 1024**2)}


def test_a_rotation_ends_when_no_connection_has_a_previous_login(project: Project) -> None:
    project.stack.up()
    with pytest.raises(StackError, match="no rotation is in progress"):
        rotation.finish(project.stack, force=False)
    with connect(project.stack.outputs()["url"]) as old:
        old.set("key", "value")
        config_change.apply(project.stack, lambda: rotation.begin(project.stack), "make rotate")
        old.get("key")
        with pytest.raises(StackError, match="isn't finished"):
            rotation.begin(project.stack)
        with connect(project.stack.outputs()["url"]) as new:
            new.get("key")
            with pytest.raises(StackError, match=re.escape("perhaps with a previous password: app from 127.0.0.1 (1)")):
                rotation.finish(project.stack, force=False)
        assert rotation.finish(project.stack, force=True)
    config_change.apply(project.stack, lambda: rotation.finish(project.stack, force=False), "make rotate")
    with pytest.raises(StackError, match="no rotation is in progress"):
        rotation.finish(project.stack, force=False)


def test_a_failover_without_a_replica_is_rejected(project: Project) -> None:
    project.stack.up()
    for drill in (failover.preview, failover.run):
        with pytest.raises(StackError, match="its topology is single"):
            list(drill(project.stack))


@pytest.mark.thorough
def test_a_backup_becomes_a_stack_of_its_own(project: Project) -> None:
    into = Stack.open("second", project.root)
    project.configure(port="7399", memory="64mb")
    project.stack.up()
    with project.client() as client:
        client.set("key", "value")
    with pytest.raises(StackError, match="there is no backup"):
        restore.prepare(project.stack, into, "", dry=False)
    backup.take(project.stack)
    empty = project.root / "empty.rdb"
    empty.touch()
    for dry in (True, False):
        with pytest.raises(StackError, match=r"empty.rdb is not an RDB file -> FROM=<file or folder of another b"):
            restore.prepare(project.stack, into, str(empty), dry=dry)
        with pytest.raises(StackError, match="Is a directory -> FROM=<file or folder of another backup>"):
            restore.prepare(project.stack, into, str(project.root), dry=dry)
    restore.prepare(project.stack, into, "", dry=True)
    with pytest.raises(StackError, match="there is no stack second"):
        into.configuration()
    for _ in range(2):  # as after one that was killed
        restore.prepare(project.stack, into, "", dry=False)
    _kill_while_it_comes_up(into)
    begun = restore.prepare(project.stack, into, "", dry=False)
    assert begun == into.configuration()["restoreFrom"]
    into.up()
    with connect(into.outputs()["url"]) as client:
        assert client.get("key") == "value"
    assert into.configuration()["memory"] == "64mb"
    with pytest.raises(StackError, match="the stack second is up"):
        restore.prepare(project.stack, into, "", dry=False)
    into.down()


def _kill_while_it_comes_up(stack: Stack) -> None:
    """As soon as the state has something, and outputs are not known yet."""
    command = ["pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "--stack", stack.name]
    run = subprocess.Popen(
        command, cwd=stack.root, env=stack.environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    while not stack.has_resources():
        assert run.poll() is None
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def test_the_card_holds_no_secret(project: Project) -> None:
    project.configure(memory="16mb")
    project.pulumi("config", "set", "--path", "contacts.full", "the data team")
    project.stack.up()
    page = card.render(project.stack)
    outputs = project.stack.outputs()
    for url in ("url", "adminUrl", "monitorUrl"):
        password = re.search(r":([^:@/]+)@", outputs[url])
        assert password
        assert password[1] not in page
    node = outputs["endpoint"]["nodes"][0]
    assert f"| app | `redis://app:PASSWORD@{node['host']}:{node['port']}/0` |" in page
    assert "| full | the data team |" in page
