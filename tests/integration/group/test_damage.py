"""Nodes whose files are damaged: what another node holds is never lost, and never served in a lesser state.

With ROUNDS=50 or more, every kind of damage meets every role; otherwise a selection.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import redis
from valkeykit.connection import Client

from infra.drivers.processes import appendonly, group, group_driver, server
from infra.drivers.processes.group import GroupSpec
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology import nodesconf
from infra.errors import ProvisioningError
from tests.support.server_group import client_of, kill, pids, primaries

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


def empty_base(data: Path) -> None:
    (base,) = (data / appendonly.FOLDER).glob("*.base.rdb")
    base.write_bytes(b"")


def drop_base_line(data: Path) -> None:
    manifest = data / appendonly.FOLDER / appendonly.MANIFEST
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if " type b" not in line))


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
    damage_base, empty_base, drop_base_line,
)  # fmt: skip
OF_CLUSTERS = (empty_conf, cut_conf, garbage_conf, lose_conf)

CASES = [
    *itertools.product(["replicated"], OF_DATA, ["primary", "replica"], ["alive", "down"]),
    *itertools.product(["cluster"], [*OF_DATA, *OF_CLUSTERS], ["primary", "replica"], ["alive", "down"]),
]
CHOSEN = {
    ("replicated", cut_between_commands, "primary", "down"),
    ("cluster", empty_folder, "primary", "alive"),
    ("cluster", garbage_conf, "primary", "down"),
}
SELECTED = CASES if ROUNDS >= 50 else [case for case in CASES if case in CHOSEN]


def name_of(case: object) -> str:
    return str(getattr(case, "__name__", case))


@pytest.mark.parametrize(("spec", "damage", "role", "others"), SELECTED, ids=name_of, indirect=["spec"])
def test_damage_to_a_node_loses_nothing(
    spec: GroupSpec, damage: Callable[[Path], None], role: str, others: str
) -> None:
    group_driver.ensure(spec)
    write(spec)
    first = primaries(spec)
    victim = first[0] if role == "primary" else next(name for name in spec.nodes if name not in first)
    if others == "down":
        kill(spec, *pids(spec))
    else:
        kill(spec, victim)
    damage(spec.nodes[victim].folder.data)
    assert group_driver.ensure(spec).problems == []
    assert missing(spec) == []
    group_driver.fail_over(spec)  # the replicas have it too
    assert missing(spec) == []


@pytest.mark.thorough
@pytest.mark.parametrize("spec", ["cluster"], indirect=True)
def test_two_of_three_primaries_whose_replicas_have_more(spec: GroupSpec) -> None:
    """The one primary that is left can elect none of them."""
    group_driver.ensure(spec)
    write(spec)
    victims = primaries(spec)[:2]
    kill(spec, *victims)
    for victim in victims:
        cut_between_commands(spec.nodes[victim].folder.data)
    assert group_driver.ensure(spec).problems == []
    assert not set(victims) & set(primaries(spec))
    assert missing(spec) == []


def write(spec: GroupSpec) -> None:
    """Each key twice, so that counting keys doesn't find what is lost; all of it in the files of two nodes."""
    with contextlib.closing(client_of(spec)) as client:
        for value in ("old", "new"):
            for number in range(KEYS):
                client.set(f"key:{number}", f"{value}:{number}")
        for number in range(50 if isinstance(client, redis.RedisCluster) else 1):  # all shards
            client.set(f"key:{number}", f"new:{number}")
            assert min(saved(client, f"key:{number}")) >= 1


def saved(client: Client, key: str) -> list[int]:
    """Whether the node of the key, and how many replicas, have all of it on disk, after a while."""
    wait = ("WAITAOF", 1, 1, 60_000)
    if isinstance(client, redis.RedisCluster):
        return list(client.execute_command(*wait, target_nodes=client.get_node_from_key(key)))
    return list(client.execute_command(*wait))


def missing(spec: GroupSpec) -> list[str]:
    with contextlib.closing(client_of(spec)) as client:
        return [f"key:{number}" for number in range(KEYS) if client.get(f"key:{number}") != f"new:{number}"]


@pytest.mark.parametrize("spec", ["replicated"], indirect=True)
@pytest.mark.parametrize(
    ("text", "others"),
    [
        pytest.param(b"", "alive", marks=pytest.mark.thorough),
        (b"\xfe\xff" * 300, "down"),
        pytest.param(None, "alive", marks=pytest.mark.thorough),
    ],
    ids=["empty", "garbage", "cut"],
)
def test_a_damaged_file_of_a_sentinel_is_replaced(spec: GroupSpec, text: bytes | None, others: str) -> None:
    group_driver.ensure(spec)
    write(spec)
    group_driver.fail_over(spec)
    leader = primaries(spec)
    kill(spec, *(pids(spec) if others == "down" else ["sentinel-0"]))
    config = spec.sentinels["sentinel-0"].folder.config
    config.write_bytes(config.read_bytes()[:-120] if text is None else text)
    state = group_driver.ensure(spec)
    assert state.problems == []
    assert primaries(spec) == leader
    assert missing(spec) == []


@pytest.mark.parametrize("spec", ["cluster", pytest.param("replicated", marks=pytest.mark.thorough)], indirect=True)
@pytest.mark.parametrize("others", [pytest.param("alive", marks=pytest.mark.thorough), "down"])
def test_one_node_of_several_that_has_data_leads(spec: GroupSpec, others: str) -> None:
    """All of a shard's nodes but one are damaged."""
    group_driver.ensure(spec)
    write(spec)
    shard = nodes_of_a_shard(spec)
    kill(spec, *(pids(spec) if others == "down" else shard[:-1]))
    for name, damage in zip(shard[:-1], (fill_with_garbage, empty), strict=False):
        damage(spec.nodes[name].folder.data)
    assert group_driver.ensure(spec).problems == []
    assert missing(spec) == []
    if spec.topology == "replicated":  # the Sentinels are as of before, too
        assert primaries(spec) == [shard[-1]]
    (copy,) = spec.nodes[shard[0]].folder.path.glob("damaged-*")
    assert increment(copy).stat().st_size
    group_driver.remove(spec, keep_snapshot=True)
    assert f"{copy.name}-{shard[0]}" in [path.name for path in spec.folder.path.iterdir()]


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_without_usable_data_nothing_is_changed(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    write(spec)
    shard = nodes_of_a_shard(spec)
    kill(spec, *pids(spec))
    damages = [append_nul, empty, lose_manifest]
    for name, damage in zip(shard, damages, strict=False):
        damage(spec.nodes[name].folder.data)
    before = state_of(spec.folder.path)
    with pytest.raises(ProvisioningError, match="no node has usable data") as caught:
        group_driver.ensure(spec)
    assert pids(spec) == {}
    assert state_of(spec.folder.path) == before
    size = increment(spec.nodes[shard[0]].folder.data).stat().st_size - 4096
    text = str(caught.value)
    assert f"{shard[0]}: its append-only file appendonly.aof." in text
    assert f"is damaged at byte {size}" in text
    assert f"{shard[1]}: its folder is empty" in text
    assert f"make repair NODE={shard[0]}" in text
    repaired = appendonly.repair(spec.nodes[shard[0]].folder.data)
    assert repaired is not None
    assert any("removed the 4096 after them" in line for line in repaired.done)
    assert repaired.kept is not None
    assert increment(repaired.kept).stat().st_size == size + 4096
    assert group_driver.ensure(spec).problems == []
    assert missing(spec) == []


@pytest.mark.parametrize("spec", ["cluster", pytest.param("replicated", marks=pytest.mark.thorough)], indirect=True)
@pytest.mark.parametrize("port", ["given", pytest.param("kept", marks=pytest.mark.thorough)])
def test_a_shard_without_any_folder_is_an_error_until_the_loss_is_accepted(spec: GroupSpec, port: str) -> None:
    group_driver.ensure(spec)
    write(spec)
    own = replace(spec, port=0) if port == "kept" else spec
    kill(spec, *pids(spec))
    shard = nodes_of_a_shard(spec)
    for name in shard:
        shutil.rmtree(spec.nodes[name].folder.path)
    for _ in range(2):
        with pytest.raises(ProvisioningError, match=f"no node has usable data: {shard[0]}: its folder is empty"):
            group_driver.ensure(own)
        assert pids(spec) == {}
    repaired = server.repair(own.nodes[shard[0]])
    assert repaired is not None
    state = group_driver.ensure(own)
    assert state.problems == []
    assert sorted(state.listens) == list(range(spec.port, spec.port + len(spec.nodes)))
    assert len(missing(spec)) == KEYS if spec.topology == "replicated" else 0 < len(missing(spec)) < KEYS


@pytest.mark.thorough
@pytest.mark.parametrize("spec", ["replicated", "cluster"], indirect=True)
def test_a_stale_replica_does_not_replace_a_damaged_primary(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    write(spec)
    leader, replica, *others = nodes_of_a_shard(spec)
    kill(spec, *pids(spec))
    for name in others:
        empty(spec.nodes[name].folder.data)
    data = spec.nodes[leader].folder.data
    text = increment(data).read_bytes()
    increment(data).write_bytes(re.sub(rb"#TS:\d", b"#TS:2", text))  # in decades
    damage_base(data)
    with pytest.raises(ProvisioningError, match=f"{leader} has writes until 20.* than those of {replica}, until"):
        group_driver.ensure(spec)
    assert pids(spec) == {}
    with pytest.raises(ProvisioningError, match="FORCE=1"):
        server.repair(spec.nodes[leader])
    assert server.repair(spec.nodes[leader], force=True)
    assert group_driver.ensure(spec).problems == []
    assert missing(spec) == []


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_yesterdays_copy_of_a_folder_follows(spec: GroupSpec, tmp_path: Path) -> None:
    group_driver.ensure(spec)
    kill(spec, *pids(spec))
    victim = nodes_of_a_shard(spec)[0]
    folder = spec.nodes[victim].folder.path
    shutil.copytree(folder, tmp_path / "copy")
    group_driver.ensure(spec)
    write(spec)
    kill(spec, *pids(spec))
    shutil.rmtree(folder)
    shutil.move(tmp_path / "copy", folder)
    assert group_driver.ensure(spec).problems == []
    assert missing(spec) == []


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_swapped_folders_lose_nothing(spec: GroupSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group_driver.ensure(spec)
    write(spec)
    kill(spec, *pids(spec))
    one, other = (spec.nodes[name].folder.path for name in ("node-0", list(spec.nodes)[-1]))
    one.rename(tmp_path / "one")
    other.rename(one)
    (tmp_path / "one").rename(other)
    monkeypatch.setattr(group, "start", partial(_start_with_addresses, spec, group.start))
    assert group_driver.ensure(spec).problems == []
    assert missing(spec) == []


def _start_with_addresses(spec: GroupSpec, start: Callable[..., None], node: ServerSpec, *options: str) -> None:
    """Start a node of a cluster only if it will look for each of the others where that one listens."""
    if spec.topology == "cluster":
        confs = {member.port: nodesconf.read(spec.nodes[member.name].folder.data) for member in spec.members}
        listening = {conf.own.id: f"127.0.0.1:{port}" for port, conf in confs.items() if conf}
        conf = nodesconf.read(node.folder.data)
        assert conf
        assert {known.id: known.address for known in conf.nodes} == listening
    start(node, *options)


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_a_node_folder_of_another_stack_is_refused(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    kill(spec, *pids(spec))
    victim = spec.nodes["node-1"]
    victim.folder.acquire(replace(victim.ownership, stack="valkey/other"))
    with pytest.raises(ProvisioningError, match="belongs to the stack valkey/other"):
        group_driver.ensure(spec)
    assert pids(spec) == {}


def nodes_of_a_shard(spec: GroupSpec) -> list[str]:
    """The primary and its replicas, also of nodes that are dead."""
    if spec.topology == "replicated":
        first = primaries(spec) if pids(spec) else ["node-0"]
        return [*first, *(name for name in spec.nodes if name not in first)]
    confs = {name: nodesconf.read(node.folder.data) for name, node in spec.nodes.items()}
    shards = {name: conf.shards[conf.own.id] for name, conf in confs.items() if conf}
    of_first = [name for name, shard in shards.items() if shard == shards["node-0"]]
    return sorted(of_first, key=lambda name: not (conf := confs[name]) or not conf.own.slots)


def state_of(folder: Path) -> dict[Path, bytes]:
    """All files but logs, which are written by another process."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("valkey.log")]
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize("spec", ["cluster"], indirect=True)
def test_all_primaries_of_a_cluster_at_once(spec: GroupSpec) -> None:
    """No primary is left that could elect another."""
    group_driver.ensure(spec)
    write(spec)
    first = primaries(spec)
    kill(spec, *pids(spec))
    for name in first:
        cut_between_commands(spec.nodes[name].folder.data)
    assert group_driver.ensure(spec).problems == []
    assert set(primaries(spec)).isdisjoint(first)
    assert missing(spec) == []


@pytest.mark.parametrize("spec", ["replicated"], indirect=True)
def test_a_lost_primary_that_no_sentinel_remembers(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    write(spec)
    kill(spec, "node-0", *spec.sentinels)
    empty(spec.nodes["node-0"].folder.data)
    for known in spec.sentinels.values():
        known.folder.config.unlink()
    assert group_driver.ensure(spec).problems == []
    assert primaries(spec) != ["node-0"]
    assert missing(spec) == []


@pytest.mark.parametrize("spec", ["replicated"], indirect=True)
def test_a_replica_that_never_had_data_isnt_made_the_primary(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    write(spec)
    kill(spec, *pids(spec))
    for name in ("node-1", "node-2"):
        empty(spec.nodes[name].folder.data)
        group.start(spec.nodes[name], "--replicaof", f"127.0.0.1 {spec.port}")
    assert group_driver.ensure(spec).problems == []
    assert primaries(spec) == ["node-0"]
    assert missing(spec) == []
