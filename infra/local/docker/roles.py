"""Who of a deployment is a primary, who follows, and how one hands over without losing a write."""

from __future__ import annotations

from collections.abc import Iterator

from infra.local import cluster, replication
from infra.local.console import Console, info, wait_until
from infra.local.docker.plan import Plan

SYNC_SECONDS = 900.0
"""How long a replica may take to read all of its primary's data."""


def primaries(console: Console, plan: Plan) -> list[str]:
    """The data nodes that are primaries."""
    return [node.name for node in plan.nodes if info(console, node.name, "replication")["role"] == "master"]


def wait_until_whole(console: Console, plan: Plan) -> None:
    """Wait until every primary has its replicas, and they have all of its data.

    Raises:
        ProvisioningError: it took too long.
    """
    wait_until(lambda: not any(problems(console, plan)), SYNC_SECONDS, "not every replica follows its primary")


def problems(console: Console, plan: Plan) -> Iterator[str]:
    """What is wrong between servers that all run, a line each."""
    if plan.topology == "cluster":
        yield from cluster.problems(console, plan.nodes)
        yield from _nameless(console, plan)
    if plan.topology == "replicated":
        primary = replication.named_primary(console, [sentinel.name for sentinel in plan.sentinels], plan.nodes)
        if primary:
            yield from replication.astray(console, primary, plan.nodes)
        else:
            yield "no Sentinel names a primary"


def _nameless(console: Console, plan: Plan) -> Iterator[str]:
    """A node that has just started tells clients `?` for those whose name it hasn't heard yet."""
    for node in plan.nodes:
        addresses = [line.split()[1] for line in str(console.run(node.name, "CLUSTER", "NODES")).splitlines()]
        if not all(f",{plan.host}" in address for address in addresses):
            yield f"{node.name} doesn't know every name"


def hand_over(console: Console, plan: Plan, primary: str) -> None:
    """Make a replica the primary in this one's place; no acknowledged write is lost.

    Raises:
        ProvisioningError: no replica took over.
    """
    member = next(node for node in plan.nodes if node.name == primary)
    if plan.topology == "cluster":
        cluster.fail_over(console, plan.nodes, member)
    else:
        replication.fail_over(console, [sentinel.name for sentinel in plan.sentinels], plan.nodes, member)
