"""What happened at a server that this migration did not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from valkeykit.url import Node
from valkeykit_ops.migrate.counters import Counters
from valkeykit_ops.migrate.guards import SourceGuard, TargetGuard
from valkeykit_ops.migrate.migration_server import Primary
from valkeykit_ops.migrate.options import Scope
from valkeykit_ops.migrate.safety import UnsafeOperationError
from valkeykit_ops.migrate.state import MigrationState


class FakeServer:
    """A single server whose INFO a test writes."""

    def __init__(self) -> None:
        self.run_id = "one"
        self.uptime = 1000
        self.aof = "1"
        self.calls: dict[str, int] = {}
        self.keys = 20_000

    def primaries(self) -> list[Primary]:
        return [Primary(Node("a", 1))]

    def sizes(self) -> dict[int, int]:
        return {0: self.keys} if self.keys else {}

    def info(self, _: Node, /, *sections: str) -> dict[str, str]:
        return {name: value for section in sections for name, value in self._sections()[section].items()}

    def _sections(self) -> dict[str, dict[str, str]]:
        return {
            "server": {"run_id": self.run_id, "uptime_in_seconds": str(self.uptime)},
            "persistence": {"aof_enabled": self.aof},
            "commandstats": {f"cmdstat_{name}": f"calls={number},usec=1" for name, number in self.calls.items()},
        }

    def command(self, *_: object) -> list[Any]:
        return [[name, 1, [b"write"]] for name in (b"set", b"restore", b"unlink", b"flushall")]

    def restart(self) -> None:
        self.run_id, self.uptime, self.calls = "two", 0, {}


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def state(tmp_path: Path) -> MigrationState:
    return MigrationState(tmp_path / "state")


def source_guard(server: FakeServer, state: MigrationState, *, trusted: bool = False) -> SourceGuard:
    return SourceGuard(server, Scope(), state, trusted=trusted)


def target_guard(
    server: FakeServer, state: MigrationState, ours: Counters | None = None, *, accepted: bool = False
) -> TargetGuard:
    return TargetGuard(server, state, ours or Counters(), accepted=accepted)


def test_keys_that_clients_deleted(server: FakeServer, state: MigrationState) -> None:
    guard = source_guard(server, state)
    assert guard.begin() == []
    guard.check()
    guard.check_deletions(1)
    guard.check_deletions(1000, of=20_000)


@pytest.mark.parametrize("number", [1001, 20_000])
def test_too_many_keys_that_are_gone(number: int, server: FakeServer, state: MigrationState) -> None:
    guard = source_guard(server, state)
    guard.begin()
    with pytest.raises(UnsafeOperationError, match="more than 5% of the target's 20,000 keys"):
        guard.check_deletions(number, of=20_000)


def test_a_source_that_has_become_empty(server: FakeServer, state: MigrationState) -> None:
    guard = source_guard(server, state)
    guard.begin()
    server.keys = 0
    with pytest.raises(UnsafeOperationError, match="the source is empty"):
        guard.check_deletions(3, of=3)


@pytest.mark.parametrize("command", ["flushdb", "flushall", "swapdb"])
def test_a_flush_of_the_source(command: str, server: FakeServer, state: MigrationState) -> None:
    server.calls[command] = 5
    guard = source_guard(server, state)
    guard.begin()
    guard.check_deletions(1, of=20_000)
    server.calls[command] = 6
    guard.check_deletions(0, of=20_000)
    with pytest.raises(UnsafeOperationError, match=f"{command.upper()} ran at a:1"):
        guard.check_deletions(1, of=20_000)


def test_a_restart_without_an_append_only_file(server: FakeServer, state: MigrationState) -> None:
    guard = source_guard(server, state)
    guard.begin()
    server.restart()
    server.aof = "0"
    with pytest.raises(UnsafeOperationError, match="restarted without an append-only file"):
        guard.check()
    with pytest.raises(UnsafeOperationError, match="restarted without an append-only file"):
        source_guard(server, state).begin()
    trusted = source_guard(server, state, trusted=True)
    assert trusted.begin() == ["a:1 was restarted since the migration began"]
    trusted.check()
    trusted.check_deletions(20_000, of=20_000)
    assert source_guard(server, state).begin() == [], "the answer is remembered"


def test_no_deletion_is_inferred_across_a_restart(server: FakeServer, state: MigrationState) -> None:
    guard = source_guard(server, state)
    guard.begin()
    server.restart()
    guard.check()
    with pytest.raises(UnsafeOperationError, match="a:1 was restarted"):
        guard.check_deletions(1)


def test_no_deletion_is_inferred_across_a_failover(server: FakeServer, state: MigrationState) -> None:
    guard = source_guard(server, state)
    guard.begin()
    server.run_id, server.aof = "replica", "0"  # behind the same address, and running for long
    guard.check()
    with pytest.raises(UnsafeOperationError, match="has become the primary"):
        guard.check_deletions(1)


def test_our_own_writes_are_no_other_clients(server: FakeServer, state: MigrationState) -> None:
    ours = Counters()
    guard = target_guard(server, state, ours)
    assert guard.begin() == []
    ours.add("restore", 10)
    server.calls["restore"] = 10
    guard.check()
    server.calls["restore"] = 11
    with pytest.raises(UnsafeOperationError, match="another client wrote to the target: RESTORE 1 times"):
        guard.check()
    target_guard(server, state, accepted=True).check()


@pytest.mark.parametrize("clean", [True, False])
def test_writes_between_two_runs(clean: bool, server: FakeServer, state: MigrationState) -> None:
    guard = target_guard(server, state)
    guard.begin()
    if clean:
        guard.end()
    server.calls["restore"] = 7  # after a kill these may have been ours
    if clean:
        with pytest.raises(UnsafeOperationError, match="RESTORE 7 times"):
            target_guard(server, state).begin()
    else:
        target_guard(server, state).begin()
    server.calls["set"] = 1
    with pytest.raises(UnsafeOperationError, match="SET 1 times"):
        target_guard(server, state).begin()
    target_guard(server, state, accepted=True).begin()
    assert target_guard(server, state).begin() == [], "the answer is remembered"


def test_a_target_that_was_flushed_between_two_runs(server: FakeServer, state: MigrationState) -> None:
    guard = target_guard(server, state)
    guard.begin()
    guard.end()
    server.calls["flushall"] = 1
    assert target_guard(server, state).begin() == [
        "FLUSHALL ran at the target since the last run: its keys are copied again"
    ]


def test_a_target_that_was_restarted_has_no_statistics_to_compare(server: FakeServer, state: MigrationState) -> None:
    guard = target_guard(server, state)
    guard.begin()
    guard.end()
    server.restart()
    server.calls["set"] = 5
    target_guard(server, state).begin()
