"""A primary that was replaced, and has not copied from its successor yet, never has the later data."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.drivers.docker import surviving_copies
from infra.drivers.docker.deployment_files import SCRIPTS
from infra.drivers.topology.node_executor import NodeAddress

NOW = 1_790_000_000
LATEST = 2**31 - 1
REPLACED = [100, 101, LATEST - 1]  # a primary until then; one that copies; one that has noted its demotion


def info(priority: int) -> str:
    """What a replica reports that has followed no primary since it was one, or since it started."""
    fields = ("role:slave", "loading:0", "master_link_status:down", "master_link_down_since_seconds:-1")
    return "".join(f"{line}\r\n" for line in (*fields, "master_replid:other", f"slave_priority:{priority}"))


def compare(folder: Path, priority: int, holding: str) -> str:
    """Whether node-1 is ahead, shows that this node's data are the latest, and is kept from leading."""
    (folder / "node-1").write_text(info(priority))
    script = f"""set -u
. {SCRIPTS}/members
answers={folder} topology=replicated holding={holding} role=master replid=own offset=9 extra=0 lacking=0 seen={NOW}
compare_with node-1; echo "$ahead|$behind|$older" """
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("holding", ["known", "unknown", "short", "damaged"])
@pytest.mark.parametrize("priority", REPLACED)
def test_it_does_not_replace_its_successor_that_restarts(tmp_path: Path, priority: int, holding: str) -> None:
    assert compare(tmp_path, priority, holding) == "|0| node-1"


@pytest.mark.parametrize("holding", ["known", "damaged"])
def test_a_node_that_has_just_started_may_have_later_data(tmp_path: Path, holding: str) -> None:
    assert compare(tmp_path, LATEST - NOW - 60, holding) == "node-1|0|"


@pytest.mark.parametrize("priority", [*REPLACED, 0, LATEST - NOW])
def test_a_repair_and_the_members_assess_its_data_alike(
    tmp_path: Path, priority: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node-1").write_text(info(priority))
    state = dict(line.split(":") for line in info(priority).split())
    monkeypatch.setattr(surviving_copies, "info", lambda *_: state)
    node, deployment = NodeAddress("node-1", "10.0.0.11", 7001), cast("Any", SimpleNamespace(executor=None))
    script = f". {SCRIPTS}/members; answers={tmp_path}; last_in_sync node-1"
    seen = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert surviving_copies._last_in_sync(deployment, node) == int(seen)
