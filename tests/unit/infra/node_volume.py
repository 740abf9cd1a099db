"""The volume of a container's node for tests of its scripts, and what these scripts make of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from infra.drivers.docker.deployment_files import SCRIPTS

NOW = 1_790_000_000
LATEST = 2**31 - 1
BASE = "appendonly.aof.2.base.rdb"
FILE, NEXT = "appendonly.aof.2.incr.aof", "appendonly.aof.3.incr.aof"
MANIFEST = f"file {BASE} seq 2 type b\nfile {FILE} seq 2 type i\n"
LIST = "".join(f"10.0.0.1{n} 700{n} node-{n} {'- 10.0.0.10' if n else '0 16383'}\n" for n in range(3))
FRESH = {"master_link_status": "down", "master_link_down_since_seconds": -1}
OWN, OTHER, THIRD = ("0" * 40, "1" * 40, "2" * 40)


def shell(data: Path, script: str) -> str:
    """What a script prints that has sourced both files, with another place for the data."""
    set_up = f"data={data} aof={data}/appendonlydir manifest={data}/appendonlydir/appendonly.aof.manifest"
    lines = [
        "set -u",
        f". {SCRIPTS}/holdings",
        f". {SCRIPTS}/members",
        f"{set_up} position={data}/position damage={data}/damage answers={data}/members",
        script,
    ]
    return subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout.strip()


def start_node(data: Path, script: str, topology: str = "cluster") -> str:
    """What a script prints that has sourced start-node of node-0, but for its end, which starts the server."""
    functions, end, _ = (SCRIPTS / "start-node").read_text().partition("\nreplicaof= ")
    assert end
    (data / "list").write_text(LIST)
    (data / "start").write_text(functions.replace("/etc/valkey/bin", str(SCRIPTS)))
    script = "\n".join(
        [
            f"cd {data}; data=$PWD aof=$PWD/appendonlydir manifest=$aof/appendonly.aof.manifest list=$PWD/list",
            "position=$PWD/position damage=$PWD/damage answers=$PWD/members nodes=$PWD/nodes.conf waiting=$PWD/waiting",
            "ip=10.0.0.10 port=7000 replicaof= unled= remedy='; repair it: make repair'",
            "poll() { :; }; sleep() { :; }; assess",
            script,
        ]
    )
    command = ["sh", "-c", f"set -- {topology} shop node-0\n. {data}/start\n{script}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def assess(data: Path) -> str:
    return shell(data, 'assess; echo "$holding: $reason"')


def note(data: Path, role: str = "master", size: int = 1000, file: str = FILE, rest: str = "") -> None:
    (data / "position").write_text(f"shop {role} history 5000 {file} {size} 1000 7 {NOW}{rest}\n")


def add_increment(data: Path) -> None:
    """Another one, which is the last, as after a rewrite that failed; the position has the sizes of all files."""
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text(f"{MANIFEST}file {NEXT} seq 3 type i\n")
    (data / "appendonlydir" / NEXT).write_bytes(b"y" * 1000)
    note(data, file=NEXT, rest=f" 9.1.2 {BASE} 1004")


def member(data: Path, name: str, **fields: object) -> None:
    """What another member answered."""
    known = {"role": "slave", "loading": 0, "slave_priority": 100, "master_replid": "history", **fields}
    (data / "members" / name).write_text("".join(f"{key}:{value}\r\n" for key, value in known.items()))
