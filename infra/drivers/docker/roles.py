"""Roles of a deployment's nodes: primaries, replicas, their problems, and failover."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from infra.drivers.docker.plan import DeploymentPlan
from infra.drivers.topology import cluster, replication
from infra.drivers.topology.node_executor import (
    CommandRejectedError,
    NodeExecutor,
    NotRespondingError,
    info,
    wait_until,
)
from infra.errors import ProvisioningError

REATTACH_AFTER_SECONDS = 20.0
"""How long Sentinels have to attach every replica to the primary."""

SYNC_TIMEOUT_SECONDS = 900.0
"""How long a replica may take to copy its primary's data."""


class ShardDownError(ProvisioningError):
    """No node that has the data of a shard responds."""


def primaries(executor: NodeExecutor, plan: DeploymentPlan) -> list[str]:
    """The data nodes that are primaries."""
    return [node.name for node in plan.nodes if info(executor, node.name, "replication")["role"] == "master"]


def sources(executor: NodeExecutor, plan: DeploymentPlan, *, replicas: bool = False) -> list[str]:
    """The node of each shard to copy its data from, even if others don't respond.

    replicas: if a primary doesn't respond, use the most up-to-date replica, which may lack the last writes.

    Raises:
        ShardDownError: a shard has no such node.
    """
    states, causes = {}, {}
    for node in plan.nodes:
        try:
            states[node.name] = info(executor, node.name, "replication")
        except (CommandRejectedError, NotRespondingError) as problem:
            causes[node.name] = problem.args[0]
    return [_source(shard, states, causes, replicas=replicas) for shard in _shards(executor, plan, states)]


def _source(
    shard: Sequence[str], states: Mapping[str, Mapping[str, str]], causes: Mapping[str, str], *, replicas: bool
) -> str:
    """shard: its nodes, the presumed primary first."""
    live = [name for name in shard if name in states]
    leading = [name for name in live if states[name]["role"] == "master"]
    if leading or (live and replicas):
        return (leading or sorted(live, key=lambda name: -int(states[name]["slave_repl_offset"])))[0]
    text = "; ".join(causes[name] for name in shard if name in causes)
    raise ShardDownError(text or f"none of {', '.join(shard)} is a primary", fix="make up")


def _shards(executor: NodeExecutor, plan: DeploymentPlan, live: Collection[str]) -> Iterator[list[str]]:
    names = {node.address: node.name for node in plan.nodes}
    if plan.topology == "cluster" and live:
        view = cluster.read_nodes(executor, next(iter(live)))
        for node in (node for node in view if node.is_primary and node.slots):
            members = [node.address, *(other.address for other in view if other.primary == node.id)]
            yield [names[address] for address in members if address in names]
    else:
        named = replication.primary_by_sentinels(executor, _sentinels(plan), plan.nodes) if plan.sentinels else None
        yield sorted(names.values(), key=lambda name: named is None or name != named.name)


def wait_until_healthy(executor: NodeExecutor, plan: DeploymentPlan) -> None:
    """Wait until every primary has its replicas, and they are in sync; reattach replicas that lost it.

    Raises:
        ProvisioningError: it took too long; the message has the problems.
    """
    reattach_after = time.monotonic() + REATTACH_AFTER_SECONDS
    current: list[str] = []

    def is_healthy() -> bool:
        current[:] = problems(executor, plan)
        if current and plan.topology == "replicated" and time.monotonic() > reattach_after:
            _reattach_replicas(executor, plan)
        return not current

    try:
        wait_until(is_healthy, SYNC_TIMEOUT_SECONDS, "")
    except ProvisioningError as problem:
        raise ProvisioningError("; ".join(current) or "the servers do not respond", fix=problem.fix) from None


def problems(executor: NodeExecutor, plan: DeploymentPlan) -> Iterator[str]:
    """Problems between servers that all run, a line each."""
    if plan.topology == "cluster":
        yield from cluster.problems(executor, plan.nodes)
        yield from _nameless(executor, plan)
    if plan.topology == "replicated":
        sentinels = _sentinels(plan)
        primary = replication.primary_by_sentinels(executor, sentinels, plan.nodes)
        actual = replication.primary_of(executor, primary, plan.nodes) if primary else None
        if primary and actual:
            yield f"the Sentinels report {primary.name} as the primary, but it is a replica of {actual.name}"
            yield from replication.replication_problems(executor, actual, plan.nodes)
        elif primary:
            yield from replication.replication_problems(executor, primary, plan.nodes)
            yield from replication.sentinel_problems(executor, sentinels, primary, plan.replicas, run_script=True)
        else:
            yield "no Sentinel names a primary"


def _reattach_replicas(executor: NodeExecutor, plan: DeploymentPlan) -> None:
    """Sentinels reattach only the replicas that they know, which are those of the primary."""
    primary = replication.primary_by_sentinels(executor, _sentinels(plan), plan.nodes)
    if primary and replication.role(executor, primary) == "master":
        replication.attach_replicas(executor, primary, plan.nodes)


def correct_sentinels(executor: NodeExecutor, plan: DeploymentPlan, sentinels: list[str]) -> None:
    """Have these Sentinels monitor the actual primary where all of them report its replica, or one reports none.

    Sentinels that contradict each other reach agreement without help. Corrected ones need their settings again.
    """
    named = {sentinel: replication.primary_by_sentinels(executor, [sentinel], plan.nodes) for sentinel in sentinels}
    primaries = set(filter(None, named.values()))
    if len(primaries) > 1:
        return
    primary = primaries.pop() if primaries else replication.self_reported_primary(executor, plan.nodes)
    if primary:
        primary = replication.primary_of(executor, primary, plan.nodes) or primary
        for sentinel in (sentinel for sentinel, reported in named.items() if reported != primary):
            replication.monitor(executor, sentinel, primary, len(plan.sentinels))


def _sentinels(plan: DeploymentPlan) -> list[str]:
    return [sentinel.name for sentinel in plan.sentinels]


def _nameless(executor: NodeExecutor, plan: DeploymentPlan) -> Iterator[str]:
    """A node that has just started reports `?` to clients for nodes whose name it has not learned yet."""
    for node in plan.nodes:
        addresses = [line.split()[1] for line in str(executor.run(node.name, "CLUSTER", "NODES")).splitlines()]
        if not all(f",{plan.host}" in address for address in addresses):
            yield f"{node.name} has not learned every node's name"


def fail_over(executor: NodeExecutor, plan: DeploymentPlan, primary: str) -> None:
    """Fail over a primary to one of its replicas; no acknowledged write is lost.

    Raises:
        ProvisioningError: no replica took over.
    """
    member = next(node for node in plan.nodes if node.name == primary)
    if plan.topology == "cluster":
        cluster.fail_over(executor, plan.nodes, member)
    else:
        replication.fail_over(executor, _sentinels(plan), plan.nodes, member)
