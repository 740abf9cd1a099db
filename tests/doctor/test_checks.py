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
from valkeykit.url import Node
from valkeykit_ops.doctor import error_findings, load, memory, persistence, replication, topology
from valkeykit_ops.doctor.finding import NOTE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot, take_snapshot
from valkeykit_ops.doctor.target import Target, of_url

from harness import tls as tls_end
from harness.endpoints.faulty import LIMIT
from harness.ports import HOST
from harness.servers import running

GIB = 2**30
REPLICA = {"role": "slave", "master_host": "10.0.0.1", "master_port": 6379, "master_link_status": "up"}

CheckFunction = Callable[[Snapshot, Target], list[Finding]]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    folder: Path = tmp_path_factory.mktemp("server")
    with running(folder, *LIMIT, "--appendonly", "yes") as server:
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
    assert all(one.fix.startswith(("valkey-cli", "grep")) for one in found)


def test_slow_answers(real: Snapshot) -> None:
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


def test_a_cluster_whose_slots_are_not_all_somebodys(real: Snapshot) -> None:
    target = of_url(f"valkey+cluster://{real.node}")
    info = {**real.info, "server_mode": "cluster"}
    partial = {"cluster_state": "ok", "cluster_slots_assigned": "16000", "cluster_slots_fail": "0"}
    [found] = topology.findings(replace(real, info=info, cluster=partial), target)
    assert found.name == "cluster-down"
    assert "384 slots" in found.what


def test_the_workload_of_a_full_policy_table(real: Snapshot) -> None:
    """Each policy with each workload: what fits is silent."""
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
    command = of_url(f"rediss://app:{secret}@cache.example:6380", authority).cli(Node("cache.example", 6380), "PING")
    assert command == (f"valkey-cli -h cache.example -p 6380 --tls --user app --askpass --cacert {authority} PING")
    stack = replace(of_url(f"rediss://app:{secret}@cache.example:6380", authority), ca=None, stack="web")
    assert "--cacert <(pulumi stack output endpoint --json --stack web | python3 -c" in stack.cli(
        stack.address.nodes[0], "PING"
    )
    assert stack.restore_setting(stack.address.nodes[0], "PING") == "pulumi up --refresh --stack web"
    assert secret not in repr(stack) + stack.new_password(stack.address.nodes[0], "app")


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        (error_findings.WITH_TLS, "redis://a:p@h/0", "rediss://a:p@h/0"),
        (error_findings.WITH_TLS, "valkey+cluster://h", "valkeys+cluster://h"),
        (error_findings.WITHOUT_TLS, "valkeys://redis:rediss@h", "valkey://redis:rediss@h"),
        (error_findings.AS_CLUSTER, "redis+single://a:p@h", "redis+cluster://a:p@h"),
        (error_findings.AS_CLUSTER, "rediss://a:p:@h", "rediss+cluster://a:p:@h"),
        (error_findings.AS_SENTINEL, "redis://h:26379", "redis+sentinel://h:26379"),
        (error_findings.AS_SINGLE, "valkey+cluster://h", "valkey://h"),
    ],
)
def test_fixes_of_a_url_run_in_a_shell(command: str, before: str, after: str) -> None:
    said = subprocess.run(
        ["sh", "-c", f'{command}; printf %s "$VALKEY_URL"'], env=os.environ | {"VALKEY_URL": before},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (said.stdout, said.stderr) == (after, "")


def test_a_new_password_is_in_its_file_and_its_hash_is_the_users(tmp_path: Path) -> None:
    """With a valkey-cli that shows what it is given."""
    program = tmp_path / "valkey-cli"
    program.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    program.chmod(0o755)
    command = of_url("redis://127.0.0.1:6379").new_password(Node("127.0.0.1", 6379), "app", "~*", "+@all")
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=True
    )
    password = (tmp_path / "app-password").read_bytes()
    assert len(password) == 64
    assert (tmp_path / "app-password").stat().st_mode & 0o077 == 0
    assert said.stdout.split()[4:] == [
        "ACL", "SETUSER", "app", "on", "resetpass", "~*", "+@all", f"#{hashlib.sha256(password).hexdigest()}",
    ]  # fmt: skip
