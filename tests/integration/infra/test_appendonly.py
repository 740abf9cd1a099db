"""Damaged append-only files of a single server: refused, repaired with a copy kept, and never an empty start."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.drivers.processes import appendonly, process, server
from infra.drivers.processes.appendonly import DamagedError
from infra.drivers.processes.running_server import ServerSpec
from infra.errors import ProvisioningError
from tests.integration.group.test_damage import (  # fmt: skip
    append_nul,
    cut,
    damage_base,
    drop_base_line,
    empty_base,
    fill_with_garbage,
    increment,
    lose_increment,
    lose_manifest,
)
from tests.support.single_server import client_of, pid_of


@pytest.fixture
def dead(spec: ServerSpec) -> ServerSpec:
    """A server with 1000 keys, of which a snapshot has 500, that was killed."""
    server.ensure(spec)
    with client_of(spec) as client:
        for number in range(1000):
            client.set(f"key:{number}", number)
            if number == 499:
                client.save()
        assert client.execute_command("WAITAOF", 1, 0, 60_000)[0] == 1
    os.kill(pid_of(spec), signal.SIGKILL)
    return spec


def size(spec: ServerSpec) -> int:
    with client_of(spec) as client:
        return int(client.dbsize())


@pytest.mark.parametrize(
    ("damage", "message", "keys"),
    [
        (lose_manifest, "its append-only files have no manifest", (1000, 1000)),
        (fill_with_garbage, r"its append-only file \S+ is damaged at byte \d+", (480, 510)),
        (append_nul, r"its append-only file \S+ is damaged at byte \d+", (1000, 1000)),
        (lose_increment, r"\S+ of its append-only file is missing", (500, 500)),
        (damage_base, r"the base file \S+ of its append-only file is damaged", (500, 500)),
        (empty_base, r"the base file \S+ of its append-only file is empty", (500, 500)),
        (drop_base_line, "the manifest of its append-only file names no base file", (1000, 1000)),
        (
            lambda data: (data / appendonly.FOLDER).rename(data / "elsewhere"),
            "append-only files are missing",
            (500, 500),
        ),
    ],
)
def test_damaged_files_are_refused_and_repaired(
    dead: ServerSpec, damage: Callable[[Path], object], message: str, keys: tuple[int, int]
) -> None:
    damage(dead.folder.data)
    with pytest.raises(ProvisioningError, match=message) as refusal:
        server.ensure(dead)
    assert "make repair NODE=node-0" in str(refusal.value)
    assert process.find(dead.folder) is None
    repaired = appendonly.repair(dead.folder.data)
    assert repaired is not None
    assert repaired.done
    assert repaired.kept is not None
    assert any(repaired.kept.iterdir())
    server.ensure(dead)
    least, most = keys
    assert least <= size(dead) <= most
    assert appendonly.repair(dead.folder.data) is None


def test_a_torn_last_command_needs_no_repair(dead: ServerSpec) -> None:
    cut(dead.folder.data)
    assert appendonly.repair(dead.folder.data) is None
    server.ensure(dead)
    assert 480 <= size(dead) <= 510


LAST_COMMAND = b"*3\r\n$3\r\nSET\r\n$4\r\nlast\r\n$2\r\n11\r\n"
TIMESTAMP = b"#TS:1795933060\r\n"


@pytest.mark.parametrize(
    "end", [LAST_COMMAND[:size] for size in (1, 2, 4, 5, 9, 15, 26)] + [TIMESTAMP[:size] for size in (1, 2, 4, 9, 15)]
)
def test_a_file_that_a_crash_cut_anywhere_is_loaded_again_and_again(dead: ServerSpec, end: bytes) -> None:
    """Also after writes that follow the cut."""
    with increment(dead.folder.data).open("ab") as file:
        file.write(end)
    assert appendonly.repair(dead.folder.data) is None
    for written in range(3):
        server.ensure(dead)
        assert size(dead) == 1000 + written
        with client_of(dead) as client:
            client.set(f"after:{written}", 1)
            assert client.execute_command("WAITAOF", 1, 0, 60_000)[0] == 1
        os.kill(pid_of(dead), signal.SIGKILL)


def test_what_cant_be_repaired_stays_as_it_is(dead: ServerSpec) -> None:
    damage_base(dead.folder.data)
    dead.folder.snapshot.unlink()
    before = sorted(dead.folder.path.rglob("*"))
    with pytest.raises(DamagedError, match="make restore"):
        appendonly.repair(dead.folder.data)
    assert sorted(dead.folder.path.rglob("*")) == before


def test_make_down_keeps_unloadable_files_in_addition_to_a_snapshot(dead: ServerSpec) -> None:
    lose_manifest(dead.folder.data)
    server.remove(dead, keep_snapshot=True)
    (kept,) = dead.folder.path.iterdir()
    assert increment(kept).stat().st_size
