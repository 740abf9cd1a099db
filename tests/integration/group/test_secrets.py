"""Where the secrets of several servers are, and that they are nowhere else: see "Where secrets are" in embedded.md."""

from __future__ import annotations

import re
import stat

import psutil
import pytest

from infra.drivers.processes import group_driver, process
from infra.drivers.processes.group import GroupSpec
from tests.support.server_group import PASSWORDS, pids

PLACES = ((r"node-\d+/valkey\.conf", "replica"), (r"sentinel-\d+/valkey\.conf", "sentinel"))
"""File, and whose password it has."""


def found_in(text: str) -> list[str]:
    return sorted(user for user, password in PASSWORDS.items() if password in text)


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_passwords_are_in_the_documented_files_alone_and_in_no_process(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    seen = set()
    for file in spec.folder.path.rglob("*"):
        if not file.is_file():
            continue
        owners = found_in(file.read_bytes().decode(errors="replace"))
        path = str(file.relative_to(spec.folder.path))
        allowed = next((owner for pattern, owner in PLACES if re.fullmatch(pattern, path)), None)
        assert set(owners) <= {allowed}, path
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, path
        seen |= set(owners)
    assert seen == ({"replica", "sentinel"} if spec.topology == "replicated" else {"replica"})
    for pid in pids(spec).values():
        running = psutil.Process(pid)
        assert not found_in(" ".join(running.cmdline()) + str(running.environ()))
    assert all(process.find(node.folder) for node in spec.nodes.values())
