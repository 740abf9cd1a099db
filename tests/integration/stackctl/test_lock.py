"""One command at a time on a stack, and what a killed one leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stackctl import lock
from stackctl.errors import StackError

HOLDER = """
import sys, time
from pathlib import Path
from stackctl import lock
with lock.exclusive(Path(sys.argv[1]), "web", "make rotate STACK=web"):
    print("held", flush=True)
    time.sleep(600)
"""

CONTENDER = """
import sys, time
from pathlib import Path
from stackctl import lock
from stackctl.errors import StackError
root, entered = Path(sys.argv[1]), 0
while entered < 20:
    try:
        with lock.exclusive(root, "web", "make up"):
            (root / "inside").mkdir()
            entered += 1
            (root / "inside").rmdir()
    except StackError:
        time.sleep(0.001)
"""


def test_a_second_command_is_rejected_until_the_first_one_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StackError, match=rf"`make rotate STACK=web` \(process {holder.pid}, since .* the stack web"),
            lock.exclusive(tmp_path, "web", "make scale"),
        ):
            pass
        assert lock.holder(tmp_path, "web").startswith(f"`make rotate STACK=web` (process {holder.pid}, since ")
        with lock.exclusive(tmp_path, "other", "make up"):
            pass
        holder.kill()
    assert not lock.holder(tmp_path, "web")
    with lock.exclusive(tmp_path, "web", "make scale"):
        pass
    assert list((tmp_path / ".valkey").iterdir()) == []


PARENT = """
import subprocess, sys, time
from pathlib import Path
from stackctl import lock
with lock.exclusive(Path(sys.argv[1]), "web", "make rotate STACK=web"):
    plugin = subprocess.Popen(["sleep", "600"], pass_fds=lock.inherited, start_new_session=True)
    server = subprocess.Popen(["sleep", "600"], start_new_session=True)
    print(plugin.pid, server.pid, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_command_left_running_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        plugin, server = map(psutil.Process, map(int, parent.stdout.readline().split()))
        with pytest.raises(StackError, match="make rotate"), lock.exclusive(tmp_path, "web", "make up"):
            pass
        assert plugin.is_running()
        parent.kill()
    with lock.exclusive(tmp_path, "web", "make up"):
        assert not plugin.is_running() or plugin.status() == psutil.STATUS_ZOMBIE
        assert server.status() != psutil.STATUS_ZOMBIE
    server.kill()


RIVAL = """
import sys
from pathlib import Path
from stackctl import lock
from stackctl.errors import StackError
print("ready", flush=True)
sys.stdin.readline()
try:
    with lock.exclusive(Path(sys.argv[1]), "web", "make up"):
        print("held", flush=True)
        sys.stdin.readline()
except StackError:
    print("refused", flush=True)
"""


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_of_two_commands_after_a_killed_one_neither_ends_the_other(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout
            _, server = map(int, parent.stdout.readline().split())
            parent.kill()
        command = [sys.executable, "-c", RIVAL, str(tmp_path)]
        rivals = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        assert [said(rival) for rival in rivals] == ["ready\n"] * 4
        for rival in rivals:
            assert rival.stdin
            rival.stdin.write("go\n")
            rival.stdin.flush()
        assert sorted(map(said, rivals)) == ["held\n"] + ["refused\n"] * 3
        for rival in rivals:
            rival.communicate("end\n")
        psutil.Process(server).kill()


def test_never_two_inside(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTENDER, str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in running] == [""] * 3
