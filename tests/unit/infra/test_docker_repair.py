"""What a repair decides without a container: manifests, reports of the server's tools, nodes.conf."""

from __future__ import annotations

from pathlib import Path

import pytest
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra.drivers.docker import aof
from infra.drivers.docker.aof import AofFile
from infra.drivers.docker.repair_container import RecordedPosition
from infra.drivers.topology import nodesconf
from stackctl.errors import StackError
from stackctl.operations import repair
from stackctl.stack import Stack

BASE, CHANGES = "appendonly.aof.2.base.rdb", "appendonly.aof.5.incr.aof"
OWN, OTHER, SHARD = "a" * 40, "b" * 40, "c" * 40

CONF = f"""\
{OTHER} 10.1.1.11:0@29991,localhost,tls-port=19991 myself,master - 0 0 2 connected 5461-10921 [93-<-{SHARD}]
{OWN} 10.1.1.10:0@29990,localhost,tls-port=19990,shard-id={SHARD} master,fail - 1795933060 1795933061 1 connected 0-5460
vars currentEpoch 3 lastVoteEpoch 0
"""


def test_a_manifest_is_read_and_written() -> None:
    text = f"file {BASE} seq 2 type b\nfile old.aof seq 4 type h\nfile {CHANGES} seq 5 type i\n"
    files = aof.parse(text)
    assert files == [AofFile(BASE, 2, "b"), AofFile(CHANGES, 5, "i")]
    assert aof.render(files) == text.replace("file old.aof seq 4 type h\n", "")


@pytest.mark.parametrize(
    "text", ["", "\0\0\0", f"file {BASE} seq 2 type b\nfile app", f"file {CHANGES} seq 5 type i\n"]
)
def test_a_damaged_manifest_names_nothing(text: str) -> None:
    assert aof.parse(text) == []


def test_a_manifest_is_rebuilt_from_the_files() -> None:
    changes = [f"appendonly.aof.{number}.incr.aof" for number in (9, 10)]
    names = [*reversed(changes), "appendonly.aof.3.base.rdb", BASE, "other"]
    assert aof.rebuild(names) == [AofFile(BASE, 2, "b"), AofFile(changes[0], 9, "i"), AofFile(changes[1], 10, "i")]
    assert aof.rebuild(["other"]) == []


@pytest.mark.parametrize(
    ("report", "sound"),
    [
        ("AOF analyzed: filename=a, size=6823, ok_up_to=2981, ok_up_to_line=619, diff=3842", 2981),
        ("Start checking Old-Style AOF\nAOF a is empty", 0),
        ("Cannot open file a: No such file or directory, aborting...", None),
    ],
)
def test_the_sound_part_of_a_file(report: str, sound: int | None) -> None:
    assert aof.sound_bytes(report) == sound


def test_a_nodes_conf_is_rebuilt_from_another_one() -> None:
    view = nodesconf.parse(CONF)
    assert view
    assert nodesconf.identity([view], "10.1.1.10") == OWN
    assert nodesconf.identity([view], "10.1.1.10", 6379) == ""
    assert nodesconf.identity([view], "10.1.1.1") == ""
    rebuilt = nodesconf.rebuilt(view, OWN)
    known = nodesconf.parse(rebuilt)
    assert known
    assert known.own.id == OWN
    other, own, epochs = rebuilt.splitlines()
    assert own.endswith("tls-port=19990,shard-id=" + SHARD + " myself,master - 0 0 1 connected 0-5460")
    assert other.endswith(" master - 0 0 2 connected 5461-10921")
    assert epochs == "vars currentEpoch 3 lastVoteEpoch 3"


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", CONF[:200], CONF.rpartition("vars")[0], CONF.replace("myself,", "")]
)
def test_a_damaged_nodes_conf_is_not_sound(text: str) -> None:
    assert nodesconf.parse(text) is None


def test_a_position_is_read_and_written() -> None:
    text = f"valkey-web slave {OWN} 12 {CHANGES} 3 2 1 1795933060"
    position = RecordedPosition.parse(text)
    assert position == RecordedPosition("valkey-web", "slave", OWN, 12, CHANGES, 3, 2, 1, 1795933060)
    assert str(position) == text
    newer = RecordedPosition.parse(f"{text} 9.1.2")
    assert newer
    assert newer.version == "9.1.2"
    assert str(newer) == f"{text} 9.1.2"
    assert RecordedPosition.parse(f"{text} 9.1.2 {BASE}") is None
    newest = RecordedPosition.parse(f"{text} 9.1.2 {BASE} 77")
    assert newest
    assert (newest.version, newest.base, newest.earlier) == ("9.1.2", BASE, 77)
    assert str(newest) == f"{text} 9.1.2 {BASE} 77"
    assert RecordedPosition.parse("") is None
    assert RecordedPosition.parse(text.replace(" 12 ", " x ")) is None
    assert RecordedPosition.parse(text.replace(" slave ", " unknown ")) is None


def test_other_targets_have_no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint("aws", "single", (Node("localhost", 6379),), True, "8.1", "cache", 1, ("app",))
    stack = Stack("web", {}, Path(), has_own_backend=False)
    monkeypatch.setattr(Stack, "outputs", lambda _: {"endpoint": endpoint.to_dict()})
    with pytest.raises(
        StackError, match="supports target docker, embedded, and the stack web has target aws -> make up STACK=web"
    ):
        list(repair.preview(stack, "node-0"))
