"""The parts of a migration that need no server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from valkeykit.errors import ConfigurationError
from valkeykit.ops.migrate import commands, sides
from valkeykit.ops.migrate.options import Scope
from valkeykit.ops.migrate.payload import Format, Way
from valkeykit.ops.migrate.router import slot_of, tag_of
from valkeykit.ops.migrate.server import fields_of, parse_info
from valkeykit.ops.migrate.state import DONE, State, shown
from valkeykit.ops.migrate.streams import Piece, Stream
from valkeykit.ops.migrate.throttle import SMALLEST, Throttle
from valkeykit.ops.migrate.wire import pack

REDIS_7_4 = bytes.fromhex("000568656c6c6f0c00a804ebb69f1ebe43")
VALKEY_8_1 = bytes.fromhex("000568656c6c6f0b000aad620598abc983")
"""What these servers answer to DUMP of the string `hello`."""


def payload(kind: int, version: int) -> bytes:
    return bytes([kind]) + b"\x01a" + version.to_bytes(2, "little") + bytes(8)


def test_a_rewritten_footer_has_the_checksum_that_servers_compute() -> None:
    assert Format(80).rewrite(REDIS_7_4) == VALKEY_8_1


@pytest.mark.parametrize(
    ("engine", "version", "number"),
    [("redis", (6, 2), 9), ("redis", (7, 0), 10), ("redis", (7, 2), 11), ("redis", (7, 4), 12), ("redis", (8, 2), 12),
     ("redis", (8, 6), 13), ("valkey", (7, 2), 11), ("valkey", (8, 1), 11), ("valkey", (9, 0), 80)],
)  # fmt: skip
def test_formats_of_releases(engine: str, version: tuple[int, ...], number: int) -> None:
    assert Format.of(engine, version).version == number


@pytest.mark.parametrize(
    ("target", "kind", "version", "way"),
    [
        (80, 4, 11, Way.AS_IS),
        (80, 22, 80, Way.AS_IS),
        (80, 21, 12, Way.REWRITTEN),
        (80, 24, 12, Way.LOGICAL),
        (80, 7, 12, Way.NOT),
        (11, 22, 80, Way.LOGICAL),
        (10, 20, 80, Way.LOGICAL),
        (10, 17, 80, Way.REWRITTEN),
        (9, 16, 80, Way.LOGICAL),
    ],
)
def test_how_payloads_travel(target: int, kind: int, version: int, way: Way) -> None:
    assert Format(target).way(payload(kind, version)) is way


def test_commands_are_written_as_the_packer_writes_them() -> None:
    for key in (b"", b"key", b"\r\n\x00\xff"):
        assert commands.dump(key) == pack("DUMP", key)
        assert commands.memory(key) == pack("MEMORY", "USAGE", key)
        assert commands.restore(key, 17, b"data", replace=True) == pack(
            "RESTORE", key, 17, b"data", "REPLACE", "ABSTTL"
        )
        assert commands.restore(key, 0, b"", replace=False) == pack("RESTORE", key, 0, b"", "ABSTTL")


@pytest.mark.parametrize(
    ("key", "tag"),
    [(b"a", b"a"), (b"{a}b", b"a"), (b"x{a}{b}", b"a"), (b"{}a", b"{}a"), (b"{a", b"{a"), (b"a}{b}", b"b"), (b"", b"")],
)
def test_tags(key: bytes, tag: bytes) -> None:
    assert tag_of(key) == tag


def test_slots() -> None:
    assert slot_of(b"123456789") == 12739  # the cluster specification's own example
    assert slot_of(b"") == 0


def test_a_scope_renames_there_and_back() -> None:
    scope = Scope(rename=("shop.", "store."))
    assert scope.takes(b"shop.a")
    assert not scope.takes(b"shopping")
    assert scope.name(b"shop.a") == b"store.a"
    assert scope.origin(b"store.a") == b"shop.a"
    assert Scope(rename=("a*[", "b?")).pattern == b"a\\*\\[*"
    assert Scope(rename=("a*[", "b?")).target_pattern == b"b\\?*"


def test_a_throttle_keeps_to_its_rate() -> None:
    throttle = Throttle(1000, None, 100)
    began = time.monotonic()
    for _ in range(4):
        throttle.pace(100)
    assert 0.25 <= time.monotonic() - began < 20


def test_a_throttle_gives_way_and_comes_back() -> None:
    throttle = Throttle(None, 10.0, 1000)
    throttle.saw(50)
    assert throttle.size == 500
    for _ in range(20):
        throttle.saw(50)
    assert throttle.size == SMALLEST
    for _ in range(40):
        throttle.saw(1)
    assert throttle.size == 1000


def test_a_state_comes_back(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.claim({"source": ["a"], "target": ["b"]})
    state.reach("copy", "a/0", "run-1", "17")
    state.reach("copy", "a/1", "run-1", DONE)
    state.close()
    again = State(tmp_path / "state")
    assert again.position("copy", "a/0", "run-1") == "17"
    assert again.position("copy", "a/0", "run-2") is None, "a cursor means nothing to another process"
    assert again.position("copy", "a/1", "run-2") == DONE
    with pytest.raises(ConfigurationError, match="source differ"):
        again.claim({"source": ["other"], "target": ["b"]})
    again.close()
    assert json.loads((tmp_path / "state" / "run.json").read_text())["identity"] == {"source": ["a"], "target": ["b"]}


def test_sides_are_named_by_argument_file_or_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_URL", "redis://from-the-environment")
    (tmp_path / "url").write_text("redis://from-a-file\n")
    assert sides.named(None, sides.SOURCE_URL) == "redis://from-the-environment"
    assert sides.named(f"@{tmp_path / 'url'}", sides.SOURCE_URL) == "redis://from-a-file"
    assert sides.named("redis://argument", sides.SOURCE_URL) == "redis://argument"
    (tmp_path / "url").write_text("")
    with pytest.raises(ConfigurationError, match="can't read"):
        sides.named(f"@{tmp_path / 'url'}", sides.SOURCE_URL)


def test_info_is_read() -> None:
    info = parse_info(["# Keyspace", "db0:keys=5,expires=1", "", "config_file:/a:b"])
    assert info == {"db0": "keys=5,expires=1", "config_file": "/a:b"}
    assert fields_of(info["db0"]) == {"keys": "5", "expires": "1"}


def test_a_slice_of_a_stream_without_groups_is_its_entries() -> None:
    piece = Piece(b"-", b"+", {b"1-0": [b"a", b"b"]})
    assert Stream().write(b"key", piece) == [pack("XADD", b"key", b"1-0", b"a", b"b")]


def test_names_are_shown_whatever_their_bytes() -> None:
    assert shown(b"a\xffb") == "a\\xffb"
    assert shown("ä".encode()) == "ä"
