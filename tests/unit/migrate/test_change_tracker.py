"""Changes whose notifications were lost are never taken for known ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as BrokenError
from redis.exceptions import ResponseError
from valkeykit.errors import ConfigurationError
from valkeykit.url import Node
from valkeykit_ops.migrate import change_tracker
from valkeykit_ops.migrate.change_tracker import ChangeTracker
from valkeykit_ops.migrate.migration_server import MigrationServer, Primary
from valkeykit_ops.migrate.options import Scope

from harness.waiting import wait_until


class FakeSubscription:
    """A subscription whose messages a test sets."""

    def __init__(self) -> None:
        self.messages: list[list[bytes]] = []
        self.broken = False
        self.answers = True
        self.pings = 0

    def request(self, _: Any) -> None:
        """PSUBSCRIBE."""

    def send(self, _: Any) -> None:
        self.pings += 1
        if self.answers:
            self.messages.append([b"pong", b""])

    def listen(self, seconds: float) -> list[list[bytes]]:
        if self.broken:
            raise BrokenError
        threading.Event().wait(seconds)
        messages, self.messages = self.messages, []
        return messages

    def change(self, key: bytes) -> None:
        self.messages.append([b"pmessage", b"__keyevent@*__:*", b"__keyevent@0__:set", key])

    def close(self) -> None:
        """Nothing to do."""


class FakeSource:
    """A server whose connections and setting a test controls."""

    is_cluster = False
    is_managed = False

    def __init__(self) -> None:
        self.reachable = threading.Event()
        self.reachable.set()
        self.setting = b"AKE"
        self.subscriptions: list[FakeSubscription] = []

    def primaries(self) -> list[Primary]:
        return [Primary(Node("a", 1))]

    def connect(self, _: Node) -> FakeSubscription:
        self.reachable.wait(30)
        self.subscriptions.append(FakeSubscription())
        return self.subscriptions[-1]

    def command(self, _: Node, *words: str) -> list[bytes]:
        if words[1] == "SET" and self.is_managed:
            raise ResponseError("unknown command 'CONFIG'")
        if words[1] == "SET":
            self.setting = words[3].encode()
        return [b"notify-keyspace-events", self.setting]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    monkeypatch.setattr(change_tracker, "POLL_INTERVAL_SECONDS", 0.01)
    return FakeSource()


@pytest.fixture
def tracker(source: FakeSource) -> Iterator[ChangeTracker]:
    made = ChangeTracker(cast("MigrationServer", source), Scope())
    yield made
    made.close()


def test_changes_are_taken_once(source: FakeSource, tracker: ChangeTracker) -> None:
    source.subscriptions[0].change(b"k")
    wait_until(lambda: tracker.waiting == 1, problem="the change is not tracked")
    assert tracker.take() == [(0, b"k")]
    assert tracker.take() == []


def test_changes_until_a_lost_subscription_is_replaced(source: FakeSource, tracker: ChangeTracker) -> None:
    source.reachable.clear()
    source.subscriptions[0].broken = True
    wait_until(lambda: tracker.take() is None, problem="the loss is not noticed")
    source.reachable.set()  # more changes have been missed since
    wait_until(lambda: len(source.subscriptions) == 2, problem="there is no new subscription")
    wait_until(lambda: tracker.take() is None, problem="changes before the new subscription are not known")
    assert tracker.take() == []


def test_a_subscription_without_a_reply(
    source: FakeSource, tracker: ChangeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_tracker, "PING_INTERVAL_SECONDS", 0.02)
    first = source.subscriptions[0]
    wait_until(lambda: first.pings > 2, problem="no PING is sent")
    assert len(source.subscriptions) == 1, "its answers count"
    monkeypatch.setattr(change_tracker, "SILENCE_SECONDS", 0.1)
    first.answers = False
    wait_until(lambda: len(source.subscriptions) > 1, problem="the loss is not noticed")
    wait_until(lambda: tracker.take() is None, problem="changes before the new subscription are not known")


def test_notifications_that_were_switched_off(source: FakeSource, tracker: ChangeTracker) -> None:
    source.setting = b""
    assert tracker.take() is None
    assert source.setting == b"", "only the operator has enabled them"


def test_notifications_of_this_run_that_a_restart_switched_off(source: FakeSource) -> None:
    tracker = ChangeTracker(cast("MigrationServer", source), Scope(), enables=True)
    source.setting = b""
    assert tracker.take() is None
    assert tracker.take() == []
    assert set("AE") <= set(source.setting.decode())
    tracker.close()


def test_a_service_that_does_not_permit_the_setting(source: FakeSource) -> None:
    source.is_managed = True
    with pytest.raises(ConfigurationError, match="leave --notifications out"):
        change_tracker.enable(cast("MigrationServer", source))
