"""Latency and client checks: response times, busy cores, slow commands and connections."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping

from valkeykit_ops.doctor.finding import LIKELY, NOTE, POSSIBLE, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target

SLOW_PING_SECONDS = 0.02
"""The median of a PING inside one region is far below."""

BUSY_CPU_RATIO = 0.9
"""Share of one core above which the command thread is busy."""

SLOW_COMMAND_SECONDS = 0.1
RECENT_SECONDS = 3600.0
"""A slow command is a warning for this time."""

CLIENTS_RATIO = 0.8
"""Share of maxclients."""

IDLE_SECONDS, MANY_IDLE_CLIENTS = 1, 500
"""Number of connections of one host without a command for this time that is worth a note."""

BUFFERS_RATIO = 0.2
"""Share of maxmemory that client buffers may use."""


def latency(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about PING times, CPU and the slow log."""
    results, node = [], str(snapshot.node)
    if len(snapshot.pings) > 1:
        median = statistics.median(snapshot.pings)
        slowest = sorted(snapshot.pings)[int(len(snapshot.pings) * 0.99)]
        is_slow = median > SLOW_PING_SECONDS
        results.append(
            Finding(
                "latency",
                WARNING if is_slow else NOTE,
                "slow" if is_slow else "ping",
                f"PING takes {median * 1000:.2f} ms, at worst {slowest * 1000:.2f} ms",
                _slow_part(snapshot, median) if is_slow else "median and 99th percentile",
                target.cli(snapshot.node, "LATENCY", "DOCTOR"),
                node=node,
            )
        )
    if snapshot.cpu is not None and snapshot.cpu > BUSY_CPU_RATIO:
        results.append(
            Finding(
                "latency",
                WARNING,
                "busy",
                f"commands keep one core busy to {min(snapshot.cpu, 1):.0%}",
                "the server is at its limit, and all clients wait",
                target.cli(snapshot.node, "INFO", "commandstats"),
                LIKELY,
                node,
            )
        )
    slow = [
        (took, name) for since, took, name in snapshot.slow if took >= SLOW_COMMAND_SECONDS and since < RECENT_SECONDS
    ]
    if slow:
        took, name = max(slow)
        results.append(
            Finding(
                "latency",
                WARNING,
                "slow-command",
                f"{name} took {took * 1000:,.0f} ms within the last hour",
                "all other clients waited",
                target.cli(snapshot.node, "SLOWLOG", "GET", "10"),
                node=node,
            )
        )
    return results


def _slow_part(snapshot: Snapshot, median: float) -> str:
    """What is slow: opening a connection takes one round trip of the network, whatever the server does."""
    if snapshot.connecting > median / 2:
        return f"the network takes {snapshot.connecting * 1000:.0f} ms of it, so run applications near the server"
    return "the server or a proxy in front of it is slow, not the network: a page with thirty requests waits for all"


def clients(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about connections, rejected connections and client buffers."""
    results, node = [], str(snapshot.node)
    connected, limit = snapshot.number("connected_clients"), snapshot.number("maxclients")
    more = target.cli(snapshot.node, "CONFIG", "SET", "maxclients", f"{max(limit * 2, 1000):.0f}")
    if limit and connected >= CLIENTS_RATIO * limit:
        results.append(
            Finding(
                "clients",
                WARNING,
                "clients-near",
                f"{connected:.0f} of {limit:.0f} clients are connected",
                "new connections are rejected at the limit",
                more,
                node=node,
            )
        )
    for field, name, what, fix in (
        ("rejected_connections", "clients-refused", "connections were rejected at maxclients", more),
        (
            "client_output_buffer_limit_disconnections",
            "buffers",
            "clients that read too slowly were disconnected",
            target.cli(snapshot.node, "CONFIG", "GET", "client-output-buffer-limit"),
        ),
    ):
        if number := snapshot.number(field):
            results.append(
                Finding(
                    "clients",
                    WARNING,
                    name,
                    f"since the server's start {number:,.0f} {what}",
                    "their applications saw errors",
                    fix,
                    POSSIBLE,
                    node,
                )
            )
    results += [
        *_slow_readers(snapshot, target),
        *_buffers(snapshot, target),
        *_monitors(snapshot, target),
        *_idle(snapshot, target),
    ]
    if blocked := snapshot.number("blocked_clients"):
        results.append(
            Finding(
                "clients",
                NOTE,
                "blocked",
                f"{blocked:.0f} clients wait in a blocking command",
                "this is normal for queue workers",
                target.cli(snapshot.node, "CLIENT", "LIST"),
                node=node,
            )
        )
    return results


def _slow_readers(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Recent servers count a message that is shared by several buffers only once, so more may wait than they report."""
    names = {one["id"]: f"{one.get('name') or one['addr']} ({one.get('cmd')})" for one in snapshot.clients}
    return [
        Finding(
            "clients",
            WARNING,
            "slow-reader",
            f"the client {names[identity]} does not read: at least {waiting / 2**20:,.1f} MiB wait for it",
            "its replies fill the memory, until data is evicted or writes are rejected",
            target.cli(snapshot.node, "CLIENT", "KILL", "ID", identity),
            node=str(snapshot.node),
        )
        for identity, waiting in snapshot.unread.items()
    ]


def _buffers(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Memory of the clients' buffers, also of those that INFO does not count until they are served again."""
    limit = snapshot.number("maxmemory")
    used = {one["id"]: _memory_of(one) for one in snapshot.clients if one.get("flags") not in {"S", "M"}}
    total = max(sum(used.values()), snapshot.number("mem_clients_normal"))
    if not limit or total <= BUFFERS_RATIO * limit:
        return []
    what = f"client buffers use {total / limit:.0%} of maxmemory"
    fix = target.cli(snapshot.node, "CONFIG", "SET", "maxmemory-clients", "5%")
    biggest = max(snapshot.clients, key=_memory_of, default={})
    if _memory_of(biggest) > total / 2:
        what += f", most of it that of {biggest.get('name') or biggest.get('addr')} ({biggest.get('cmd')})"
        fix = target.cli(snapshot.node, "CLIENT", "KILL", "ID", biggest["id"])
    why = "data is evicted or writes are rejected because of them"
    return [Finding("clients", WARNING, "client-memory", what, why, fix, node=str(snapshot.node))]


def _memory_of(client: Mapping[str, str]) -> int:
    """Bytes; servers older than 7.0 report only the output buffer."""
    return max(int(client.get(name, 0)) for name in ("tot-mem", "omem", "qbuf"))


def _monitors(snapshot: Snapshot, target: Target) -> list[Finding]:
    monitors = [one for one in snapshot.clients if "O" in one.get("flags", "")]
    if not monitors:
        return []
    names = ", ".join(dict.fromkeys(one.get("name") or one["addr"] for one in monitors))
    return [
        Finding(
            "clients",
            NOTE,
            "monitor",
            f"{_counted(len(monitors), 'client')} in MONITOR: {names}",
            "it receives every command with its values, and can halve the throughput",
            " && ".join(target.cli(snapshot.node, "CLIENT", "KILL", "ID", one["id"]) for one in monitors),
            node=str(snapshot.node),
        )
    ]


def _idle(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Many idle connections of one host often belong to an application that does not close them."""
    hosts = Counter(
        one["addr"].rpartition(":")[0] for one in snapshot.clients
        if int(one.get("idle", 0)) >= IDLE_SECONDS and one.get("flags") == "N"
    )  # fmt: skip
    if not hosts:
        return []
    host, number = hosts.most_common(1)[0]
    if number < MANY_IDLE_CLIENTS:
        return []
    return [
        Finding(
            "clients",
            NOTE,
            "idle-clients",
            f"{number:,} connections of {host} are idle",
            "an application may open connections without closing them; a timeout closes idle ones",
            target.cli(snapshot.node, "CONFIG", "SET", "timeout", "300"),
            POSSIBLE,
            str(snapshot.node),
        )
    ]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
