"""Large keys travel in chunks; so do the edge cases of every type."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from valkeykit_ops.migrate import value_codecs
from valkeykit_ops.migrate.command_copy import scratch_key
from valkeykit_ops.migrate.router import slot_of

from harness.servers import ServerProcess
from tests.migrate import data, harness


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks so small that a few elements need several."""
    monkeypatch.setattr("valkeykit_ops.migrate.command_copy.CHUNK_BYTES", 700)
    monkeypatch.setattr("valkeykit_ops.migrate.command_copy.CHUNK_ELEMENTS", 7)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", data.KINDS)
def test_every_type_in_chunks(
    kind: str, old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    dice = random.Random(kind)
    for number in range(8):
        data.MAKERS[kind](ours, dice, f"{number}".encode())
        ours.pexpire(f"{number}", data.DAY)
    report = harness.migrate(old.url, new.url, state, chunk_above=1)
    assert report.complete, report.record()
    assert report.counts["chunked"] == 8
    assert data.snapshot(ours) == data.snapshot(theirs)
    assert not theirs.keys("valkeykit:migrate:*")


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("source", ["redis-5.0", "redis-8.2", "valkey-9.1"])
def test_everything_in_chunks(source: str, new: ServerProcess, theirs: Any, tmp_path: Path) -> None:
    with harness.started(tmp_path / "old", source) as server:
        client = data.raw(server.port)
        data.fill(client, random.Random(source), 100)
        if source != "redis-5.0":
            data.fields_that_end(client, b"fields", 50)
        report = harness.migrate(server.url, new.url, tmp_path / "state", chunk_above=1)
        assert report.complete, report.record()
        plain = source == "redis-5.0"
        assert data.snapshot(client, plain=plain) == data.snapshot(theirs, plain=plain)
        client.close()


@pytest.mark.usefixtures("small_chunks")
def test_streams_that_are_odd(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    ours.xadd("emptied", {"a": 1}, id="5-1")
    ours.xdel("emptied", "5-1")
    ours.xgroup_create("only:groups", "g", id="0", mkstream=True)
    ours.xgroup_create("emptied:groups", "g", id="0", mkstream=True)
    for number in range(1, 30):
        ours.xadd("emptied:groups", {"n": number}, id=f"{number}-0")
    ours.xreadgroup("g", "ada", {"emptied:groups": ">"}, count=25)
    ours.xtrim("emptied:groups", maxlen=0)
    report = harness.migrate(old.url, new.url, state, chunk_above=1)
    assert report.complete, report.record()
    assert data.snapshot(ours) == data.snapshot(theirs)
    assert theirs.xpending("emptied:groups", "g")["pending"] == 25


def test_a_large_key_of_each_type(old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path) -> None:
    ours.set("string", random.Random(1).randbytes(3 << 20))
    block = ours.pipeline(transaction=False)
    for number in range(30_000):
        word = b"%040d" % number
        block.rpush("list", word).sadd("set", word).zadd("zset", {word: number}).hset("hash", word, word * 2)
        block.xadd("stream", {"w": word})
    block.execute()
    report = harness.migrate(old.url, new.url, state)
    assert report.complete, report.record()
    assert report.counts["chunked"] == 6
    assert report.verification is not None
    assert report.verification.differing == 0
    assert data.snapshot(ours) == data.snapshot(theirs)


@pytest.mark.usefixtures("small_chunks")
def test_a_difference_in_a_large_key_is_found(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    for kind in data.KINDS:
        data.MAKERS[kind](ours, random.Random(kind), kind.encode())
    harness.migrate(old.url, new.url, state, chunk_above=1)
    theirs.append("string", "!")
    theirs.lset("list", -1, "!")
    theirs.srem("set", theirs.srandmember("set"))
    theirs.sadd("set", "!")
    theirs.zincrby("zset", 1.5, theirs.zrange("zset", 0, 0)[0])
    theirs.zadd("zset", {"!": 1})
    theirs.zrem("zset", theirs.zrange("zset", -1, -1)[0])
    theirs.hset("hash", theirs.hkeys("hash")[-1], "!")
    theirs.xack("stream", "one", theirs.xpending_range("stream", "one", "-", "+", 1)[0]["message_id"])
    theirs.setbit("bitmap", 0, 1 - theirs.getbit("bitmap", 0))
    theirs.pexpire("hyperloglog", data.DAY)
    theirs.delete("geo")
    report = harness.migrate(old.url, new.url, state, chunk_above=1, accept_target_writes=True)
    assert report.verification is not None
    assert report.complete
    assert data.snapshot(ours) == data.snapshot(theirs)
    assert report.counts["chunked"] == len(data.KINDS)


@pytest.mark.parametrize("name", [b"", b"plain", b"a{tag}b", b"}", b"a}b", b"{}x", b"{{x}y", b"\xff\x00", b"a{b}{c}"])
def test_a_scratch_key_is_in_the_slot_of_its_key(name: bytes) -> None:
    scratch = scratch_key(name, b"prefix:")
    assert scratch != name
    assert scratch.startswith(b"prefix:")
    assert slot_of(scratch) == slot_of(name)


def test_chunks_are_bounded_by_memory(
    old: ServerProcess, new: ServerProcess, ours: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    write = value_codecs.HashCodec.write

    def watched(self: value_codecs.HashCodec, key: bytes, chunk: Any) -> list[bytes]:
        seen.append(sum(len(text) for _, text, _ in chunk))
        return write(self, key, chunk)

    monkeypatch.setattr(value_codecs.HashCodec, "write", watched)
    ours.hset("wide", mapping={f"f{number}": b"x" * 100_000 for number in range(200)})
    assert harness.migrate(old.url, new.url, state).complete
    assert sum(seen) == 20_000_000
    assert max(seen) < 4 * value_codecs.CHUNK_BYTES


def test_a_large_key_that_looks_small(
    old: ServerProcess, new: ServerProcess, ours: Any, theirs: Any, state: Path
) -> None:
    """The server estimates a key's memory from its first elements."""
    ours.rpush("list", *(b"x" * 4000 for _ in range(10)))
    ours.rpush("list", *(random.Random(number).randbytes(300_000) for number in range(30)))
    assert ours.memory_usage("list") < 1 << 20
    report = harness.migrate(old.url, new.url, state)
    assert report.complete
    assert report.counts["chunked"] == 1
    assert theirs.lrange("list", 0, -1) == ours.lrange("list", 0, -1)
