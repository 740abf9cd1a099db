"""Heartbeat files: what a probe learns from them, and from those that it must not trust."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from valkeykit.heartbeat import STUCK_SECONDS, heartbeat_folder, heartbeats, read_heartbeat, write_heartbeat

STATE = {"queue": "mail", "pid": os.getpid(), "live": True, "ready": True, "seconds_since_contact": 0.5}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return heartbeat_folder()


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_heartbeat_is_read_as_it_was_written(folder: Path) -> None:
    write_heartbeat(folder / "1.json", STATE)
    (state,) = heartbeats()
    assert state.pop("seconds_since_contact") >= 0.5
    assert state == {"queue": "mail", "pid": os.getpid(), "live": True, "ready": True}
    assert (folder.stat().st_mode & 0o777, (folder / "1.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert [file.name for file in folder.iterdir()] == ["1.json"]


@pytest.mark.parametrize(
    "age", [STUCK_SECONDS + 1, -1000.0], ids=["a stopped process", "written before the machine started"]
)
def test_a_heartbeat_that_is_not_renewed_is_not_live(folder: Path, age: float) -> None:
    write_heartbeat(folder / "1.json", STATE)
    change(folder / "1.json", written=time.monotonic() - age)
    (state,) = heartbeats()
    assert (state["live"], state["ready"]) == (False, False)


@pytest.mark.parametrize("sign", [{"pid": 0}, {"pid": -1}, {"pid": 10**30}, {"process_started": "5"}])
def test_a_process_that_is_not_the_writer_is_not_a_worker(folder: Path, sign: dict[str, Any]) -> None:
    write_heartbeat(folder / "1.json", STATE)
    change(folder / "1.json", **sign)
    assert list(heartbeats()) == []


def test_files_of_ended_processes_are_removed(folder: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name, age in (("1.json", 0.0), ("2.json", STUCK_SECONDS + 5)):
        write_heartbeat(folder / name, STATE | {"pid": dead.pid})
        os.utime(folder / name, (time.time() - age,) * 2)
    assert list(heartbeats()) == []
    assert [file.name for file in folder.iterdir()] == ["1.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '{"pid": 1}', '{"pid": "x", "written": null}', "\x00"])
def test_other_files_are_passed_over(folder: Path, text: str) -> None:
    write_heartbeat(folder / "1.json", STATE)
    (folder / "2.json").write_text(text)
    (folder / "3.json").mkdir()
    assert [state["pid"] for state in heartbeats()] == [os.getpid()]
    assert read_heartbeat(folder / "2.json") is None


def test_a_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    write_heartbeat(folder / "1.json", STATE)
    folder.chmod(0o777)
    assert list(heartbeats()) == []
    with pytest.raises(OSError, match="another user"):
        write_heartbeat(folder / "1.json", STATE)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    (tmp_path / ".worker.json.new").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic"):
        write_heartbeat(tmp_path / "worker.json", STATE)
    assert (tmp_path / "precious").read_text() == "data"
