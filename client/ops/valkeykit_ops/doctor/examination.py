"""Examination of an endpoint: layer by layer, all nodes in parallel, after a first login to one node."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from redis.exceptions import RedisError
from valkeykit import errors
from valkeykit.error_translation import classify
from valkeykit.settings import ConnectionSettings
from valkeykit.url import Node

from valkeykit_ops import nodes as deployment
from valkeykit_ops.doctor import (
    client_pause,
    cluster,
    connectivity,
    error_findings,
    load,
    memory,
    permissions,
    persistence,
    replication,
    topology,
    versions,
)
from valkeykit_ops.doctor.connectivity import NodePath
from valkeykit_ops.doctor.deadline import TOTAL_SECONDS, Deadline, OutOfTimeError
from valkeykit_ops.doctor.finding import LAYERS, LIKELY, NOTE, PROBLEM, WARNING, DoctorReport, Finding, by_severity
from valkeykit_ops.doctor.snapshot import Snapshot, take_snapshot
from valkeykit_ops.doctor.target import Target

SERVER_SECONDS = 2.2
"""Time limit for the queries to one server."""

SENTINEL_SECONDS = 1.0
"""Time limit for the reply of one Sentinel."""

ROUND_TRIPS, FAR_SECONDS = 30, 0.03
"""Number of round trips of an examination. If one takes longer than this, they are added to the time limits."""

_CHECKS = (
    ("permissions", permissions.findings), ("topology", topology.findings), ("memory", memory.findings),
    ("persistence", persistence.findings), ("replication", replication.findings), ("latency", client_pause.findings),
    ("latency", load.latency), ("clients", load.clients), ("version", versions.findings),
)  # fmt: skip

_CLOSED = ("ended", "reset", "broken")
_PROXY = "the port answers PING, but closes the connection at the login (HELLO) or INFO"
"""A server closes no connection at these commands, a proxy that does not support them does."""

One = TypeVar("One")
Result = TypeVar("Result")


def examine(target: Target, seconds: float = TOTAL_SECONDS) -> DoctorReport:
    """Examine everything that is reachable within the time limit. Errors become findings and are never raised."""
    began = time.monotonic()
    result = _Examination(target, seconds)
    result.run()
    findings, reached = by_severity(result.findings), _in_layer_order(result.reached)
    return DoctorReport(target.name, findings, reached, time.monotonic() - began)


class _Examination:
    def __init__(self, target: Target, seconds: float) -> None:
        self.target = target
        self.deadline = Deadline(seconds)
        self.findings: list[Finding] = []
        self.reached: set[str] = set()
        self.snapshots: list[Snapshot] = []
        self.is_refused = False

    def run(self) -> None:
        address = self.target.address
        by_sentinel = address.topology == "sentinel" or address.sentinels
        nodes = self._from_sentinels() if by_sentinel else list(address.nodes)
        paths = self._examine_paths(nodes)
        waiting = [path for path in paths if path.answers]
        snapshot: Snapshot | None = None
        while waiting and snapshot is None and not self.is_refused:
            snapshot = self._examine_node(waiting.pop(0))
        if snapshot is None:
            return
        known = {path.node for path in paths}
        announced = deployment.announced_nodes(snapshot.node, snapshot.info, snapshot.slots, snapshot.members)
        named = announced[: deployment.MAX_NODES]
        more = self._examine_paths([node for node in named if node not in known], quiet=True)
        unreachable = [path.node for path in more if not path.answers and not path.is_late]
        self.findings += topology.unreachable(snapshot, self.target, unreachable)
        self._in_parallel([*waiting, *(path for path in more if path.answers)], self._examine_node)
        lacks_admin = any(not one.may_administer for one in self.snapshots)
        self.findings += cluster.open_slots(self.snapshots, replace(self.target, lacks_admin=lacks_admin))

    def _examine_paths(self, nodes: list[Node], *, quiet: bool = False) -> list[NodePath]:
        """Examine paths to nodes. If `quiet`, the caller adds the findings of unreachable nodes."""
        paths = self._in_parallel(nodes, self._examine_path)
        for path in paths:
            self.reached.update(path.reached)
            if not quiet:
                alone = len(paths) == 1 or not any(other.answers for other in paths)
                self.findings += [one if alone else _as_warning(one) for one in path.findings]
        return paths

    def _examine_path(self, node: Node) -> NodePath:
        """Like connectivity.examine_path, within the total time limit."""
        try:
            return self.deadline.run(
                self.deadline.left, lambda: connectivity.examine_path(self.target, node, self.deadline)
            )
        except OutOfTimeError:
            late = error_findings.from_name("no-answer", "the connection took too long", self.target, node, LIKELY)
            return NodePath(node, [late], is_late=True)

    def _examine_node(self, path: NodePath) -> Snapshot | None:
        """Log in to a node and run the checks; None if the login fails."""
        snapshot = self._take_snapshot(path)
        if snapshot is None:
            return None
        target = replace(self.target, lacks_admin=not snapshot.may_administer)
        if path.is_open:
            self.findings += connectivity.open_access(target, path.node)
        snapshot.connecting = path.connecting
        self.snapshots.append(snapshot)
        write = snapshot.probes.write
        if write is not None and not _is_reported_elsewhere(snapshot, write):
            self.findings.append(error_findings.from_error(write, "permissions", target, path.node))
        for layer, check in _CHECKS:
            self.reached.add(layer)
            self.findings += check(snapshot, target)
        return snapshot

    def _take_snapshot(self, path: NodePath) -> Snapshot | None:
        node, more = path.node, self._more_seconds(path)
        self.reached.add("authentication")
        settings = self._settings_for(path)
        try:
            return self.deadline.run(SERVER_SECONDS + more, lambda: take_snapshot(settings, node))
        except OutOfTimeError:
            self.findings.append(self._timed_out(node))
        except RedisError as error:
            cause = classify(error)
            self.is_refused = cause.kind is errors.LoginError
            if cause.name in _CLOSED:
                self.findings.append(error_findings.from_name("proxy", _PROXY, self.target, node, LIKELY))
            else:
                self.findings.append(self._login(error_findings.from_error(error, "authentication", self.target, node)))
        except Exception:  # noqa: BLE001  (redis-py raises any error for a malformed reply)
            what = "it responds like a Valkey server at first, and then with malformed replies"
            self.findings.append(error_findings.from_name("not-valkey", what, self.target, node, LIKELY))
        return None

    def _more_seconds(self, path: NodePath) -> float:
        """Additional time for a far server, so that it does not count as one that does not respond."""
        more = ROUND_TRIPS * path.round_trip if path.round_trip > FAR_SECONDS else 0.0
        self.deadline.extend(more)
        return more

    def _settings_for(self, path: NodePath) -> ConnectionSettings:
        settings = self.target.settings
        return replace(
            settings,
            connect_timeout=settings.connect_timeout + path.round_trip,
            read_timeout=settings.read_timeout + path.round_trip,
        )

    def _timed_out(self, node: Node) -> Finding:
        """If the total time limit is reached, this says nothing about the node."""
        if self.deadline.left == 0.0 and "version" in self.reached:
            return Finding(
                "protocol",
                NOTE,
                "not-looked-at",
                "the time limit was reached before this node was examined",
                "its state is unknown",
                self.target.cli(node, "PING"),
                node=str(node),
            )
        if self._holds_commands(node):
            return connectivity.paused(self.target, node)
        what = "the server started to respond, and then took too long"
        return error_findings.from_name("no-answer", what, self.target, node)

    def _holds_commands(self, node: Node) -> bool:
        with contextlib.suppress(OutOfTimeError):
            return self.deadline.run(
                connectivity.SECOND_ANSWER_SECONDS, lambda: connectivity.holds_commands(self.target, node, node.host)
            )
        return False

    def _login(self, finding: Finding) -> Finding:
        """A password with a trailing line break is rejected like any wrong password."""
        password = self.target.address.password or ""
        if self.is_refused and password != password.strip():
            return replace(finding, why="the password starts or ends with a space or a line break")
        return finding

    def _from_sentinels(self) -> list[Node]:
        """The primary that the Sentinels report."""
        target = self.target
        asked = target.address.sentinels or target.address.nodes
        answers = self._in_parallel(asked, self._ask_sentinel)
        named = [answer for answer in answers if answer]
        if named:
            self._check_quorum(next(node for node, answer in zip(asked, answers, strict=False) if answer))
        else:
            what, why = "no Sentinel reports a primary", "clients have no server to write to"
            self.findings.append(
                Finding(
                    "topology",
                    PROBLEM,
                    "no-primary",
                    what,
                    why,
                    target.cli(asked[0], "SENTINEL", "MASTERS"),
                    node=str(asked[0]),
                )
            )
            return []
        return list(dict.fromkeys([*named, *(target.address.nodes if target.address.sentinels else ())]))

    def _check_quorum(self, sentinel: Node) -> None:
        problem = ""
        with contextlib.suppress(OutOfTimeError, RedisError, errors.ConfigurationError):
            problem = self.deadline.run(
                SENTINEL_SECONDS, lambda: deployment.quorum_error(self.target.settings, sentinel)
            )
        if problem:
            self.findings.append(
                Finding(
                    "topology",
                    WARNING,
                    "no-quorum",
                    f"the Sentinels cannot fail over: {problem}",
                    "if the primary fails, no replica takes over; start the other Sentinels",
                    self.target.cli(sentinel, "SENTINEL", "MASTERS"),
                    node=str(sentinel),
                )
            )

    def _ask_sentinel(self, node: Node) -> Node | None:
        path = self._examine_path(node)
        self.reached.update(path.reached)
        why = "clients ask another Sentinel, but there is one less to agree on a failover"
        self.findings += [
            _as_warning(replace(one, why=why) if one.severity == PROBLEM else one) for one in path.findings
        ]
        if not path.answers:
            return None
        try:
            limit, settings = SENTINEL_SECONDS + self._more_seconds(path), self._settings_for(path)
            return self.deadline.run(limit, lambda: deployment.primary_of(settings, node))
        except OutOfTimeError:
            self.findings.append(
                _as_warning(
                    error_findings.from_name("no-answer", "the Sentinel did not respond in time", self.target, node)
                )
            )
        except RedisError as error:
            self.findings.append(error_findings.from_error(error, "topology", self.target, node))
        except errors.ConfigurationError as error:
            self.findings.append(
                Finding(
                    "topology",
                    PROBLEM,
                    "no-primary",
                    str(error.args[0]),
                    "clients have no server to write to",
                    self.target.cli(node, "SENTINEL", "MASTERS"),
                    node=str(node),
                )
            )
        return None

    def _in_parallel(self, items: Iterable[One], work: Callable[[One], Result]) -> list[Result]:
        chosen = list(items)[: deployment.MAX_NODES]
        if not chosen:
            return []
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(work, chosen))


def _is_reported_elsewhere(snapshot: Snapshot, write: RedisError) -> bool:
    """The memory check reports a full server, the cluster check missing slots, and the topology check wrong URLs.

    A failed append-only file is reported by the persistence check, since no snapshot ends it.

    A replica rejects writes by design.
    """
    name = classify(write).name
    if name == "cluster-down":
        return bool(snapshot.cluster)
    if name == "disk-refuses":
        return snapshot.info.get("aof_last_write_status") == "err"
    return name == "out-of-memory" or (snapshot.role == "slave" and name in ("replica-written", "demoted"))


def _as_warning(finding: Finding) -> Finding:
    """A problem of one of several nodes is a warning, since clients use another node."""
    severity = WARNING if finding.severity == PROBLEM else finding.severity
    return replace(finding, severity=severity)


def _in_layer_order(reached: set[str]) -> tuple[str, ...]:
    return tuple(layer for layer in LAYERS if layer in reached)
