"""Checks of INFO values that no small server can reach; the rest of INFO is from a real server."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError
from valkeykit.url import Node
from valkeykit_ops.doctor import examination, load, memory, persistence, replication, shell_commands, topology
from valkeykit_ops.doctor.finding import NOTE, PROBLEM, WARNING, DoctorReport, Finding
from valkeykit_ops.doctor.snapshot import Snapshot, take_snapshot
from valkeykit_ops.doctor.target import Target, of_url

from harness import tls as tls_end
from harness.endpoints.endpoint_servers import MEMORY_LIMIT
from harness.ports import HOST
from harness.servers import running
from tests.support import fixes

GIB = 2**30
REPLICA = {"role": "slave", "master_host": "10.0.0.1", "master_port": 6379, "master_link_status": "up"}

CheckFunction = Callable[[Snapshot, Target], list[Finding]]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    folder: Path = tmp_path_factory.mktemp("server")
    with running(folder, *MEMORY_LIMIT, "--appendonly", "yes") as server:
        yield take_snapshot(of_url(server.url).settings, Node(HOST, server.port))


@pytest.mark.parametrize(
    ("check", "info", "name", "severity"),
    [
        (memory.findings, {"used_memory": GIB, "used_memory_rss": 2 * GIB, "maxmemory": 4 * GIB},
         "fragmented", WARNING),
        (memory.findings, {"used_memory": 2 * GIB, "used_memory_rss": GIB, "maxmemory": 8 * GIB}, "swapped", WARNING),
        (memory.findings, {"maxmemory": 4 * GIB, "total_system_memory": 4 * GIB}, "limit-above-machine", WARNING),
        (memory.findings, {"used_memory": GIB, "used_memory_rss": GIB, "maxmemory": GIB,
                           "maxmemory_policy": "allkeys-lru"}, "nearly-full", NOTE),
        (memory.findings, {"maxmemory_policy": "volatile-lru", "db0": {"keys": 5, "expires": 0}}, "policy", WARNING),
        (persistence.findings, {"aof_last_write_status": "err"}, "aof-failed", PROBLEM),
        (persistence.findings, {"aof_last_bgrewrite_status": "err"}, "rewrite-failed", WARNING),
        (persistence.findings, {"rdb_last_bgsave_status": "err"}, "save-failed", WARNING),
        (replication.findings, REPLICA | {"master_last_io_seconds_ago": 60}, "lag", WARNING),
        (replication.findings, REPLICA | {"master_link_status": "down", "master_sync_in_progress": 1}, "syncing", NOTE),
        (replication.findings, {"slave0": {"ip": "b", "port": 1, "state": "online", "lag": 40, "offset": 0}},
         "lag", WARNING),
        (replication.findings, {"master_repl_offset": GIB, "slave0": {
            "ip": "b", "port": 1, "state": "online", "lag": 0, "offset": 0}}, "lag", WARNING),
        (replication.findings, {"slave0": {"ip": "b", "port": 1, "state": "wait_bgsave"}}, "syncing", NOTE),
        (load.clients, {"rejected_connections": 3}, "clients-refused", WARNING),
        (load.clients, {"client_output_buffer_limit_disconnections": 3}, "buffers", WARNING),
        (load.clients, {"mem_clients_normal": 200 * 2**20}, "client-memory", WARNING),
        (load.clients, {"blocked_clients": 3}, "blocked", NOTE),
    ],
)  # fmt: skip
def test_a_figure(check: CheckFunction, info: dict[str, Any], name: str, severity: str, real: Snapshot) -> None:
    target = of_url(f"redis://{real.node}")
    assert name not in {one.name for one in check(real, target)}
    found = check(replace(real, info={**real.info, **info}), target)
    assert [(one.name, one.severity) for one in found if one.name == name] == [(name, severity)]
    assert all(one.fix.startswith((f"VALKEY_URL=redis://{real.node}/0 valkeykit ", "grep")) for one in found)


def test_a_failed_append_only_file_needs_no_snapshot(real: Snapshot) -> None:
    """The rejected write has the same error code as after a failed snapshot."""
    error = ResponseError("MISCONF Errors writing to the AOF file: No space left on device")
    assert not examination._is_reported_elsewhere(real, error)
    broken = replace(real, info={**real.info, "aof_last_write_status": "err"})
    assert examination._is_reported_elsewhere(broken, error)


def test_slow_replies(real: Snapshot) -> None:
    target = of_url(f"redis://{real.node}")
    [slow] = [one for one in load.latency(replace(real, pings=[0.05] * 20), target) if one.layer == "latency"]
    assert (slow.name, slow.severity) == ("slow", WARNING)
    [quick] = load.latency(replace(real, pings=[0.001] * 20, cpu=0.1, slow=[]), target)
    assert (quick.name, quick.severity) == ("ping", NOTE)


def test_an_old_slow_command_is_no_news(real: Snapshot) -> None:
    target = of_url(f"redis://{real.node}")
    old, new = (7200.0, 2.0, "KEYS"), (60.0, 2.0, "KEYS")
    assert "slow-command" not in {one.name for one in load.latency(replace(real, slow=[old]), target)}
    assert "slow-command" in {one.name for one in load.latency(replace(real, slow=[old, new]), target)}


def test_a_cluster_with_unassigned_slots(real: Snapshot) -> None:
    target = of_url(f"valkey+cluster://{real.node}")
    info = {**real.info, "server_mode": "cluster"}
    partial = {"cluster_state": "ok", "cluster_slots_assigned": "16000", "cluster_slots_fail": "0"}
    [found] = topology.findings(replace(real, info=info, cluster=partial), target)
    assert found.name == "cluster-down"
    assert "384 slots" in found.what


def test_the_workload_of_a_full_policy_table(real: Snapshot) -> None:
    """Each policy with each workload: one that fits causes no finding."""
    fits = {
        "cache": ("allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-ttl"),
        "mixed": ("volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random", "noeviction"),
        "queue": ("noeviction",),
    }
    policies = {policy for row in fits.values() for policy in row}
    for workload, fitting in fits.items():
        target = of_url(f"redis://{real.node}", workload=workload)
        for policy in policies:
            found = memory.findings(replace(real, info={**real.info, "maxmemory_policy": policy}), target)
            is_named = any(one.name == "policy" for one in found)
            assert is_named != (policy in fitting or (workload == "cache" and policy == "volatile-random")), (
                workload,
                policy,
            )


def test_fixes_reach_the_server(tmp_path: Path) -> None:
    """TLS, its authority and the user are in the command; the password never."""
    tls_end.context(tmp_path)
    authority = tmp_path / "certificate.pem"
    secret = "p4ss-w0rd"
    given = of_url(f"rediss://app:{secret}@cache.example:6380", authority)
    [node] = given.address.nodes
    assert given.cli(node, "PING") == (
        f"VALKEY_URL=rediss://app@cache.example:6380/0 VALKEY_CA={authority} valkeykit cli --login PING"
    )
    stack = replace(given, ca=None, stack="web")
    assert stack.cli(node, "PING").startswith(
        'VALKEY_URL="$(pulumi stack output url --show-secrets --stack web)" '
        'VALKEY_CA="$(pulumi stack output endpoint --json --stack web | python3 -c '
    )
    assert "stack output adminUrl" in stack.cli(node, "CONFIG", "SET", "maxmemory", "1gb")
    assert stack.restore_setting(node, "PING") == "pulumi up --refresh --stack web"
    for one in (given, stack):
        assert secret not in repr(one) + one.new_password(node, "app") + one.cli(node, "PING") + one.log_in()


def test_fixes_for_the_environments_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VALKEY_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://app:secret@cache.example:6380")
    found = of_url(None)
    node = Node("cache.example", 6380)
    assert found.cli(node, "CONFIG", "GET", "dir") == "valkeykit cli --node cache.example:6380 CONFIG GET dir"
    limited = replace(found, lacks_admin=True)
    assert limited.cli(node, "CONFIG", "GET", "dir") == (
        "valkeykit cli --node cache.example:6380 --login CONFIG GET dir"
    )
    assert limited.cli(node, "INFO", "memory") == "valkeykit cli --node cache.example:6380 INFO memory"
    assert '"$REDIS_URL"' in found.edit_url(shell_commands.AS_CLUSTER)
    assert found.tool("stats") == "valkeykit stats"


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (shell_commands.WITH_TLS, "redis://a:p@h/0", "rediss://a:p@h/0"),
        (shell_commands.WITH_TLS, "valkey+cluster://h", "valkeys+cluster://h"),
        (shell_commands.WITHOUT_TLS, "valkeys://redis:rediss@h", "valkey://redis:rediss@h"),
        (shell_commands.AS_CLUSTER, "redis+single://a:p@h", "redis+cluster://a:p@h"),
        (shell_commands.AS_CLUSTER, "rediss://a:p:@h", "rediss+cluster://a:p:@h"),
        (shell_commands.AS_SENTINEL, "redis://h:26379", "redis+sentinel://h:26379"),
        (shell_commands.AS_SINGLE, "valkey+cluster://h", "valkey://h"),
        (shell_commands.FIRST_DATABASE, "redis://:7@h:1/99", "redis://:7@h:1/0"),
        (shell_commands.with_host(Node("127.0.0.1", 2)), "redis://a:p@h:1/0?a=b", "redis://a:p@127.0.0.1:2/0?a=b"),
        (shell_commands.with_host(Node("127.0.0.1", 2)), "redis://h", "redis://127.0.0.1:2"),
    ],
)
def test_fixes_of_a_url_run_in_a_shell(edit: shell_commands.UrlEdit, before: str, after: str) -> None:
    """The URL is in the environment, an argument, or an argument with a password, which is typed."""
    for variable in ("VALKEY_URL", "REDIS_URL"):
        command = shell_commands.edit_variable(variable, edit)
        assert in_shell(command, f'printf %s "${variable}"', **{variable: before}) == after
    assert in_shell(shell_commands.edit_typed(edit), typed=before + "\n") == after
    assert edit.apply(before) == after


def in_shell(command: str, then: str = 'printf %s "$VALKEY_URL"', typed: str = "", **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-c", f"{command}; {then}"], env=os.environ | variables, input=typed,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_checks_of_the_network_run_without_tools(real: Snapshot, tmp_path: Path) -> None:
    """Names from outside are quoted for the shell and for Python."""
    [host, port] = str(real.node).split(":")
    node = Node(host, int(port))
    for command, expected in (
        (shell_commands.connect(node), "connected"), (shell_commands.send(node, "PING"), "PONG"),
        (shell_commands.resolve(host), host),
    ):  # fmt: skip
        fixes.run(f"{command} | grep -q {expected}", tmp_path)
    for check in (shell_commands.connect, shell_commands.certificate):
        with pytest.raises(AssertionError, match="gaierror"):
            fixes.run(check(Node('"); print("connected"); \'$(touch broken)', 1)), tmp_path)
    assert not (tmp_path / "broken").exists()


def test_equal_findings_of_several_nodes_count_once() -> None:
    same = [
        Finding("memory", WARNING, "no-limit", "maxmemory is 0", "why", "fix", node=f"h:{port}") for port in range(3)
    ]
    other = replace(same[0], name="off", what="persistence is off")
    assert DoctorReport("h", (*same, other), ("memory",), 1.0).verdict == "2 warnings; first: maxmemory is 0"


@pytest.mark.parametrize(
    ("before", "user", "after"),
    [
        ("redis://h", "", "redis://:n%20w@h"),
        ("redis://app:old@h:1/0", "app", "redis://app:n%20w@h:1/0"),
        ("valkeys+cluster://app@a:1,b:2", "", "valkeys+cluster://:n%20w@a:1,b:2"),
    ],
)
def test_a_login_is_replaced_in_a_shell(before: str, user: str, after: str) -> None:
    password = "$(printf %s n%20w)"
    assert in_shell(shell_commands.login_in_variable("VALKEY_URL", user, password), VALKEY_URL=before) == after
    assert in_shell(shell_commands.login_in_url(before, user, password)) == after
    assert "old" not in shell_commands.login_in_url(before, user, password)


def test_a_new_password_is_in_its_file_and_its_hash_is_the_users(tmp_path: Path) -> None:
    """With a valkeykit that shows what it is given."""
    program = tmp_path / "valkeykit"
    program.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    program.chmod(0o755)
    command = of_url("redis://127.0.0.1:6379").new_password(Node("127.0.0.1", 6379), "app", "~*", "+@all")
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = subprocess.run(
        ["bash", "-c", f'{command} && echo "$VALKEY_URL"'],
        cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    password = (tmp_path / "app-password").read_bytes()
    assert len(password) == 64
    assert (tmp_path / "app-password").stat().st_mode & 0o077 == 0
    assert said.stdout.split() == [
        "cli", "ACL", "SETUSER", "app", "on", "resetpass", "~*", "+@all", f"#{hashlib.sha256(password).hexdigest()}",
        f"redis://app:{password.decode()}@127.0.0.1:6379",
    ]  # fmt: skip


def test_no_password_is_set_if_none_can_be_generated(tmp_path: Path) -> None:
    """A command that ignores the failure would set the hash of an empty file."""
    for name, code in (("valkeykit", "touch called"), ("python3", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    command = of_url("redis://127.0.0.1:6379").new_password(Node("127.0.0.1", 6379), "app")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env={"PATH": path}, capture_output=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "called").exists()
