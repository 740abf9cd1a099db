"""A planned failover on a busy machine, where every command takes seconds, and on one where nothing happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from infra.drivers.topology import pause, replication
from infra.drivers.topology.node_executor import (
    BUSY_TIMEOUT_SECONDS,
    NodeAddress,
    NotRespondingError,
    wait_until,
)
from infra.errors import ProvisioningError

NODES = [NodeAddress(f"node-{number}", f"10.0.0.1{number}", 7000 + number) for number in range(3)]
SENTINELS = ["sentinel-0", "sentinel-1", "sentinel-2"]
RESUME = r" -> run `make up` again to resume"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


class SlowGroup:
    """A primary, its replicas and Sentinels.

    command: seconds that each command takes. promotion: seconds from an order to the promotion.
    lost_orders: the Sentinels give up that many. frozen: a node that doesn't respond.
    """

    def __init__(
        self, clock: list[float], *, command: float, promotion: float = 0, lost_orders: int = 0, frozen: str = ""
    ) -> None:
        self.orders: list[float] = []
        self._clock, self._command, self._promotion = clock, command, promotion
        self._lost_orders, self._frozen = lost_orders, frozen
        self._primary_of = dict.fromkeys(("node-1", "node-2"), NODES[0].address)

    def run(self, node: str, *command: str) -> Any:
        if node == self._frozen:
            self._clock[0] += 20
            raise NotRespondingError(f"{node} doesn't respond")
        self._clock[0] += self._command
        if self._is_promoted() and "node-1" in self._primary_of:
            self._primary_of = {"node-2": NODES[0].address}
        answer: Any = "OK"
        match command:
            case ("PING",):
                answer = "PONG"
            case ("INFO", "replication"):
                answer = self._replication(node)
            case ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _):
                answer = NODES[self._is_promoted()].address.split(":")
            case ("SENTINEL", "FAILOVER", _):
                self.orders.append(self._clock[0])
            case ("REPLICAOF", host, port):
                self._primary_of[node] = f"{host}:{port}"
            case ("CONFIG", "GET", name):
                answer = {name: "1"}
        return answer

    def run_many(self, node: str, commands: Sequence[Sequence[str]]) -> list[Any]:
        return [self.run(node, *command) for command in commands]

    @contextlib.contextmanager
    def session(self, _node: str) -> Iterator[Callable[..., Any]]:
        yield lambda *_: "OK"

    def _is_promoted(self) -> bool:
        orders = self.orders[self._lost_orders :]
        return bool(orders) and self._clock[0] - orders[0] >= self._promotion

    def _replication(self, node: str) -> str:
        if node not in self._primary_of:
            return "# Replication\nrole:master\nmaster_repl_offset:100"
        host, port = self._primary_of[node].split(":")
        state = f"master_host:{host}\nmaster_port:{port}\nmaster_link_status:up\nslave_repl_offset:100"
        return f"# Replication\nrole:slave\n{state}"


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing renews the pause meanwhile, so it lasts for the test."""
    monkeypatch.setattr(pause, "PAUSE_SECONDS", 1e6)
    monkeypatch.setattr(pause, "PROMOTION_PAUSE_SECONDS", 1e6)
    monkeypatch.setattr(pause, "RENEW_INTERVAL_SECONDS", 1e6)


def fail_over(group: SlowGroup) -> str:
    return replication.fail_over(group, SENTINELS, NODES, NODES[0]).name


@pytest.mark.parametrize(("command", "promotion"), [(0.01, 1), (0.01, 10), (8, 1), (8, 100)])
def test_a_failover_takes_as_long_as_the_machine_needs(clock: list[float], command: float, promotion: float) -> None:
    group = SlowGroup(clock, command=command, promotion=promotion)
    assert fail_over(group) == "node-1"
    assert len(group.orders) == 1


@pytest.mark.parametrize("command", [0.01, 4])
def test_a_failover_that_the_sentinels_gave_up_is_ordered_again(clock: list[float], command: float) -> None:
    group = SlowGroup(clock, command=command, promotion=3, lost_orders=1)
    assert fail_over(group) == "node-1"
    assert len(group.orders) == 2


def test_a_failover_that_never_happens_ends_soon_on_an_idle_machine(clock: list[float]) -> None:
    """Writers are paused meanwhile."""
    group = SlowGroup(clock, command=0.01, promotion=float("inf"))
    with pytest.raises(ProvisioningError, match=rf"^the Sentinels promote no replica{RESUME}"):
        fail_over(group)
    assert clock[0] < 40


def test_a_failover_that_never_happens_ends_on_a_busy_machine_too(clock: list[float]) -> None:
    group = SlowGroup(clock, command=10, promotion=float("inf"))
    with pytest.raises(ProvisioningError, match=rf"^the Sentinels promote no replica{RESUME}"):
        fail_over(group)
    assert clock[0] < 3 * BUSY_TIMEOUT_SECONDS


def test_a_node_that_does_not_respond_extends_no_wait(clock: list[float]) -> None:
    group = SlowGroup(clock, command=0.01, frozen="node-1")
    with pytest.raises(ProvisioningError, match=rf"^node-1 doesn't follow{RESUME}"):
        wait_until(lambda: bool(group.run("node-1", "PING")), 30, "node-1 doesn't follow")
    assert clock[0] < 60
