"""The examination: from the outside in, every node at the same time, one login first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from redis.exceptions import RedisError

from valkeykit import errors
from valkeykit.error_translation import classify
from valkeykit.ops import fleet
from valkeykit.ops.doctor import (
    access,
    causes,
    load,
    memory,
    network,
    persistence,
    probe,
    replication,
    topology,
    versions,
)
from valkeykit.ops.doctor.deadline import TOTAL, Deadline, OutOfTimeError
from valkeykit.ops.doctor.finding import LAYERS, LIKELY, NOTE, PROBLEM, WARNING, Finding, Report, order
from valkeykit.ops.doctor.network import Way
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target
from valkeykit.url import Node

SERVER_SECONDS = 2.2
"""Limit of all that is asked of a server that takes the login."""

SENTINEL_SECONDS = 1.0
"""Limit of one Sentinel's answer."""

_JUDGES = (
    ("permissions", access.findings), ("topology", topology.findings), ("memory", memory.findings),
    ("persistence", persistence.findings), ("replication", replication.findings), ("latency", load.latency),
    ("clients", load.clients), ("version", versions.findings),
)  # fmt: skip

One = TypeVar("One")
Result = TypeVar("Result")


def examine(target: Target, seconds: float = TOTAL) -> Report:
    """Look at all that can be reached, for so many seconds at most. What goes wrong is found, never raised."""
    began = time.monotonic()
    found = _Examination(target, seconds)
    found.run()
    return Report(target.name, order(found.findings), _in_order(found.reached), time.monotonic() - began)


class _Examination:
    def __init__(self, target: Target, seconds: float) -> None:
        self.target = target
        self.deadline = Deadline(seconds)
        self.findings: list[Finding] = []
        self.reached: set[str] = set()
        self.is_refused = False

    def run(self) -> None:
        address = self.target.address
        by_sentinel = address.topology == "sentinel" or address.sentinels
        nodes = self._from_sentinels() if by_sentinel else list(address.nodes)
        ways = self._walk(nodes)
        waiting = [way for way in ways if way.answers]
        seen: Snapshot | None = None
        while waiting and seen is None and not self.is_refused:
            seen = self._look(waiting.pop(0))
        if seen is None:
            return
        known = {way.node for way in ways}
        named = fleet.announced(seen.node, seen.info, seen.slots)[: fleet.MOST_NODES]
        more = self._walk([node for node in named if node not in known], quietly=True)
        missed = [way.node for way in more if not way.answers and not way.is_late]
        self.findings += topology.unreachable(seen, self.target, missed)
        self._at_once([*waiting, *(way for way in more if way.answers)], self._look)

    def _walk(self, nodes: list[Node], *, quietly: bool = False) -> list[Way]:
        """quietly: what stands in the way is told by whoever named the nodes."""
        ways = self._at_once(nodes, self._way)
        for way in ways:
            self.reached.update(way.reached)
            if not quietly:
                alone = len(ways) == 1 or not any(other.answers for other in ways)
                self.findings += [one if alone else _less(one) for one in way.findings]
        return ways

    def _way(self, node: Node) -> Way:
        """As network.walk, and never longer than the whole may take."""
        try:
            return self.deadline.run(self.deadline.left, lambda: network.walk(self.target, node, self.deadline))
        except OutOfTimeError:
            late = causes.found("no-answer", "it took too long to come this far", self.target, node, LIKELY)
            return Way(node, [late], is_late=True)

    def _look(self, way: Way) -> Snapshot | None:
        """Log in to a node and judge it; None where the login fails."""
        seen = self._snapshot(way.node)
        if seen is None:
            return None
        if way.is_open:
            self.findings += network.open_door(self.target, way.node)
        if seen.write is not None and not _is_followers(seen):
            self.findings.append(causes.finding(seen.write, "permissions", self.target, way.node))
        for layer, judge in _JUDGES:
            self.reached.add(layer)
            self.findings += judge(seen, self.target)
        return seen

    def _snapshot(self, node: Node) -> Snapshot | None:
        self.reached.add("authentication")
        try:
            return self.deadline.run(SERVER_SECONDS, lambda: probe.take(self.target.settings, node))
        except OutOfTimeError:
            self.findings.append(self._late(node))
        except RedisError as error:
            self.is_refused = classify(error).kind is errors.LoginError
            self.findings.append(self._login(causes.finding(error, "authentication", self.target, node)))
        except Exception:  # noqa: BLE001  (redis-py raises whatever it comes upon when an answer has no sense)
            what = "it answers like a Valkey at first, and then otherwise"
            self.findings.append(causes.found("not-valkey", what, self.target, node, LIKELY))
        return None

    def _late(self, node: Node) -> Finding:
        """Where the time of all is over, it says nothing of this node."""
        if self.deadline.left == 0.0 and "version" in self.reached:
            return Finding("protocol", NOTE, "not-looked-at", "the time was over before this node was looked at",
                           "it may be well or ill", self.target.cli(node, "PING"), node=str(node))  # fmt: skip
        what = "the server began to answer, and then took too long"
        return causes.found("no-answer", what, self.target, node)

    def _login(self, finding: Finding) -> Finding:
        """A password with the end of a line is refused like any wrong one."""
        password = self.target.address.password or ""
        if self.is_refused and password != password.strip():
            return replace(finding, why="the password begins or ends with a space or a line break")
        return finding

    def _from_sentinels(self) -> list[Node]:
        """The primary that a Sentinel names, and what is wrong with the others."""
        target = self.target
        asked = target.address.sentinels or target.address.nodes
        answers = self._at_once(asked, self._ask_sentinel)
        named = [answer for answer in answers if answer]
        if not named:
            what, why = "no Sentinel names a primary", "a client finds nobody to write to"
            self.findings.append(Finding("topology", PROBLEM, "no-primary", what, why,
                                         target.cli(asked[0], "SENTINEL", "MASTERS"), node=str(asked[0])))  # fmt: skip
            return []
        return list(dict.fromkeys([*named, *(target.address.nodes if target.address.sentinels else ())]))

    def _ask_sentinel(self, node: Node) -> Node | None:
        way = self._way(node)
        self.reached.update(way.reached)
        self.findings += [_less(one) for one in way.findings]
        if not way.answers:
            return None
        try:
            return self.deadline.run(SENTINEL_SECONDS, lambda: fleet.primary_of(self.target.settings, node))
        except OutOfTimeError:
            self.findings.append(_less(causes.found("no-answer", "the Sentinel takes too long", self.target, node)))
        except RedisError as error:
            self.findings.append(causes.finding(error, "topology", self.target, node))
        except errors.ConfigurationError as error:
            self.findings.append(Finding("topology", PROBLEM, "no-primary", str(error.args[0]), "no primary is known",
                                         self.target.cli(node, "SENTINEL", "MASTERS"), node=str(node)))  # fmt: skip
        return None

    def _at_once(self, items: Iterable[One], work: Callable[[One], Result]) -> list[Result]:
        chosen = list(items)[: fleet.MOST_NODES]
        if not chosen:
            return []
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(work, chosen))


def _is_followers(seen: Snapshot) -> bool:
    """A replica refuses writes by design; whether one should be asked to is the topology's question."""
    return seen.role == "slave" and classify(seen.write or RedisError()).name in ("replica-written", "demoted")


def _less(finding: Finding) -> Finding:
    """What one of several nodes lacks is no problem for a client, that asks the next."""
    severity = WARNING if finding.severity == PROBLEM else finding.severity
    return replace(finding, severity=severity)


def _in_order(reached: set[str]) -> tuple[str, ...]:
    return tuple(layer for layer in LAYERS if layer in reached)
