"""start-sentinel: which configuration a Sentinel starts with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.drivers.docker.deployment_files import SCRIPTS

SENTINEL = """\
port 0
tls-port 26379
sentinel announce-ip 10.0.0.20
sentinel announce-port 26379
sentinel monitor valkey 10.0.0.10 7000 2
"""


@pytest.mark.parametrize(
    ("conf", "is_sound"),
    [
        (SENTINEL + "sentinel myid 1\n", True),
        (SENTINEL.replace("10.0.0.20", '"10.0.0.20"'), True),  # as Sentinel rewrites it
        (SENTINEL.replace("10.0.0.10 7000", "10.0.0.11 7001"), True),  # after a failover
        (SENTINEL.replace("10.0.0.20", "10.0.0.21"), False),
        (SENTINEL.replace("announce-port 26379", "announce-port 26380"), False),
        (SENTINEL.replace("tls-port 26379", "tls-port 26380"), False),
        (SENTINEL.replace("sentinel announce-ip 10.0.0.20\n", ""), False),
        (SENTINEL.rstrip(), False),
    ],
)
def test_a_sentinel_takes_only_a_configuration_of_its_own(conf: str, is_sound: bool, tmp_path: Path) -> None:
    functions, end, _ = (SCRIPTS / "start-sentinel").read_text().partition('\nrm -f "$waiting"\n')
    assert end
    (tmp_path / "own").write_text(conf)
    (tmp_path / "template").write_text(SENTINEL)
    (tmp_path / "start").write_text(functions.replace("/etc/valkey/bin", str(SCRIPTS)))
    script = f"set -- sentinel-0\n. {tmp_path}/start\nown={tmp_path}/own template={tmp_path}/template\nis_sound"
    assert (subprocess.run(["sh", "-c", script], check=False).returncode == 0) == is_sound
