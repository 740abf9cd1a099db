"""The driver of several servers on real ones: replicated and cluster, and what may happen to them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import psutil
import pytest
import redis
from valkeykit.connection import Client

from harness.ports import GROUPS, reserve
from harness.waiting import wait_until
from infra import hardening
from infra.drivers.processes import group_driver, ports, sentinel
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.topology import cluster
from infra.errors import ProvisioningError
from infra.hardening import Topology
from stackctl.availability_probe import replicas_with
from stackctl.stack import PROJECT
from tests.support.server_group import PASSWORDS, SHAPES, client_of, directives, end, kill, made, pids, primaries
from tests.support.traffic import Traffic

ROUNDS = int(os.environ.get("ROUNDS", "10"))


@pytest.fixture(scope="module", params=SHAPES)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupSpec]:
    """Servers that several tests use, one after the other: each begins with `ensure`, which repairs them."""
    group = made(tmp_path_factory.mktemp("shared") / "group", request.param, reserve(GROUPS))
    yield group
    end(group.folder.path)


replicated = pytest.mark.parametrize("shared", ["replicated"], indirect=True, scope="module")
clustered = pytest.mark.parametrize("shared", ["cluster"], indirect=True, scope="module")


def traffic(spec: GroupSpec) -> Traffic:
    """Writes to one shard; what another node than the primary has too counts."""
    return Traffic(partial(client_of, spec), wait=1, confirm_seconds=1.0, hash_tag="{tag}")


def test_they_come_up_hardened_and_a_second_time_changes_nothing(spec: GroupSpec) -> None:
    first = group_driver.ensure(spec)
    before = pids(spec)
    assert sorted(first.listens) == list(range(spec.port, spec.port + len(spec.nodes)))
    above = [spec.port + 10, spec.port + 11, spec.port + 12]
    assert list(first.sentinels) == (above if spec.topology == "replicated" else [])
    assert (len(first.listens), list(first.problems)) == (len(spec.nodes), [])
    assert group_driver.ensure(spec) == first
    assert pids(spec) == before
    with contextlib.closing(client_of(spec)) as client:
        assert client.set("key", "value")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()
    for pid in before.values():
        listening = [c for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert {connection.laddr[0] for connection in listening} == {ports.HOST}
        assert psutil.Process(pid).environ() == {}
        assert not [password for password in PASSWORDS.values() if password in str(psutil.Process(pid).cmdline())]
    paths = [spec.folder.path, *spec.folder.path.rglob("*")]
    assert not [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert not [password for password in PASSWORDS.values() if password in repr(spec) + repr(first)]


def test_a_live_setting_is_changed_live_on_every_node(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    before = pids(shared)
    state = group_driver.ensure(replace(shared, directives=directives(shared.topology, 96 * 1024**2)))
    assert {known["maxmemory"] for known in state.reported.values()} == {str(96 * 1024**2)}
    assert len(state.reported) == len(shared.nodes)
    assert pids(shared) == before


def test_a_fixed_setting_restarts_one_after_the_other_and_no_write_is_lost(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    before = pids(shared)
    with traffic(shared) as writer:
        writer.wait_for(20)
        state = group_driver.ensure(replace(shared, directives={**shared.directives, "databases": "4"}))
        writer.wait_for(20)
    assert {known["databases"] for known in state.reported.values()} == {"4"}
    after = pids(shared)
    assert not [name for name in shared.nodes if before[name] == after[name]]
    assert_all_there(writer)


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_new_passwords_are_taken_live_and_lost_ones_replaced(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    before = pids(spec)
    with traffic(spec) as writer:
        writer.wait_for(10)
        turned = _turned(spec, PASSWORDS)
        assert group_driver.ensure(replace(turned, previous_password=PASSWORDS["admin"])).problems == []
        writer.wait_for(10)
    assert strangers(turned) == []
    assert pids(spec) == before
    assert_all_there(writer)
    assert group_driver.ensure(_turned(spec, {"app": PASSWORDS["app"]}, "other")).problems == []
    assert set(pids(spec).values()).isdisjoint(before.values())
    assert_all_there(writer)


def strangers(spec: GroupSpec) -> list[str]:
    """Connections to nodes that didn't log in: Sentinels with a password that isn't known there."""
    with contextlib.closing(ProcessExecutor(spec.nodes)) as executor:
        lines = [line for name in spec.nodes for line in str(executor.run(name, "CLIENT", "LIST")).splitlines()]
    return [line for line in lines if " user=default " in line]


def _turned(spec: GroupSpec, previous: dict[str, str], prefix: str = "new") -> GroupSpec:
    new = {name: f"{prefix}-{password}" for name, password in PASSWORDS.items()}
    return replace(
        spec,
        acl=hardening.acl(new, hardening.node_users(spec.topology), previous),
        sentinel_acl=hardening.acl(new, hardening.SENTINEL_USERS, previous),
        passwords=new,
    )


@pytest.mark.parametrize(
    "victims",
    [pytest.param(lambda names: names[-1:], marks=pytest.mark.thorough), lambda names: names[:4], lambda names: names],
    ids=["one", "several", "all"],
)
def test_dead_nodes_are_seen_and_brought_back(shared: GroupSpec, victims: Callable[[list[str]], list[str]]) -> None:
    state = group_driver.ensure(shared)
    with contextlib.closing(client_of(shared)) as client:
        for number in range(100):
            client.set(f"key:{number}", number)
    dead = victims([*shared.sentinels, *shared.nodes])
    kill(shared, *dead)
    assert [f"{name} doesn't run" for name in shared.all_servers if name in dead] == list(
        group_driver.inspect(shared).problems
    )
    healed = group_driver.ensure(shared)
    assert healed.problems == []
    assert sorted(healed.listens) == sorted(state.listens)
    with contextlib.closing(client_of(shared)) as client:
        assert [client.get(f"key:{n}") for n in range(100)] == [str(n) for n in range(100)]


def test_a_killed_primary_under_writes_loses_nothing_that_was_acknowledged(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    with contextlib.closing(client_of(shared)) as client:
        holder = _holder(shared, client)
    with traffic(shared) as writer:
        writer.wait_for(50)
        kill(shared, holder)
        goal = writer.written + 2  # each waits a second in vain for a replica, where none is left
        wait_until(lambda: writer.written >= goal)
        assert group_driver.ensure(shared).problems == []
        writer.wait_for(20)
    assert holder not in primaries(shared)
    assert_all_there(writer)


class Deaf(ProcessExecutor):
    """One node hasn't yet heard of another that is back."""

    def run(self, node: str, *command: str) -> Any:
        answer = super().run(node, *command)
        if (node, *command) == ("node-1", "CLUSTER", "NODES"):
            return answer.replace(" slave ", " slave,fail ", 1)
        return answer


@clustered
def test_a_cluster_is_not_complete_until_every_node_reaches_every_other(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    with contextlib.closing(ProcessExecutor(shared.all_servers)) as executor:
        assert list(cluster.problems(executor, shared.members)) == []
    with contextlib.closing(Deaf(shared.all_servers)) as executor:
        (problem,) = cluster.problems(executor, shared.members)
    assert problem.startswith(f"node-1 has no connection to {ports.HOST}:")


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_a_planned_failover_is_rejected_while_a_node_is_missing(spec: GroupSpec) -> None:
    group_driver.ensure(spec)
    before = primaries(spec)
    group_driver.fail_over(spec)
    after = primaries(spec)
    assert set(before).isdisjoint(after)
    victim = next(name for name in spec.nodes if name not in after)
    kill(spec, victim)
    with pytest.raises(ProvisioningError, match=f"nothing was changed: {victim} doesn't run"):
        group_driver.fail_over(spec)
    group_driver.ensure(spec)
    assert primaries(spec) == after


def test_a_primary_that_died_a_moment_ago_isnt_started_as_one(shared: GroupSpec) -> None:
    """Before anybody else has noticed: the replica may know more than the dead one's file."""
    group_driver.ensure(shared)
    with contextlib.closing(client_of(shared)) as client:
        holder = _holder(shared, client)
        client.set("{tag}", "kept")
        assert replicas_with(client, "{tag}", 1) >= 1
    kill(shared, holder)
    for file in (shared.nodes[holder].folder.data / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"")  # as a crash leaves it before the last second reached the disk
    assert group_driver.ensure(shared).problems == []
    assert holder not in primaries(shared)
    with contextlib.closing(client_of(shared)) as client:
        assert client.get("{tag}") == "kept"


def _holder(spec: GroupSpec, client: Client) -> str:
    """The node that takes the writer's keys."""
    if isinstance(client, redis.RedisCluster):
        port = client.get_node_from_key("{tag}").port
        return next(member.name for member in spec.members if member.port == port)
    return primaries(spec)[0]


@replicated
def test_a_second_primary_is_made_a_replica_again(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    with contextlib.closing(ProcessExecutor(shared.all_servers)) as executor:
        (first,) = primaries(shared)
        other = next(name for name in shared.nodes if name != first)
        executor.run(other, "REPLICAOF", "NO", "ONE")
        assert f"{other} doesn't follow {first}" in group_driver.inspect(shared).problems
        assert group_driver.ensure(shared).problems == []
    assert primaries(shared) == [first]


@replicated
def test_lost_sentinels_are_created_again(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    (first,) = primaries(shared)
    kill(shared, *shared.sentinels)
    for known in shared.sentinels.values():
        known.folder.config.unlink()
    assert group_driver.ensure(shared).problems == []
    folders = [known.folder for known in shared.sentinels.values()]
    assert sentinel.last_primary(folders) == shared.member(first).address


@replicated
def test_more_replicas(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    more = replace(shared, replicas=3)
    assert len(group_driver.ensure(more).listens) == 4
    assert group_driver.inspect(more).problems == []
    end(shared.folder.path)
    shutil.rmtree(shared.folder.path)


@clustered
def test_a_node_whose_folder_is_gone_is_replaced(shared: GroupSpec) -> None:
    group_driver.ensure(shared)
    kill(shared, "node-5")
    shared.nodes["node-5"].folder.release(keep_snapshot=False)
    assert group_driver.ensure(shared).problems == []


@pytest.mark.parametrize("topology", SHAPES)
def test_a_folder_of_another_shape_is_refused(spec: GroupSpec, topology: Topology) -> None:
    spec.folder.acquire(spec.ownership)
    other = made(spec.folder.path, topology)
    more = replace(other, ownership=replace(other.ownership, shards=other.ownership.shards + 1))
    with pytest.raises(ProvisioningError, match="can't be changed in place"):
        group_driver.ensure(more)


@pytest.mark.parametrize("spec", ["replicated", pytest.param("cluster", marks=pytest.mark.thorough)], indirect=True)
def test_a_node_that_does_not_start_is_reported_with_the_reason(spec: GroupSpec) -> None:
    with pytest.raises(ProvisioningError, match=r"didn't start: .*no-such-directive"):
        group_driver.ensure(replace(spec, directives={**spec.directives, "no-such-directive": "1"}))


@pytest.mark.parametrize("spec", ["cluster", pytest.param("replicated", marks=pytest.mark.thorough)], indirect=True)
def test_killed_at_any_moment_and_run_again(spec: GroupSpec) -> None:
    """The driver dies after a random time, with a new setting each round, a node may die with it."""
    acknowledged = 0
    chance = random.Random(4)
    for number in range(max(ROUNDS // 3, 2)):
        program = (
            "import sys; from pathlib import Path; from dataclasses import replace\n"
            "from infra.drivers.processes import group_driver; from tests.support.server_group import made\n"
            f"spec = made(Path({str(spec.folder.path)!r}), {spec.topology!r}, {spec.port})\n"
            f"group_driver.ensure(replace(spec, directives={{**spec.directives, 'databases': '{number + 2}'}}))\n"
        )
        driver = subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, 6.0))
        driver.send_signal(signal.SIGKILL)
        driver.wait(10)
        if acknowledged and (running := pids(spec)):
            kill(spec, chance.choice(sorted(running)))
        state = group_driver.ensure(spec)
        assert state.problems == []
        assert len(pids(spec)) == len(spec.all_servers)
        with contextlib.closing(client_of(spec)) as client:
            assert not acknowledged or int(client.get("{tag}") or 0) == acknowledged
            acknowledged = number + 1
            client.set("{tag}", acknowledged)
            assert replicas_with(client, "{tag}", 1) >= 1


def assert_all_there(writer: Traffic) -> None:
    assert writer.acknowledged
    assert writer.lost(writer.acknowledged) == {}
