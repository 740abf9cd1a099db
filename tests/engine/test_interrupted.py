"""Commands that were cut off, locked out or given at the wrong time: completed later, or never begun."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml
from valkeykit.connection import connect

from harness.project import Project
from infra.drivers.topology.node_executor import wait_until
from stackctl import config_change, journal
from stackctl.errors import StackError, UpdateError
from stackctl.journal import JournalEntry
from stackctl.operations import rotation
from stackctl.stack import Stack

ROTATE = "make rotate STACK=test"


def cut_off(project: Project, changes: dict[str, str], command: str = ROTATE) -> None:
    """As a command leaves it that is killed when it has written the configuration."""
    journal.write(project.root, project.stack.name, JournalEntry(command, changes))
    project.stack.configure(changes)


def rotate(project: Project) -> None:
    config_change.apply(project.stack, lambda: rotation.begin(project.stack), ROTATE)


def finish(project: Project, *, force: bool = False) -> None:
    config_change.apply(project.stack, lambda: rotation.finish(project.stack, force=force), f"{ROTATE} FINISH=1")


def is_valid(url: str) -> bool:
    try:
        with connect(url) as client:
            return bool(client.ping())
    except redis.AuthenticationError:
        return False


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "TRIAL_SECONDS", 0.5)


@pytest.mark.usefixtures("quick")
def test_a_rotation_that_was_cut_off_is_completed_and_not_finished(project: Project) -> None:
    project.stack.up()
    old = project.stack.outputs()["url"]
    cut_off(project, {"passwordRotation": "first"})
    with pytest.raises(StackError, match=r"the rotation first isn't complete.* -> make rotate STACK=test$"):
        rotation.finish(project.stack, force=True)
    assert str(config_change.interrupted(project.stack)).startswith(f"`{ROTATE}` of ")
    rotate(project)
    new = project.stack.outputs()["url"]
    assert project.stack.configuration()["passwordRotation"] == "first"
    assert new != old
    assert is_valid(old)
    assert is_valid(new)
    assert config_change.interrupted(project.stack) is None

    cut_off(project, {"completedRotation": "first"})
    finish(project)
    assert not is_valid(old)
    assert project.stack.outputs()["url"] == new
    assert is_valid(new)
    with pytest.raises(StackError, match="no rotation is in progress"):
        finish(project)


def test_no_update_makes_a_password_and_ends_the_one_before_it(project: Project) -> None:
    project.stack.up()
    url = project.stack.outputs()["url"]
    for rotated, retired in (("first", "first"), ("", "")):
        project.configure(passwordRotation=rotated, completedRotation=retired)
        if rotated:
            with pytest.raises(StackError, match="which is not carried out yet -> pulumi config rm completedRotation"):
                project.stack.up()
    assert project.stack.outputs()["url"] == url
    assert is_valid(url)


def test_the_configuration_is_as_before_where_nothing_was_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.stack.up()
    before = project.stack.read_configuration()

    def fail(has_begun: bool) -> None:
        def up(_stack: Stack) -> bool:
            raise UpdateError("locked", has_begun=has_begun)

        monkeypatch.setattr(Stack, "up", up)
        with pytest.raises(UpdateError, match="locked"):
            config_change.apply(project.stack, lambda: {"memory": "64mb"}, "make scale STACK=test MEMORY=64mb")

    fail(has_begun=False)
    assert project.stack.read_configuration() == before
    assert journal.read(project.root, "test") is None
    monkeypatch.undo()
    with monkeypatch.context() as patched:
        query = Stack.query
        patched.setattr(Stack, "_prepare", lambda stack: query(stack, "stack", "ls", "--no-such-option"))
        with pytest.raises(UpdateError, match="no-such-option"):
            config_change.apply(project.stack, lambda: {"memory": "64mb"}, "make scale STACK=test MEMORY=64mb")
    assert project.stack.read_configuration() == before
    assert journal.read(project.root, "test") is None

    fail(has_begun=True)
    assert project.stack.configuration()["memory"] == "64mb"
    assert config_change.interrupted(project.stack)
    monkeypatch.undo()
    project.configure(memory="96mb")  # what the operator sets since counts
    assert config_change.interrupted(project.stack) is None


def test_what_the_operator_sets_during_the_preview_is_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.configure(memory="64mb")
    monkeypatch.setattr(Stack, "check", lambda _stack, *_options: project.configure(workload="queue"))
    with pytest.raises(StackError, match="was changed during the preview, so nothing was changed -> make scale"):
        config_change.apply(project.stack, lambda: {"memory": "96mb"}, "make scale STACK=test MEMORY=96mb")
    known = project.stack.configuration()
    assert (known["memory"], known["workload"]) == ("64mb", "queue")
    assert journal.read(project.root, "test") is None


@contextmanager
def connecting_for_each_request(url: str) -> Iterator[None]:
    """As PHP does it."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            try:
                with redis.Redis.from_url(url) as client:
                    client.set("key", "value")
            except redis.AuthenticationError:
                pass

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_short_connections_with_the_previous_password_are_detected(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "TRIAL_SECONDS", 600.0)  # it ends with the first one
    project.stack.up()
    old = project.stack.outputs()["url"]
    rotate(project)
    with connecting_for_each_request(old):
        with pytest.raises(StackError, match=r"logins .* rejected .* with a previous password: app from 127.0.0.1 \("):
            finish(project)
        assert rotation.finish(project.stack, force=False, dry=True)
    assert is_valid(old)
    assert project.stack.configuration().get("completedRotation", "") == ""
    with project.client() as client:
        known = client.acl_getuser("app")
        assert known
        assert len(known["passwords"]) == 2
        password = project.stack.outputs()["url"].split(":")[2].split("@")[0]
        assert hashlib.sha256(password.encode()).hexdigest() in known["passwords"]
    finish(project, force=True)
    assert not is_valid(old)


def test_a_restore_that_is_cut_off_leaves_no_part_of_a_configuration(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.stack.create()
    project.configure(memory="64mb", port="7399")
    into = Stack.open("second", project.root)
    query = Stack.query

    def interrupt(stack: Stack, *arguments: str) -> str:
        if "rm" in arguments:
            raise KeyboardInterrupt
        return query(stack, *arguments)

    def copy() -> None:
        into.copy_configuration(project.stack, leaving_out=("port",), changes={"restoreFrom": "dump.rdb"})

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "query", interrupt)
        with pytest.raises(KeyboardInterrupt):
            copy()
    assert "config:" not in (into.read_configuration() or "")
    copy()
    written = yaml.safe_load(into.read_configuration() or "")["config"]
    assert written == {"valkey:memory": "64mb", "valkey:restoreFrom": "dump.rdb"}


FINISH = """
import signal
import sys
from pathlib import Path
from stackctl.operations import rotation
from stackctl.stack import Stack
rotation.TRIAL_SECONDS = 600.0
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which a background job ignores
rotation.finish(Stack.open("test", Path(sys.argv[1])), force=False)
"""


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.thorough), signal.SIGHUP])
def test_the_old_passwords_are_valid_again_when_their_trial_is_killed(project: Project, number: signal.Signals) -> None:
    project.stack.up()
    old = project.stack.outputs()["url"]
    rotate(project)
    command = [sys.executable, "-c", FINISH, str(project.root)]
    with subprocess.Popen(command, cwd=Path(rotation.__file__).parent.parent, start_new_session=True) as trial:
        wait_until(lambda: passwords(project) == 1, 120, "the trial has not begun")
        os.killpg(trial.pid, number)
    wait_until(lambda: passwords(project) == 2, 60, "the old password is off")
    assert is_valid(old)


def passwords(project: Project) -> int:
    with project.client() as client:
        known = client.acl_getuser("app")
        assert known
        return len(known["passwords"])
