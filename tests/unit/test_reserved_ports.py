"""The tests' own ports: no two test processes use the same, nor do the ranges overlap."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness import ports
from infra.drivers.topology.cluster import BUS_OFFSET


def test_processes_at_the_same_time_get_different_rows() -> None:
    program = "from harness.ports import *; print(reserve(GROUPS), free_port(), flush=True); input()"
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    try:
        rows = [process.stdout.readline().split() for process in processes if process.stdout]
    finally:
        for process in processes:
            process.communicate("\n")
    assert len(set(itertools.chain.from_iterable(rows))) == 2 * len(processes)


def test_a_process_that_has_had_every_row_gets_its_oldest_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # another run of this test may have the same rows
    few = range(ports.APPLICATIONS.stop, ports.APPLICATIONS.stop + 60, 20)
    first = [ports.reserve(few) for _ in few]
    assert len(set(first)) == len(few)
    assert ports.reserve(few) == first[0]


def test_no_range_overlaps_another() -> None:
    with_bus = (ports.GROUPS, ports.APPLICATIONS)
    used = [*with_bus, ports.SINGLE_SERVERS, ports.CONTAINERS]
    used += [range(rows.start + BUS_OFFSET, rows.stop + BUS_OFFSET) for rows in with_bus]
    ordered = sorted(used, key=lambda rows: rows.start)
    assert all(before.stop <= after.start for before, after in itertools.pairwise(ordered))
