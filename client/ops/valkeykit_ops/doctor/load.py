"""Latency and client checks: response times, busy cores, slow commands and connections."""

from __future__ import annotations

import statistics

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
                "a page with thirty requests waits thirty times as long" if is_slow else "median and 99th percentile",
                target.cli(snapshot.node, "--latency-history"),
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
    if limit_of_memory := snapshot.number("maxmemory"):
        buffers = snapshot.number("mem_clients_normal")
        if buffers > BUFFERS_RATIO * limit_of_memory:
            what = f"client buffers use {buffers / limit_of_memory:.0%} of maxmemory"
            results.append(
                Finding(
                    "clients",
                    WARNING,
                    "client-memory",
                    what,
                    "data is evicted or rejected because of them",
                    target.cli(snapshot.node, "CONFIG", "SET", "maxmemory-clients", "5%"),
                    node=node,
                )
            )
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
