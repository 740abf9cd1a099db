"""A clock that is set while a node waits for others, or after backups, as after the start of a machine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from infra.drivers.docker.deployment_files import SCRIPTS


@pytest.mark.parametrize("time", ["0", "4000000000"])
def test_a_node_waits_as_long_as_without_that(tmp_path: Path, time: str) -> None:
    functions, end, _ = (SCRIPTS / "start-node").read_text().partition("\nreplicaof= ")
    assert end
    (tmp_path / "start").write_text(functions.replace("/etc/valkey/bin", str(SCRIPTS)))
    script = f"""set -- replicated shop node-0
. {tmp_path}/start
date() {{ echo {time}; }}
holding=known loading=0 unled=
has_waited_long_enough || is_election_over || echo waits
began=$((began - KNOWN_ALONE_SECONDS)) unled=$((unled - ELECTION_SECONDS))
has_waited_long_enough && is_election_over && echo serves"""
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["waits", "serves"]


def test_backups_of_a_clock_that_was_ahead_are_the_oldest(tmp_path: Path) -> None:
    functions, end, _ = (SCRIPTS / "backup").read_text().partition('\nif [ "$1" = now ]')
    assert end
    ahead, current = tmp_path / "20990101T000000Z", tmp_path / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    earlier = tmp_path / "20200101T000000Z"
    for folder in (ahead, earlier):
        folder.mkdir()
    os.utime(ahead, (4_070_908_800,) * 2)
    os.utime(earlier, (1_577_836_800,) * 2)

    def run(script: str) -> str:
        command = ["sh", "-c", f"{functions}\n{script}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert run("due 3600 && echo due") == "due"
    earlier.rmdir()
    assert run("due 3600 && echo due") == "due"
    current.mkdir()
    assert run("due 3600 || echo later") == "later"
    run("expire 1")
    assert list(tmp_path.iterdir()) == [current]
