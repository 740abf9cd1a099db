"""Nodes whose files are damaged: what another node holds is never lost, and never served in a lesser state."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from infra.local import appendonly, servers
from infra.local.group import GroupSpec
from tests.unit.group.bed import client_of, kill, pids, primaries
from tools.probe import replicas_with

ROUNDS = int(os.environ.get("ROUNDS", "10"))

KEYS = 500


def increment(data: Path) -> Path:
    return max((data / appendonly.FOLDER).glob("*.incr.aof"))


def overwrite(path: Path, at: int, text: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(text)


def empty(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()


def empty_folder(data: Path) -> None:
    shutil.rmtree(data.parent)


def cut(data: Path) -> None:
    os.truncate(increment(data), increment(data).stat().st_size // 2)


def cut_between_commands(data: Path) -> None:
    text = increment(data).read_bytes()
    increment(data).write_bytes(text[: text.index(b"*3\r\n", len(text) * 3 // 4)])


def lose_manifest(data: Path) -> None:
    (data / appendonly.FOLDER / appendonly.MANIFEST).unlink()


def lose_increment(data: Path) -> None:
    increment(data).unlink()


def fill_with_garbage(data: Path) -> None:
    overwrite(increment(data), increment(data).stat().st_size // 2, b"\xfe" * 64)


def append_nul(data: Path) -> None:
    with increment(data).open("ab") as file:
        file.write(bytes(4096))


def damage_base(data: Path) -> None:
    (base,) = (data / appendonly.FOLDER).glob("*.base.rdb")
    overwrite(base, 20, b"\xfe" * 16)


def empty_conf(data: Path) -> None:
    (data / "nodes.conf").write_text("")


def cut_conf(data: Path) -> None:
    os.truncate(data / "nodes.conf", (data / "nodes.conf").stat().st_size // 2)


def garbage_conf(data: Path) -> None:
    (data / "nodes.conf").write_bytes(os.urandom(400))


def lose_conf(data: Path) -> None:
    (data / "nodes.conf").unlink()


OF_DATA = (
    empty, empty_folder, cut, cut_between_commands, lose_manifest, lose_increment, fill_with_garbage, append_nul,
    damage_base,
)  # fmt: skip
OF_CLUSTERS = (empty_conf, cut_conf, garbage_conf, lose_conf)

CASES = [
    *itertools.product(["replicated"], OF_DATA, ["primary", "replica"], ["alive", "down"]),
    *itertools.product(["cluster"], [*OF_DATA, *OF_CLUSTERS], ["primary", "replica"], ["alive", "down"]),
]
CHOSEN = {
    ("replicated", empty, "primary", "down"),
    ("replicated", cut_between_commands, "primary", "down"),
    ("replicated", fill_with_garbage, "primary", "alive"),
    ("replicated", lose_manifest, "replica", "down"),
    ("cluster", empty_folder, "primary", "alive"),
    ("cluster", cut_between_commands, "primary", "down"),
    ("cluster", append_nul, "primary", "down"),
    ("cluster", damage_base, "replica", "alive"),
    ("cluster", garbage_conf, "primary", "down"),
    ("cluster", lose_conf, "replica", "alive"),
}
SELECTED = CASES if ROUNDS >= 50 else [case for case in CASES if case in CHOSEN]


def name_of(case: object) -> str:
    return str(getattr(case, "__name__", case))


@pytest.mark.parametrize(("spec", "damage", "role", "others"), SELECTED, ids=name_of, indirect=["spec"])
def test_damage_to_a_node_loses_nothing(
    spec: GroupSpec, damage: Callable[[Path], None], role: str, others: str
) -> None:
    servers.ensure(spec)
    write(spec)
    first = primaries(spec)
    victim = first[0] if role == "primary" else next(name for name in spec.nodes if name not in first)
    if others == "down":
        kill(spec, *pids(spec))
    else:
        kill(spec, victim)
    damage(spec.nodes[victim].folder.data)
    assert servers.ensure(spec).problems == []
    assert missing(spec) == []
    servers.hand_over(spec)  # the replicas have it too
    assert missing(spec) == []


def write(spec: GroupSpec) -> None:
    """Each key twice, so that counting keys doesn't find what is lost; all of it on another node too."""
    with contextlib.closing(client_of(spec)) as client:
        for value in ("old", "new"):
            for number in range(KEYS):
                client.set(f"key:{number}", f"{value}:{number}")
        for tag in range(50 if isinstance(client, redis.RedisCluster) else 1):
            client.set(f"tag:{tag}", "last")
            assert replicas_with(client, f"tag:{tag}", 1) >= 1


def missing(spec: GroupSpec) -> list[str]:
    with contextlib.closing(client_of(spec)) as client:
        return [f"key:{number}" for number in range(KEYS) if client.get(f"key:{number}") != f"new:{number}"]
