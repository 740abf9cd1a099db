"""Who is the primary, who follows, and how one hands over without losing a write.

It asks and tells servers through a console; it knows nothing of containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from infra.errors import ProvisioningError
from infra.local.docker.plan import SERVICE, Plan
from infra.local.docker.waiting import wait_until

SYNC_SECONDS = 900.0
"""How long a replica may take to read all of its primary's data."""

HAND_OVER_SECONDS = 30.0


class Console(Protocol):
    """Runs a command on a server, which it names; the answer is text, a number, a list or a mapping."""

    def run(self, node: str, *command: str) -> Any: ...

    def info(self, node: str, section: str) -> dict[str, str]: ...


def primaries(console: Console, nodes: Iterable[str]) -> list[str]:
    """The nodes that are primaries."""
    return [node for node in nodes if console.run(node, "ROLE")[0] == "master"]


def wait_for_replicas(console: Console, plan: Plan) -> None:
    """Wait until every primary has its replicas, and they have all of its data.

    Raises:
        ProvisioningError: it took too long.
    """
    if plan.topology != "single":
        names = [node.name for node in plan.nodes]
        wait_until(lambda: _settled(console, names, plan.shards), SYNC_SECONDS, "the replicas don't follow")


def hand_over(console: Console, plan: Plan, primary: str) -> None:
    """Make a replica the primary in this one's place; no acknowledged write is lost.

    Raises:
        ProvisioningError: no replica took over.
    """
    if plan.topology == "cluster":
        _hand_over_shard(console, plan, primary)
    else:
        _hand_over_to_sentinels_choice(console, plan, primary)


def _hand_over_shard(console: Console, plan: Plan, primary: str) -> None:
    successor = _replica_of(console, plan, primary)
    console.run(successor, "CLUSTER", "FAILOVER")
    wait_until(lambda: _is_primary(console, successor), HAND_OVER_SECONDS, f"{successor} didn't take over")


def _replica_of(console: Console, plan: Plan, primary: str) -> str:
    address = next((node.ip, node.port) for node in plan.nodes if node.name == primary)
    for node in plan.nodes:
        role = console.run(node.name, "ROLE")
        if role[0] == "slave" and (role[1], role[2]) == address:
            return node.name
    raise ProvisioningError(f"{primary} has no replica that could take over")


def _hand_over_to_sentinels_choice(console: Console, plan: Plan, primary: str) -> None:
    """Writes wait until the replicas have all; then whichever Sentinel chooses has all."""
    console.run(primary, "CLIENT", "PAUSE", str(int(HAND_OVER_SECONDS * 1000)), "WRITE")
    try:
        wait_until(
            lambda: _has_equals(console, primary), HAND_OVER_SECONDS, f"the replicas of {primary} don't catch up"
        )
        sentinel = plan.sentinels[0].name
        wait_until(lambda: _starts(console, sentinel), HAND_OVER_SECONDS, "the Sentinels start no failover")
        others = [node.name for node in plan.nodes if node.name != primary]
        wait_until(
            lambda: len(primaries(console, others)) == 1 and not _is_primary(console, primary),
            HAND_OVER_SECONDS,
            f"no replica took over from {primary}",
        )
    finally:
        console.run(primary, "CLIENT", "UNPAUSE")


def _starts(console: Console, sentinel: str) -> bool:
    try:
        return bool(console.run(sentinel, "SENTINEL", "FAILOVER", SERVICE) == "OK")
    except ProvisioningError:  # INPROG, or no replica that it finds good for the moment
        return False


def _has_equals(console: Console, primary: str) -> bool:
    _, offset, replicas = console.run(primary, "ROLE")
    return bool(replicas) and all(int(replica[2]) >= int(offset) for replica in replicas)


def _is_primary(console: Console, node: str) -> bool:
    return bool(console.run(node, "ROLE")[0] == "master")


def _settled(console: Console, nodes: Sequence[str], shards: int) -> bool:
    try:
        roles = [console.run(node, "ROLE") for node in nodes]
    except ProvisioningError:  # one is still starting
        return False
    follow = [role for role in roles if role[0] == "slave" and role[3] == "connected"]
    return len(follow) == len(nodes) - shards
