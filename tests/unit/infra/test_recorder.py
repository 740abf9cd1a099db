"""recorder: the position that it records, its restart, and the health check that reports one that is gone."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from infra.drivers.docker import reasons
from infra.drivers.docker.deployment_files import SCRIPTS
from tests.unit.infra.node_volume import BASE, LATEST, NEXT, NOW, add_increment, assess, note, shell, start_node

RECORDER = f". {SCRIPTS}/recorder; newcomer=$data/newcomer loaded=$data/loaded"
"""With its files next to a server in the test's own folder."""


@pytest.mark.parametrize(
    ("answer", "age", "expected"),
    [
        ("PONG", None, ""),  # a Sentinel
        ("PONG", 0, ""),
        ("PONG", 100, ""),
        ("PONG", 300, "stale: its position has not been recorded for 30"),
        ("NOAUTH", None, "NOAUTH"),
        ("MISCONF disk full", 0, "MISCONF disk full"),
    ],
)
def test_a_node_is_healthy_while_its_position_is_noted(
    answer: str, age: float | None, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "cli").write_text(f"echo '{answer}'\n")
    if age is not None:
        (tmp_path / "noted").touch()
        os.utime(tmp_path / "noted", (time.time() - age,) * 2)
    script = (
        (SCRIPTS / "healthy")
        .read_text()
        .replace("/etc/valkey/bin", str(tmp_path))
        .replace("/tmp/noted", f"{tmp_path}/noted")
    )
    checked = subprocess.run(["sh", "-c", script, "healthy", "7000"], capture_output=True, text=True, check=False)
    assert (checked.returncode == 0) == (not expected)
    assert checked.stdout.startswith(expected)
    assert bool(checked.stdout) == bool(expected)


def test_a_recorder_that_is_gone_is_a_reason_to_restart() -> None:
    found = reasons.find(
        "stale: its position has not been recorded for 300 s\n", "", "make repair X", "docker restart Y"
    )
    assert found
    assert (found.text, found.fix) == ("its position has not been recorded for 300 s", "docker restart Y")


def test_a_recorder_that_ends_is_started_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"""set -u
. {SCRIPTS}/recorder
record() {{ echo x >>{count}; [ "$(wc -l <{count})" -lt 3 ] || kill "$server"; exit 2; }}
sleep() {{ :; }}
command sleep 300 & server=$!
keep_recording; wait"""
    subprocess.run(["sh", "-c", script], check=True, timeout=250)
    assert len(count.read_text().splitlines()) >= 3


def test_an_orderly_stop_makes_the_data_of_a_replica_no_younger(data: Path) -> None:
    script = f'{RECORDER}; loaded=$data; read_position; note_end; cut -d " " -f 2,9 <"$position"'
    note(data, role="slave")
    assert shell(data, script) == f"slave {NOW}"
    note(data, role="master")
    role, seen = shell(data, script).split()
    assert role == "stopped"
    assert int(seen) > NOW


def test_a_server_that_is_stopped_while_it_loads_has_not_been_a_primary(data: Path) -> None:
    before = (data / "position").read_text()
    shell(data, f"{RECORDER}; loaded=$data/no; read_position; note_end")
    assert (data / "position").read_text() == before


def test_a_position_is_noted_with_the_size_of_all_files(data: Path) -> None:
    add_increment(data)
    answers = (
        "# Replication\nrole:master\nmaster_replid:history\nmaster_repl_offset:7000\n# Persistence\nloading:0\n"
        "aof_rewrite_scheduled:0\naof_pending_bio_fsync:0\naof_buffer_length:0\n# Keyspace\ndb0:keys=7\nPONG\n"
    )
    (data / "answers").write_text(f"PONG\n{answers * 3}")
    script = f'{RECORDER}; owner= project=shop version=9.1.2 seen=1; note <"{data}/answers"; cat "$position"'
    *words, seen, version, base, earlier = shell(data, script).split()
    assert words == ["shop", "master", "history", "7000", NEXT, "1000", "1000", "7"]
    assert int(seen) > NOW
    assert [version, base, earlier] == ["9.1.2", BASE, "1004"]
    assert assess(data) == "known:"


def test_a_new_node_without_slots_has_not_been_a_primary(data: Path) -> None:
    (data / "answers").write_text(
        "PONG\nrole:master\nmaster_replid:h\nmaster_repl_offset:0\nloading:0\naof_rewrite_scheduled:0\n"
        "aof_pending_bio_fsync:0\naof_buffer_length:0\n# Persistence\n# Keyspace\nPONG\n"
    )
    script = f'{RECORDER}; newcomer=$data/newcomer; : >"$newcomer"; ask() {{ :; }}\n'
    script += f'port=1 project=shop seen=1; note <"{data}/answers"; cut -d " " -f 2,8,9 <"$position"'
    assert shell(data, script) == "master 0 1"
    script = "topology=cluster; assess; echo $holding $(priority)"
    assert start_node(data, script).split() == ["known", "0"]
    note(data)
    assert start_node(data, script).split() == ["known", str(LATEST - NOW)]


@pytest.mark.parametrize("role", ["slave", "master"])
def test_a_newcomer_has_sound_data_once_it_follows_or_has_slots(data: Path, role: str) -> None:
    """It started with priority 0, and a primary that was replaced is not promoted again with that."""
    (data / "cli").write_text('echo "$*" >"${0%cli}set"\n')
    script = f'{RECORDER}; bin=$data port=1 role={role} link=up; : >"$newcomer"\n'
    script += "ask() { echo own - myself - - - - - 0-9; }\n"
    assert shell(data, f'{script} welcome; cat "$data/set"').endswith("replica-priority 100")
    assert not (data / "newcomer").exists()


def test_no_position_is_noted_while_the_files_are_of_the_data_before(data: Path) -> None:
    """A replica that has copied all data writes them to its disk; and a server that answers PONG alone has no data."""
    before = (data / "position").read_text()
    (data / "appendonlydir" / "temp-appendonly.aof.incr").write_bytes(b"")
    (data / "answers").write_text(
        "PONG\nrole:slave\nmaster_replid:h\nslave_repl_offset:9\nmaster_link_status:up\nloading:0\n"
        "aof_rewrite_scheduled:0\naof_pending_bio_fsync:0\naof_buffer_length:0\n# Persistence\nPONG\n"
    )
    shell(data, f'{RECORDER}; project=shop seen=1; note <"{data}/answers"')
    assert (data / "position").read_text() == before


PRIMARY = "role:master\n"
UNLINKED = "role:slave\nmaster_link_status:down\nmaster_sync_in_progress:0\nslave_priority:100\n"
COPYING = UNLINKED.replace("progress:0", "progress:1")
RESTARTED = UNLINKED.replace("100", str(LATEST - NOW))
LINKED = "role:slave\nmaster_link_status:up\nmaster_sync_in_progress:0\nslave_priority:7\n"


@pytest.mark.parametrize(("topology", "last"), [("replicated", "0"), ("cluster", str(LATEST - 1))])
@pytest.mark.parametrize(
    ("states", "priorities"),
    [
        pytest.param([PRIMARY, UNLINKED], "last", id="replaced"),
        pytest.param([PRIMARY, COPYING.replace("100", "101")], "last", id="replaced-and-copying"),
        pytest.param([PRIMARY, UNLINKED, LINKED], "last 100", id="replaced-and-in-sync"),
        pytest.param([PRIMARY, LINKED, UNLINKED], "100", id="in-sync-before-it-lost-its-primary"),
        pytest.param([RESTARTED, PRIMARY, RESTARTED], "last", id="promoted-since-it-started"),
        pytest.param([PRIMARY, UNLINKED, UNLINKED.replace("100", "5")], "last", id="admitted-afterwards"),
        pytest.param([PRIMARY, UNLINKED.replace("100", "0")], "", id="without-sound-data"),
        pytest.param([UNLINKED, COPYING], "101", id="a-replica-that-copies"),
    ],
)
def test_no_failover_selects_a_replaced_primary(
    data: Path, states: list[str], priorities: str, topology: str, last: str
) -> None:
    """Its successor had later data. A cluster's keeper promotes it if no other member has any."""
    rest = "master_replid:h\nloading:0\naof_rewrite_scheduled:1\n# Persistence\nPONG\n"
    (data / "answers").write_text("".join(state + rest for state in states))
    script = f'{RECORDER}; set_priority() {{ echo "$1"; }}; topology={topology} project=shop seen=1'
    assert shell(data, f'{script}; note <"{data}/answers"').split() == priorities.replace("last", last).split()
