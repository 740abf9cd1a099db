"""find-primary and start-sentinel: which node a Sentinel without a configuration of its own monitors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.drivers.docker.deployment_files import SCRIPTS

LISTED = "10.0.0.10 7000 node-0 - 10.0.0.10\n10.0.0.11 7001 node-1 - 10.0.0.10\n10.0.0.12 7002 node-2 - 10.0.0.10\n"
NODES = {f"node-{number}": f"10.0.0.1{number} 700{number}" for number in range(3)}
SENTINELS = ("10.0.0.110", "10.0.0.111", "10.0.0.112")
TEMPLATE = """tls-port 7003
sentinel announce-port 7003
sentinel monitor valkey 10.0.0.10 7000 2
sentinel auth-user valkey sentinel
sentinel auth-pass valkey "secret"
sentinel sentinel-pass "secret"
"""
REFUSED = "Could not connect to Valkey at 10.0.0.10:7000: Connection refused\n\n"
ABSENT = "Could not connect to Valkey at 10.0.0.10:7000: Connection timed out\n\n"
SHY = "Could not connect to Valkey at 10.0.0.10:7000: SSL_connect failed: unexpected eof\n\n"


def shell(folder: Path, script: str) -> str:
    """What a script prints that has sourced both files, with other places and answers that are there already."""
    lines = [
        "set -u",
        f". {SCRIPTS}/members",
        f". {SCRIPTS}/find-primary",
        f"list={folder}/list addresses={folder}/addresses answers={folder}/answers",
        "query_all() { :; }",
        script,
    ]
    return subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As in a first start: nothing runs."""
    (tmp_path / "list").write_text(LISTED)
    (tmp_path / "addresses").write_text("".join(f"{host} 7003\n" for host in SENTINELS))
    (tmp_path / "answers").mkdir()
    for name in (*NODES, *SENTINELS):
        answer(tmp_path, name, REFUSED)
    return tmp_path


def answer(folder: Path, name: str, text: str) -> None:
    (folder / "answers" / name).write_text(text)


def leads(folder: Path, name: str, replicas: int = 0) -> None:
    answer(folder, name, f"# Replication\nrole:master\nconnected_slaves:{replicas}\nmaster_repl_offset:9\n")


def follows(folder: Path, name: str, primary: str) -> None:
    host, port = NODES[primary].split()
    answer(folder, name, f"role:slave\nmaster_host:{host}\nmaster_port:{port}\nconnected_slaves:0\n")


def names(folder: Path, sentinel: str, primary: str, epoch: int) -> None:
    host, port = NODES[primary].split()
    answer(folder, sentinel, f"name\nvalkey\nip\n{host}\nport\n{port}\nrunid\n\nflags\nmaster\nconfig-epoch\n{epoch}\n")


def found(folder: Path) -> str:
    """The name of the node, or what is waited for."""
    text = shell(folder, 'if find_primary; then echo "$primary"; else echo "waits: $problem"; fi')
    return {at: name for name, at in NODES.items()}.get(text, text)


@pytest.mark.parametrize("gone", [REFUSED, ABSENT, ""])
def test_none_is_found_where_nothing_runs(folder: Path, gone: str) -> None:
    for name in ("node-0", SENTINELS[0]):
        answer(folder, name, gone)
    assert found(folder) == ("" if gone else "waits: the primary is unknown, as these do not respond: "
                             "10.0.0.110 node-0")  # fmt: skip


def test_the_sentinel_that_has_seen_the_latest_failover_decides(folder: Path) -> None:
    names(folder, SENTINELS[0], "node-0", 0)
    names(folder, SENTINELS[1], "node-2", 10)
    names(folder, SENTINELS[2], "node-1", 9)
    leads(folder, "node-0", replicas=2)
    assert found(folder) == "node-2"


def test_a_sentinel_that_monitors_nothing_or_another_node_does_not_count(folder: Path) -> None:
    answer(folder, SENTINELS[0], "ERR No such master with that name\n\n")
    answer(folder, SENTINELS[1], "ip\n10.9.9.9\nport\n7000\nconfig-epoch\n7\n")
    assert found(folder) == ""
    follows(folder, "node-0", "node-1")
    assert found(folder) == "node-1"


def test_nodes_decide_between_sentinels_that_contradict_each_other(folder: Path) -> None:
    names(folder, SENTINELS[0], "node-0", 4)
    names(folder, SENTINELS[1], "node-1", 4)
    assert found(folder) == "node-0"  # nothing else runs: nodes wait until most Sentinels agree
    leads(folder, "node-1", replicas=1)
    assert found(folder) == "node-1"


def test_a_primary_that_others_follow(folder: Path) -> None:
    follows(folder, "node-0", "node-1")
    leads(folder, "node-1")
    assert found(folder) == "node-1"
    leads(folder, "node-2")  # a former one that is back
    assert found(folder) == "node-1"


def test_a_primary_that_is_down(folder: Path) -> None:
    follows(folder, "node-0", "node-1")
    follows(folder, "node-2", "node-1")
    assert found(folder) == "node-1"


def test_a_chain_of_replicas(folder: Path) -> None:
    follows(folder, "node-2", "node-0")
    follows(folder, "node-0", "node-1")
    assert found(folder) == "node-1"
    leads(folder, "node-1", replicas=1)
    assert found(folder) == "node-1"


def test_the_only_primary(folder: Path) -> None:
    leads(folder, "node-1")
    assert found(folder) == "node-1"


def test_nodes_that_contradict_each_other_are_waited_for(folder: Path) -> None:
    leads(folder, "node-0")
    leads(folder, "node-2")
    expected = "waits: several nodes claim to be the primary: node-0 node-2 -> make all but one a replica"
    assert found(folder).startswith(expected)
    follows(folder, "node-2", "node-1")
    assert found(folder).startswith("waits: several nodes claim to be the primary: node-0 node-1 ->")


@pytest.mark.parametrize("text", ["", SHY, "WRONGPASS invalid username-password pair\n"])
def test_an_existing_node_that_does_not_respond_is_waited_for(folder: Path, text: str) -> None:
    answer(folder, "node-1", text)
    assert found(folder) == "waits: the primary is unknown, as these do not respond: node-1"
    leads(folder, "node-0")
    assert found(folder) == "node-0"


def sentinel(folder: Path, script: str) -> str:
    """What a script prints that has the functions of start-sentinel."""
    text = (SCRIPTS / "start-sentinel").read_text()
    functions = text[text.index("say() {") : text.index('rm -f "$waiting"')]
    return shell(folder, f"own={folder}/own template={folder}/template\n{functions}\n{script}")


@pytest.mark.parametrize(
    ("own", "is_sound"),
    [
        (TEMPLATE, True),
        (f"{TEMPLATE}sentinel myid 4\n\nsentinel known-replica valkey 10.0.0.11 7001\n", True),
        (TEMPLATE.replace("10.0.0.10 7000", "10.0.0.12 7002"), True),
        (TEMPLATE[: TEMPLATE.index("sentinel auth-user")], False),
        (TEMPLATE[: TEMPLATE.index("sentinel sentinel-pass")], False),
        (TEMPLATE[: TEMPLATE.index("ecret", TEMPLATE.index("sentinel-pass"))], False),  # codespell:ignore
        (TEMPLATE[TEMPLATE.index("sentinel monitor") :], False),
        (TEMPLATE.replace("monitor valkey", "monitor other"), False),
        (f"{TEMPLATE}\0\0", False),
        ("\0" * 100, False),
    ],
)
def test_a_configuration_that_lacks_a_line_of_the_template_is_not_sound(folder: Path, own: str, is_sound: bool) -> None:
    (folder / "template").write_text(TEMPLATE)
    (folder / "own").write_text(own)
    assert sentinel(folder, "is_sound && echo yes || echo no") == ("yes" if is_sound else "no")


def test_a_new_configuration_names_the_primary_and_its_replicas(folder: Path) -> None:
    (folder / "template").write_text(TEMPLATE)
    assert sentinel(folder, "configured") == "10.0.0.10 7000"
    sentinel(folder, 'configure "10.0.0.12 7002"')
    added = "sentinel known-replica valkey 10.0.0.10 7000\nsentinel known-replica valkey 10.0.0.11 7001\n"
    assert (folder / "own").read_text() == TEMPLATE.replace("10.0.0.10 7000", "10.0.0.12 7002") + added
    assert sentinel(folder, "is_sound && echo yes") == "yes"
