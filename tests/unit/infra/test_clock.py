"""A clock that is set while a node waits for others, as after the start of a machine."""

from __future__ import annotations

import subprocess
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
