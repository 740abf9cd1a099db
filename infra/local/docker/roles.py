"""Who of a deployment is a primary, who follows, and how one hands over without losing a write."""

from __future__ import annotations

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
    if plan.topology == "cluster":
        problem = "the cluster isn't whole"
        wait_until(lambda: not list(cluster.problems(console, plan.nodes)), SYNC_SECONDS, problem)
    elif plan.topology == "replicated":
        sentinels = [sentinel.name for sentinel in plan.sentinels]
        primary = replication.wait_for_primary(console, sentinels, plan.nodes)
        replication.wait_until_in_sync(console, primary, plan.nodes)


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
