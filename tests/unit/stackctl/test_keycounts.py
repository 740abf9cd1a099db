"""When fewer keys are a warning, when they are not, and the file that the last number is in."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from infra.drivers.docker import recovery_events
from stackctl import keycounts
from stackctl.keycounts import ALL_SLOTS, KeyCount, ShardKeyCount

NOW = datetime.now(timezone.utc)
TEN_MINUTES = NOW - timedelta(minutes=10)


def count(keys: int, history: str = "a", at: datetime = NOW, *, shard: str = ALL_SLOTS, **fields: float) -> KeyCount:
    """Of node-0, without a TTL by default."""
    known = {"persistent": keys, "ttl": 0.0, **fields}
    return KeyCount(shard, "node-0", keys, int(known["persistent"]), float(known["ttl"]), history, at)


def compare(was: KeyCount, now: KeyCount, uptime: float = float("inf"), **diverged: int) -> keycounts.KeyCountReport:
    return keycounts.compare([was], [ShardKeyCount(now, uptime, diverged)], "web")


@pytest.mark.parametrize("keys", [500, 600, 451])
def test_as_many_keys_or_a_few_less_are_no_warning(keys: int) -> None:
    report = compare(count(500, at=TEN_MINUTES), count(keys, "b"))
    assert (report.summary, report.warning, report.failure) == (f"{keys} keys", "", "")
    assert report.counts == [count(keys, "b")]


@pytest.mark.parametrize(("was", "now"), [(500, 0), (500, 252), (500, 450), (1, 0)])
def test_fewer_keys_after_a_restart_are_a_warning(was: int, now: int) -> None:
    report = compare(count(was, at=TEN_MINUTES), count(now, "b"), uptime=130)
    assert report.warning == (
        f"the stack has fewer keys than 10 minutes ago: node-0 {now} of {was} (restarted 2 minutes ago) -> restore "
        "them: make drill STACK=web, then make restore STACK=web INTO=<new stack>; or accept it: make smoke STACK=web "
        "ACCEPT=1"
    )
    assert report.failure == ""
    assert report.counts == [count(was, at=TEN_MINUTES)]


def test_a_restart_within_the_last_second_is_one() -> None:
    assert "(restarted 0 seconds ago)" in compare(count(500, at=TEN_MINUTES), count(0, "b"), uptime=0).warning


@pytest.mark.parametrize("now", [0, 252])
def test_keys_that_clients_removed_are_reported_but_no_warning(now: int) -> None:
    report = compare(count(500, at=TEN_MINUTES), count(now))
    assert report.warning == ""
    assert report.summary == (
        f"{now} keys, node-0 had 500 10 minutes ago, removed by clients, expiry or eviction: without a restart or a "
        "failover"
    )
    assert report.counts == [count(now)]


def test_a_few_keys_of_few_are_no_warning() -> None:
    assert compare(count(12, at=TEN_MINUTES), count(3, "b")).warning == ""


@pytest.mark.parametrize(("ttl", "warns"), [(86400, True), (300, False), (0, False)])
def test_keys_whose_ttl_may_have_ended_are_not_missed(ttl: float, warns: bool) -> None:
    report = compare(count(500, at=TEN_MINUTES, persistent=0, ttl=ttl), count(252, "b", persistent=0))
    assert bool(report.warning) is warns


def test_keys_that_all_expired_are_not_missed() -> None:
    assert compare(count(5, at=TEN_MINUTES, persistent=0, ttl=300), count(0, "b")).warning == ""
    assert compare(count(5, at=TEN_MINUTES, persistent=0, ttl=86400), count(0, "b")).warning


def test_new_keys_with_a_ttl_do_not_hide_that_others_are_gone() -> None:
    assert compare(count(500, at=TEN_MINUTES), count(900, "b", persistent=252)).warning


def test_each_shard_that_lost_keys_is_named() -> None:
    slots = ("0-5460", "5461-10922", "10923-16383")
    previous = [count(170, at=TEN_MINUTES, shard=shard) for shard in slots]
    now = [count(0, "b", shard=slots[0]), count(170, "b", shard=slots[1]), count(12, "b", shard=slots[2])]
    report = keycounts.compare(previous, [ShardKeyCount(one, uptime=9000) for one in now], "web")
    assert report.warning.startswith(
        "2 of 3 shards have fewer keys than 10 minutes ago: "
        "node-0 0 of 170 (another primary), node-0 12 of 170 (another primary) -> "
    )
    assert report.counts == [previous[0], now[1], previous[2]]


@pytest.mark.parametrize(("moved", "warns"), [(170, False), (100, True)])
def test_where_slots_moved_the_sum_is_compared(moved: int, warns: bool) -> None:
    previous = [count(500, at=TEN_MINUTES)]
    now = [ShardKeyCount(count(moved, "b", shard=shard)) for shard in ("0-5460", "5461-10922", "10923-16383")]
    report = keycounts.compare(previous, now, "web")
    assert bool(report.warning) is warns
    assert ("all shards 300 of 500" in report.warning) is warns
    assert len(report.counts) == (1 if warns else 3)


def test_an_empty_primary_fails_where_another_member_has_the_data() -> None:
    report = compare(count(500, at=TEN_MINUTES), count(0, "b"), **{"node-1": 500})
    assert report.failure == (
        "node-0 is a primary without keys, node-1 still has 500 -> stop node-0, so that node-1 takes over, then "
        "make up STACK=web"
    )
    assert "node-0 0 of 500 (node-1 has 500)" in report.warning


def test_the_number_before_is_kept_until_it_is_reached_or_accepted(tmp_path: Path) -> None:
    def review(now: KeyCount, **options: bool) -> str:
        return keycounts.review(tmp_path, "web", [ShardKeyCount(now)], **options).warning

    assert review(count(500)) == ""
    assert review(count(0, "b"))
    assert review(count(100, "b"))
    assert review(count(460, "b")) == ""
    assert review(count(0, "c"))
    assert review(count(5, "c"), accept=True) == ""
    assert review(count(5, "c")) == ""


def test_the_file_is_private_and_goes_with_its_stack(tmp_path: Path) -> None:
    file = tmp_path / ".valkey" / "web.keycounts.json"
    keycounts.forget(tmp_path, "web")
    keycounts.review(tmp_path, "web", [ShardKeyCount(count(500))])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keycounts.forget(tmp_path, "web")
    assert not file.exists()


@pytest.mark.parametrize("garbage", [b"", b"[1, 2", b"[]", b'{"counts": [{"shard": 1}]}', b'{"counts": 1}', b"\0\xff"])
def test_a_damaged_file_is_reported_and_set_aside(garbage: bytes, tmp_path: Path) -> None:
    file = tmp_path / ".valkey" / "web.keycounts.json"
    shards = [ShardKeyCount(count(500))]
    keycounts.review(tmp_path, "web", shards)
    keycounts.record_repairs_reported(tmp_path, "web", NOW)
    file.write_bytes(garbage)
    since = keycounts.repairs_reported(tmp_path, "web")
    assert since
    assert since >= NOW - timedelta(seconds=1)
    keycounts.record_repairs_reported(tmp_path, "web", NOW)
    (kept,) = file.parent.glob("web.keycounts.damaged-*.json")
    assert kept.read_bytes() == garbage
    warning = f"the record of its keys was damaged and is now .valkey/{kept.name}, so they were not compared"
    assert keycounts.review(tmp_path, "web", shards).warning == warning
    assert keycounts.review(tmp_path, "web", shards).warning == ""
    assert keycounts.repairs_reported(tmp_path, "web") == NOW
    assert "fewer keys" in keycounts.review(tmp_path, "web", [ShardKeyCount(count(0, "b"))]).warning
    keycounts.forget(tmp_path, "web")
    assert list(file.parent.iterdir()) == []


def test_what_start_node_did_is_found_in_a_log() -> None:
    log = (
        "12:M 29 Nov 2026 06:00:00.000 * Ready to accept connections tls\n"
        "start-node: node-1: its files were set aside in /data/set-aside-20261129T060000Z (its nodes.conf is lost)\n"
        "start-node: node-1: its data directory is empty, and these members do not respond: node-2; repair it: make\n"
        "start-node: node-1: its files can't be set aside: the volume is full or read-only\n"
        "start-node: node-1: waiting for its primary\n"
    )
    assert recovery_events._NOTABLE.findall(log) == [
        "its files were set aside in /data/set-aside-20261129T060000Z (its nodes.conf is lost)"
    ]
