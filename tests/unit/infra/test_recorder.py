"""The recorder of a node's position: it is started again, and a health check reports one that is gone."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from infra.drivers.docker import reasons
from infra.drivers.docker.deployment_files import SCRIPTS


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
