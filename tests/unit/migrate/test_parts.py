"""The parts of a migration that need no server."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from valkeykit.errors import ConfigurationError
from valkeykit_ops.commands.migrate_options import Selection
from valkeykit_ops.migrate import commands, endpoints, rdb_source
from valkeykit_ops.migrate.counters import Counters
from valkeykit_ops.migrate.migration_server import fields_of, parse_info
from valkeykit_ops.migrate.options import Scope
from valkeykit_ops.migrate.payload import Format, TransferMode
from valkeykit_ops.migrate.pipelined import pack
from valkeykit_ops.migrate.progress import JsonLines, ProgressReporter, ProgressUpdate
from valkeykit_ops.migrate.router import slot_of, tag_of
from valkeykit_ops.migrate.state import DONE, MigrationState, shown
from valkeykit_ops.migrate.streams import StreamChunk, StreamCodec
from valkeykit_ops.migrate.throttle import MIN_BATCH_KEYS, Throttle

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
    ("target", "kind", "version", "mode"),
    [
        (80, 4, 11, TransferMode.AS_IS),
        (80, 22, 80, TransferMode.AS_IS),
        (80, 21, 12, TransferMode.REWRITTEN),
        (80, 24, 12, TransferMode.BY_COMMANDS),
        (80, 7, 12, TransferMode.UNSUPPORTED),
        (11, 22, 80, TransferMode.BY_COMMANDS),
        (10, 20, 80, TransferMode.BY_COMMANDS),
        (10, 17, 80, TransferMode.REWRITTEN),
        (9, 16, 80, TransferMode.BY_COMMANDS),
    ],
)
def test_how_payloads_travel(target: int, kind: int, version: int, mode: TransferMode) -> None:
    assert Format(target).transfer_mode(payload(kind, version)) is mode


def test_commands_are_written_as_the_packer_writes_them() -> None:
    for key in (b"", b"key", b"\r\n\x00\xff"):
        assert commands.dump(key) == pack("DUMP", key)
        assert commands.memory(key) == pack("MEMORY", "USAGE", key)
        assert commands.restore(key, 17, b"data", replace=True) == pack(
            "RESTORE", key, 17, b"data", "REPLACE", "ABSTTL"
        )
        assert commands.restore(key, 17, b"data", replace=True, used=("IDLETIME", 120)) == pack(
            "RESTORE", key, 17, b"data", "REPLACE", "ABSTTL", "IDLETIME", 120
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


def test_a_throttle_slows_down_and_recovers() -> None:
    throttle = Throttle(None, 10.0, 1000)
    throttle.on_sample(50)
    assert throttle.size == 500
    for _ in range(20):
        throttle.on_sample(50)
    assert throttle.size == MIN_BATCH_KEYS
    for _ in range(40):
        throttle.on_sample(1)
    assert throttle.size == 1000


def test_a_state_is_restored(tmp_path: Path) -> None:
    state = MigrationState(tmp_path / "state")
    state.claim({"source": ["a"], "target": ["b"]})
    state.reach("copy", "a/0", "run-1", "17")
    state.reach("copy", "a/1", "run-1", DONE)
    state.close()
    again = MigrationState(tmp_path / "state")
    assert again.position("copy", "a/0", "run-1") == "17"
    assert again.position("copy", "a/0", "run-2") is None, "a cursor is not valid for another process"
    assert again.position("copy", "a/1", "run-2") == DONE
    with pytest.raises(ConfigurationError, match="source differ"):
        again.claim({"source": ["other"], "target": ["b"]})
    again.close()
    assert json.loads((tmp_path / "state" / "run.json").read_text())["identity"] == {"source": ["a"], "target": ["b"]}


def test_swapped_servers_are_named(tmp_path: Path) -> None:
    with contextlib.closing(MigrationState(tmp_path / "state")) as state:
        state.claim({"source": ["old:1"], "target": ["new:2"]})
        with pytest.raises(ConfigurationError, match="the previous server is old:1 and the new one new:2"):
            state.check({"source": ["new:2"], "target": ["old:1"]})


def test_a_state_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "run.json").write_text('{"identity": {}, "claimed": true}')
    for _ in range(2):  # the folder is not locked afterwards
        with pytest.raises(ConfigurationError, match="has format 1, this version of valkeykit-ops reads 2"):
            MigrationState(tmp_path / "state")


@pytest.mark.parametrize(
    "scope", [Scope(), Scope(rename=("a", "b")), Scope("x*", None, frozenset({"hash"}), frozenset({3}))]
)
def test_a_scope_is_restored_from_its_record(scope: Scope) -> None:
    assert Scope.from_record(json.loads(json.dumps(scope.record()))) == scope


def test_a_reversed_scope_renames_to_the_previous_prefix() -> None:
    back = Scope(rename=("shop:", "store:")).reversed()
    assert back.name(b"store:1") == b"shop:1"


@pytest.mark.parametrize("text", ["shop:store", "=store:", "a=b=c"])
def test_a_prefix_to_rename_has_one_equals_sign(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected OLD=NEW"):
        Selection(rename=text).scope  # noqa: B018  (it raises)


def test_prefixes_may_contain_colons() -> None:
    assert Selection(rename="app:v1:=app:v3:").scope.rename == ("app:v1:", "app:v3:")


def test_urls_come_from_an_argument_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_URL", "redis://from-the-environment")
    (tmp_path / "url").write_text("redis://from-a-file\n")
    assert endpoints.resolve_url(None, endpoints.SOURCE_URL) == "redis://from-the-environment"
    assert endpoints.resolve_url(f"@{tmp_path / 'url'}", endpoints.SOURCE_URL) == "redis://from-a-file"
    assert endpoints.resolve_url("redis://argument", endpoints.SOURCE_URL) == "redis://argument"
    (tmp_path / "url").write_text("")
    with pytest.raises(ConfigurationError, match="cannot read"):
        endpoints.resolve_url(f"@{tmp_path / 'url'}", endpoints.SOURCE_URL)


def test_info_is_read() -> None:
    info = parse_info(["# Keyspace", "db0:keys=5,expires=1", "", "config_file:/a:b"])
    assert info == {"db0": "keys=5,expires=1", "config_file": "/a:b"}
    assert fields_of(info["db0"]) == {"keys": "5", "expires": "1"}


def test_a_chunk_of_a_stream_without_groups_is_its_entries() -> None:
    chunk = StreamChunk(b"-", b"+", {b"1-0": [b"a", b"b"]})
    assert StreamCodec().write(b"key", chunk) == [pack("XADD", b"key", b"1-0", b"a", b"b")]


def test_names_are_shown_whatever_their_bytes() -> None:
    assert shown(b"a\xffb") == "a\\xffb"
    assert shown("ä".encode()) == "ä"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty, so it has no data to migrate"),
        (b"\x1f\x8b\x08\x00", "it is compressed"),
        (b"hello", "neither an RDB file nor an append-only file"),
    ],
)
@pytest.mark.parametrize("name", ["dump.rdb", "appendonly.aof"])
def test_a_file_without_data(name: str, content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem), rdb_source.served(tmp_path / name, "/bin/false"):
        pass


def test_a_database_in_the_url_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"the URL names database 3.*--database 3"):
        endpoints.settings("redis://h:1/3", None)
    assert endpoints.settings("redis://h:1/0", None).address.host == "h"


def test_a_url_file_with_a_byte_order_mark_or_without_a_url(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("\ufeffredis://h:1\n", encoding="utf-8")
    assert endpoints.resolve_url(f"@{tmp_path / 'url'}", endpoints.SOURCE_URL) == "redis://h:1"
    (tmp_path / "url").write_text("\nredis://h:1\n")
    with pytest.raises(ConfigurationError, match="cannot read a URL"):
        endpoints.resolve_url(f"@{tmp_path / 'url'}", endpoints.SOURCE_URL)


def test_progress_in_follow_mode_shows_the_lag(capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counters()
    counters.add("bytes", 3 << 20)
    counters.add("reconnects", 2)
    with ProgressReporter(JsonLines()) as reporter:
        reporter.watch(counters)
        reporter.stage("following")
        reporter.current(time.monotonic() - 5)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 5 <= last["lag_seconds"] < 60
    update = ProgressUpdate(10, 1234.0, 3 << 20, None, counters.snapshot())
    assert update.text == "1,234 keys/s, 3.0 MiB copied, 2 reconnects"
    assert replace(update, lag=1.25).text == "lag 1.2 s, 3.0 MiB copied, 2 reconnects"
