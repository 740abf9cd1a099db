"""Latency and clients: does it answer soon, and is there room for more connections?"""

from __future__ import annotations

import statistics

from valkeykit.ops.doctor.finding import LIKELY, NOTE, POSSIBLE, WARNING, Finding
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target

SLOW_PING = 0.02
"""Seconds: the median of a PING inside one region stays far below."""

BUSY_CPU = 0.9
"""Share of one core from which the thread that runs commands has no room left."""

SLOW_COMMAND, RECENT = 0.1, 3600.0
"""Seconds that a command may take, and how long ago it is worth a warning."""

CLIENTS_NEAR = 0.8
"""Share of maxclients."""

BUFFERS = 0.2
"""Share of maxmemory that the clients' buffers may take."""


def latency(seen: Snapshot, target: Target) -> list[Finding]:
    """PINGs, CPU and the slow log."""
    found, node = [], str(seen.node)
    if len(seen.pings) > 1:
        median = statistics.median(seen.pings)
        slowest = sorted(seen.pings)[int(len(seen.pings) * 0.99)]
        is_slow = median > SLOW_PING
        found.append(Finding(
            "latency", WARNING if is_slow else NOTE, "slow" if is_slow else "ping",
            f"PING takes {median * 1000:.2f} ms, at worst {slowest * 1000:.2f} ms",
            "a page that asks thirty times waits thirty times as long" if is_slow else "median and 99th percentile",
            target.cli(seen.node, "--latency-history"), node=node,
        ))  # fmt: skip
    if seen.cpu is not None and seen.cpu > BUSY_CPU:
        found.append(Finding(
            "latency", WARNING, "busy", f"commands keep one core busy to {min(seen.cpu, 1):.0%}",
            "there is no room for more, and everybody waits", target.cli(seen.node, "INFO", "commandstats"),
            LIKELY, node,
        ))  # fmt: skip
    slow = [(took, name) for since, took, name in seen.slow if took >= SLOW_COMMAND and since < RECENT]
    if slow:
        took, name = max(slow)
        found.append(Finding(
            "latency", WARNING, "slow-command", f"{name} took {took * 1000:,.0f} ms within the last hour",
            "nobody else was served meanwhile", target.cli(seen.node, "SLOWLOG", "GET", "10"), node=node,
        ))  # fmt: skip
    return found


def clients(seen: Snapshot, target: Target) -> list[Finding]:
    """Connections against maxclients, refused ones, readers that were cut off."""
    found, node = [], str(seen.node)
    connected, limit = seen.number("connected_clients"), seen.number("maxclients")
    more = target.cli(seen.node, "CONFIG", "SET", "maxclients", f"{max(limit * 2, 1000):.0f}")
    if limit and connected >= CLIENTS_NEAR * limit:
        found.append(Finding(
            "clients", WARNING, "clients-near", f"{connected:.0f} of {limit:.0f} clients are connected",
            "new connections are refused at the limit", more, node=node,
        ))  # fmt: skip
    for field, name, what, fix in (
        ("rejected_connections", "clients-refused", "connections were refused at maxclients", more),
        ("client_output_buffer_limit_disconnections", "buffers", "clients that read too slowly were cut off",
         target.cli(seen.node, "CONFIG", "GET", "client-output-buffer-limit")),
    ):  # fmt: skip
        if number := seen.number(field):
            found.append(Finding("clients", WARNING, name, f"since the server's start {number:,.0f} {what}",
                                 "those saw errors", fix, POSSIBLE, node))  # fmt: skip
    if limit_of_memory := seen.number("maxmemory"):
        buffers = seen.number("mem_clients_normal")
        if buffers > BUFFERS * limit_of_memory:
            what = f"the clients' buffers take {buffers / limit_of_memory:.0%} of maxmemory"
            found.append(Finding(
                "clients", WARNING, "client-memory", what, "data is evicted or refused for their sake",
                target.cli(seen.node, "CONFIG", "SET", "maxmemory-clients", "5%"), node=node,
            ))  # fmt: skip
    if blocked := seen.number("blocked_clients"):
        found.append(Finding("clients", NOTE, "blocked", f"{blocked:.0f} clients wait in a blocking command",
                             "workers of a queue do", target.cli(seen.node, "CLIENT", "LIST"), node=node))  # fmt: skip
    return found
