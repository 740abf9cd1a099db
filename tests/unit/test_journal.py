"""One command at a time on a stack, and what a killed one leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import journal
from tools.errors import ToolError
from tools.journal import Entry

HOLDER = """
import sys, time
from pathlib import Path
from tools import journal
with journal.exclusive(Path(sys.argv[1]), "web", "make rotate STACK=web"):
    print("held", flush=True)
    time.sleep(600)
"""

CONTENDER = """
import sys, time
from pathlib import Path
from tools import journal
from tools.errors import ToolError
root, entered = Path(sys.argv[1]), 0
while entered < 20:
    try:
        with journal.exclusive(root, "web", "make up"):
            (root / "inside").mkdir()
            entered += 1
            (root / "inside").rmdir()
    except ToolError:
        time.sleep(0.001)
"""


def test_a_second_command_is_told_of_the_first_and_free_once_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ToolError, match=rf"`make rotate STACK=web` \(process {holder.pid}, since .* the stack web"),
            journal.exclusive(tmp_path, "web", "make scale"),
        ):
            pass
        with journal.exclusive(tmp_path, "other", "make up"):
            pass
        holder.kill()
    with journal.exclusive(tmp_path, "web", "make scale"):
        pass
    assert list((tmp_path / ".valkey").iterdir()) == []


def test_never_two_inside(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTENDER, str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in running] == [""] * 3


def test_a_record_stays_until_its_change_is_done(tmp_path: Path) -> None:
    entry = Entry("make scale STACK=web MEMORY=1gb", {"memory": "1gb"})
    assert journal.read(tmp_path, "web") is None
    journal.write(tmp_path, "web", entry)
    assert journal.read(tmp_path, "web") == entry
    assert journal.read(tmp_path, "other") is None
    journal.write(tmp_path, "web", None)
    journal.write(tmp_path, "web", None)
    assert journal.read(tmp_path, "web") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"command": "make up"}', '{"other": 1}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    journal.write(tmp_path, "web", Entry("make up", {}))
    (record,) = (tmp_path / ".valkey").iterdir()
    record.write_text(text)
    assert journal.read(tmp_path, "web") is None
