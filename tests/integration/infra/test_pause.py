"""Writers that are held back for a failover, and a process that is killed or stopped meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.ports import GROUPS, reserve
from harness.waiting import wait_until
from infra import hardening
from infra.drivers.processes import group_driver, ports, server
from infra.drivers.processes.group import GroupSpec, ProcessExecutor
from infra.drivers.processes.running_server import ServerSpec
from infra.drivers.topology import pause, replication
from infra.drivers.topology.node_executor import NodeAddress, info
from stackctl.stack import PROJECT
from tests.support.server_group import PASSWORDS, end, made
from tests.support.single_server import client_of


def left(admin: redis.Redis) -> int:
    """Milliseconds until the server's pause ends."""
    return int(admin.info("clients")["paused_timeout_milliseconds"])


_HOLD = """
import time
from pathlib import Path
from infra import hardening
from infra.drivers import binary
from infra.drivers.topology import pause
from infra.drivers.processes.folder import Ownership, ServerFolder
from infra.drivers.processes.group import ProcessExecutor
from infra.drivers.processes.running_server import ServerSpec
folder = ServerFolder(Path({folder!r}))
spec = ServerSpec(folder, Ownership("valkey/test", "r", binary.version()), 0, {{}}, "", {password!r})
with pause.hold_writes(ProcessExecutor({{"node-0": spec}}), "node-0"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_commands_pause_ends_within_two_seconds(spec: ServerSpec) -> None:
    server.ensure(spec)
    program = _HOLD.format(folder=str(spec.folder.path), password=spec.password)
    with (
        subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE) as holder,
        client_of(spec) as admin,
        client_of(spec, "app") as app,
    ):
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            renewals, last = 0, left(admin)
            while renewals < 6:  # longer than one pause
                now = left(admin)
                assert 0 < now <= pause.PAUSE_SECONDS * 1000
                renewals, last = renewals + (now > last), now
            app.get("key")  # reads go on
        finally:
            holder.send_signal(signal.SIGKILL)
        assert left(admin) <= pause.PAUSE_SECONDS * 1000
        wait_until(lambda: _writes(app))


def _writes(app: redis.Redis) -> bool:
    with contextlib.suppress(redis.TimeoutError):
        return bool(app.set("key", "value"))
    return False


def test_a_gap_between_two_renewals_is_detected(spec: ServerSpec) -> None:
    server.ensure(spec)
    with ProcessExecutor({"node-0": spec}).session("node-0") as run, client_of(spec) as admin:
        held = pause.Pause(run)
        assert not held.is_unbroken
        wait_until(lambda: _begins(held))
        wait_until(lambda: left(admin) == 0)
        wait_until(lambda: not held.is_unbroken)
        held.renew()
        assert left(admin) > 0
        assert not held.is_unbroken
        wait_until(lambda: _begins(held))
        held.end()
        assert left(admin) == 0


def _begins(held: pause.Pause) -> bool:
    held.begin()
    return held.is_unbroken


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[GroupSpec]:
    """A primary with one replica, so that no setting of the stack's keeps a primary without replicas from writes."""
    group = made(tmp_path / "group", "replicated", reserve(GROUPS))
    directives = {**group.directives, **hardening.topology_directives("replicated", 1)}
    assert directives["min-replicas-to-write"] == "0"
    yield replace(group, replicas=1, directives=directives)
    end(group.folder.path)


class Watched(ProcessExecutor):
    """Keeps how the primary was when the Sentinels were given the order."""

    def __init__(self, group: GroupSpec, primary: str) -> None:
        super().__init__(group.all_servers)
        self.orders: list[tuple[str, bool]] = []
        self._primary = primary
        self._replica = next(name for name in group.nodes if name != primary)

    def run(self, node: str, *command: str) -> Any:
        if command[:2] == ("SENTINEL", "FAILOVER"):
            ours, theirs = (info(self, name, "replication") for name in (self._primary, self._replica))
            is_caught_up = int(theirs["slave_repl_offset"]) >= int(ours["master_repl_offset"])
            self.orders.append((info(self, self._primary, "clients")["paused_reason"], is_caught_up))
        return super().run(node, *command)


def test_the_order_is_given_only_while_writers_wait(pair: GroupSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is stopped for longer than the pause, just before the command."""
    group_driver.ensure(pair)
    first, acknowledged = pair.member("node-0"), []
    order = replication._order_failover

    def late(*given: Any) -> None:
        with _node(first) as admin:
            wait_until(lambda: left(admin) == 0)
            with contextlib.suppress(redis.ResponseError):  # Sentinels on a slow machine promote a replica by then
                acknowledged.append(admin.set("late", "acknowledged"))
        order(*given)

    monkeypatch.setattr(pause, "RENEW_INTERVAL_SECONDS", 1e6)
    monkeypatch.setattr(pause, "PROMOTION_PAUSE_SECONDS", pause.PAUSE_SECONDS)
    monkeypatch.setattr(replication, "_order_failover", late)
    with contextlib.closing(Watched(pair, first.name)) as executor:
        successor = replication.fail_over(executor, list(pair.sentinels), pair.members, first)
        assert ("client_pause", True) in executor.orders
        assert set(executor.orders) == {("client_pause", True)}
    with _node(successor) as admin:
        assert not acknowledged or admin.get("late") == "acknowledged"
    with _node(first) as admin:
        assert admin.config_get("min-replicas-to-write") == {"min-replicas-to-write": "0"}
        assert left(admin) == 0


def test_writers_wait_for_a_slow_promotion(pair: GroupSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is too slow to renew the pause while the Sentinels promote a replica."""
    group_driver.ensure(pair)
    first, promoted, remaining = pair.member("node-0"), replication.wait_for_primary, []
    caught_up, fences = replication._is_caught_up, []

    def fenced(executor: ProcessExecutor, *given: Any) -> bool:
        fences.append(executor.run(first.name, "CONFIG", "GET", "min-replicas-to-write")["min-replicas-to-write"])
        return caught_up(executor, *given)

    def slow(*given: Any, **options: Any) -> NodeAddress:
        time.sleep(2 * pause.PAUSE_SECONDS)
        with _node(first) as admin:
            remaining.append(left(admin))
        return promoted(*given, **options)

    monkeypatch.setattr(pause, "RENEW_INTERVAL_SECONDS", 1e6)
    monkeypatch.setattr(pause, "PROMOTION_PAUSE_SECONDS", 600)
    monkeypatch.setattr(replication, "wait_for_primary", slow)
    monkeypatch.setattr(replication, "_is_caught_up", fenced)
    with contextlib.closing(ProcessExecutor(pair.all_servers)) as executor:
        replication.fail_over(executor, list(pair.sentinels), pair.members, first)
    assert set(fences) == {"1"}, "Sentinels may promote a replica before the order"
    assert remaining[0] > 0
    with _node(first) as admin:
        assert left(admin) == 0


_FAIL_OVER = """
import os, signal
from pathlib import Path
from dataclasses import replace
from infra.drivers.topology import replication
from infra.drivers.processes.group import ProcessExecutor
from tests.support.server_group import made
replication.attach_replicas = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
pair = replace(made(Path({folder!r}), "replicated", {port}), replicas=1)
replication.fail_over(ProcessExecutor(pair.all_servers), list(pair.sentinels), pair.members, pair.member("node-0"))
"""


def test_a_failover_killed_half_way_loses_no_acknowledged_write(pair: GroupSpec) -> None:
    """A replica is promoted, the primary isn't demoted yet, and its pause is over."""
    group_driver.ensure(pair)
    program = _FAIL_OVER.format(folder=str(pair.folder.path), port=pair.port)
    killed = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    acknowledged: list[str] = []
    with _node(pair.member("node-0")) as former:
        wait_until(lambda: _is_demoted(former, acknowledged))
    assert group_driver.ensure(pair).problems == []
    with _node(pair.member("node-1")) as admin:
        assert [name for name in acknowledged if admin.get(name) is None] == []
        assert admin.info("replication")["role"] == "master"
    with _node(pair.member("node-0")) as admin:
        assert admin.config_get("min-replicas-to-write") == {"min-replicas-to-write": "0"}


def _is_demoted(former: redis.Redis, acknowledged: list[str]) -> bool:
    name = f"key:{len(acknowledged)}"
    try:
        former.set(name, "value")
        acknowledged.append(name)
    except redis.ReadOnlyError:
        return True
    except (redis.RedisError, OSError):  # NOREPLICAS, or still held back
        pass
    return False


def _node(member: NodeAddress) -> redis.Redis:
    return redis.Redis(
        ports.HOST, member.port, username="admin", password=PASSWORDS["admin"], decode_responses=True, socket_timeout=2
    )
