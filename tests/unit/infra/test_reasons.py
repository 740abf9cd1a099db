"""Why a container isn't healthy: the line that names the cause, not the last one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.drivers.docker import container_health, reasons
from infra.drivers.docker.deployment_files import SCRIPTS

START = "1:M 29 Nov 2026 06:16:05.293 * oO0OoO0OoO0Oo Valkey is starting oO0OoO0OoO0Oo"


def logged(*texts: str) -> str:
    return "\n".join(f"1:M 29 Nov 2026 06:16:05.428 {text}" for text in texts)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            (
                f"{logged('# Bad file format: an earlier start')}\n{START}\n"
                f"{logged('# Bad file format reading the append only file')}\n"
                "[offset 0] Check RDB returned error code 1"
            ),
            "Bad file format reading the append only file",
        ),
        (
            (
                f"{START}\n{logged('# ------------', '# !!! Software Failure')}\n"
                f"{logged('# Guru Meditation: Unrecoverable error: corrupted cluster config file')}\n"
                "  Some other issues could be detected by valkey-server --check-system"
            ),
            "Unrecoverable error: corrupted cluster config file",
        ),
        (
            "*** FATAL CONFIG FILE ERROR (Version 9.1.2) ***\nReading the configuration file, at line 1\n>>> 'x'\nBad",
            "FATAL CONFIG FILE ERROR (Version 9.1.2)",
        ),
        (
            (
                f"{START}\n{logged('# Check RDB returned error code 1')}\n"
                "start-node: node-0: appendonly.aof.1.base.rdb is damaged: [offset 202] Invalid object type: 120"
            ),
            "appendonly.aof.1.base.rdb is damaged: [offset 202] Invalid object type: 120",
        ),
        (logged("# WARNING Memory overcommit must be enabled!"), ""),
        (f"{START}\n{logged('* Ready to accept connections', '* Synchronization with replica succeeded')}", ""),
        (
            (
                f"start-node: node-0: node-1 holds more; waiting until it is the primary\n{START}\n"
                f"{logged('* Ready to accept connections tls', '# Connection with replica lost')}"
            ),
            "",
        ),
        (f"{START}\n{logged('* Sentinel ID is 40 digits', '# +monitor master valkey', '# +sdown master valkey')}", ""),
        (
            (
                f"{START}\n{logged('* Ready to accept connections tls', '# Connection with replica lost')}\n"
                f"{logged('# === VALKEY BUG REPORT START', '# Valkey 9.1.2 crashed by signal: 11')}"
            ),
            "=== VALKEY BUG REPORT START",
        ),
        (
            f"{START}\n{logged('* Sentinel ID is 40 digits')}\ndemote-primary: 10.0.0.10:7000 stays a primary",
            "",
        ),
        (
            "start-sentinel: sentinel-0: its configuration was set aside in /data/x\ndemote-primary: x",
            "its configuration",
        ),
        ("# node-1 does not respond\nnode-0: cluster forget 40 digits: OK", ""),
        ("the cluster is healthy", ""),
        ("valkey-server: error while loading shared libraries: libssl.so.3", "valkey-server: error while loading"),
        ("sh: 1: cannot create /data/valkey.conf.new: Read-only file system", "sh: 1: cannot create"),
        ("", ""),
    ],
)
def test_the_cause_in_a_log(log: str, expected: str) -> None:
    found = reasons.cause(log)
    assert found.startswith(expected)
    assert bool(found) is bool(expected)


def test_what_a_node_waits_for() -> None:
    reason = reasons.find("stop: its manifest is lost; repair it: make repair NODE=node-0", "", repair="make repair X")
    assert reason == reasons.Reason("its manifest is lost", reasons.STOP_GRACE_SECONDS, "make repair X")
    single = reasons.find(
        "stop: its manifest is lost; repair it: make repair NODE=node-0", "", "make repair X", alone=True
    )
    assert single == reasons.Reason("its manifest is lost", 0, "make repair X")
    reason = reasons.find("stop: its volume has data of another", "", repair="make repair X")
    assert reason == reasons.Reason("its volume has data of another", reasons.STOP_GRACE_SECONDS)
    reason = reasons.find("stop: its volume is read-only -> mount it for writing", "", repair="make repair X")
    assert reason == reasons.Reason("its volume is read-only", reasons.STOP_GRACE_SECONDS, "mount it for writing")
    assert reasons.find("wait: node-1 holds more", "", "") == reasons.Reason(
        "node-1 holds more", reasons.WAIT_GRACE_SECONDS, is_wait=True
    )
    found = reasons.find("MISCONF Errors writing to the AOF file: No space left on device\n", "", "make repair X")
    assert found
    assert (found.state, found.text) == (
        "rejects writes",
        "MISCONF Errors writing to the AOF file: No space left on device",
    )
    lost = "Could not connect to Valkey at 127.0.0.1:7000: Invalid CA Certificate File/Directory"
    assert reasons.find(f"{lost}\n", "", "") == reasons.Reason(lost, float("inf"), "make up", "is unhealthy")
    assert reasons.find("", "", "") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node-1 holds more; waiting until it is the primary", ["node-1"]),
        ("no other member responds and reports what it holds: node-2, node-1", ["node-2", "node-1"]),
        ("its volume is empty, and these members do not respond: node-10", ["node-10"]),
        ("no majority of the Sentinels names a primary", ["sentinel-0"]),
        ("its files can't be set aside: the volume is full or read-only", []),
    ],
)
def test_the_members_that_a_node_waits_for(text: str, expected: list[str]) -> None:
    members = ["node-0", "node-1", "node-2", "node-10", "sentinel-0"]
    assert reasons.Reason(text, reasons.WAIT_GRACE_SECONDS).awaits(members) == expected


def facts(**state: Any) -> dict[str, Any]:
    return {
        "State": {"Running": True, "Restarting": False, "Status": "running", **state},
        "Config": {"Labels": {"valkey.definition": "current"}},
        "NetworkSettings": {"Networks": {"default": {"IPAddress": ""}}},
    }


WANTED = {"labels": {"valkey.definition": "current"}, "networks": {"default": {"ipv4_address": "10.0.0.10"}}}


def test_a_container_that_fails_to_start_is_not_one_that_lost_its_network() -> None:
    failing = facts(Restarting=True, Status="restarting")
    assert not container_health.can_recreate(failing, WANTED)  # its log would go with it
    assert container_health.status(failing) == "restarting"
    assert not container_health.has_failed(failing, 1, 0)
    assert container_health.has_failed(failing, container_health.RESTART_GRACE_SECONDS + 1, 0)
    assert container_health.can_recreate(facts(), WANTED)


@pytest.mark.parametrize(
    ("plan", "text", "fix"),
    [
        (
            "# node-1 does not respond\n# not a healthy cluster yet",
            "node-1 does not respond; not a healthy cluster yet",
            "",
        ),
        ("# the slots of x are lost: y", "the slots of x are lost: y", "make repair STACK=web NODE=<the empty node>"),
        ("", None, ""),
    ],
)
def test_the_problems_of_a_cluster_are_those_of_its_keeper(
    plan: str, text: str | None, fix: str, tmp_path: Path
) -> None:
    functions, end, _ = (SCRIPTS / "keep-cluster").read_text().partition("\nreported=\n")
    assert end
    file = tmp_path / "waiting"
    file.write_text("cluster: an earlier problem\n")
    script = f"{functions}\nwaiting={file} missing=$1\nnote_problems"
    subprocess.run(["sh", "-c", script, "sh", plan], check=True)
    reason = reasons.find(file.read_text() if file.exists() else "", "", "make repair STACK=web NODE=keeper")
    assert (reason and reason.text) == text
    assert (reason.fix if reason else "") == fix
    assert reason is None or (reason.grace_seconds == reasons.STOP_GRACE_SECONDS) == bool(fix)
