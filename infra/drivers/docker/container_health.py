"""Container health, derived from the facts that the engine reports about a container."""

from __future__ import annotations

from typing import Any

from infra.drivers.docker import compose

UNHEALTHY_GRACE_SECONDS = 60.0
"""How long a container may be unhealthy: the other nodes take time to notice that a node is back."""

MAX_RESTARTS = 3
"""A container that has restarted more often won't recover."""

RESTART_GRACE_SECONDS = 8.0
"""A container that waits that long for its next restart has failed many times."""


def is_healthy(facts: dict[str, Any]) -> bool:
    """Whether it runs and, if it has a health check, passes it."""
    checked = "Health" in facts["State"]
    return status(facts) == "healthy" or (not checked and status(facts) != "stopped")


def has_failed(facts: dict[str, Any], seconds: float, restarts: int) -> bool:
    """Whether a container has failed for good.

    seconds: since it was last healthy. restarts: in that time.
    """
    if facts["State"]["Status"] == "exited" or restarts >= MAX_RESTARTS:
        return True
    if is_restarting(facts):
        return seconds > RESTART_GRACE_SECONDS
    return status(facts) == "unhealthy" and seconds > UNHEALTHY_GRACE_SECONDS


def status(facts: dict[str, Any]) -> str:
    """healthy, unhealthy, starting, restarting or stopped; "" without a health check."""
    if is_restarting(facts):
        return "restarting"
    return str(facts["State"].get("Health", {}).get("Status", "")) if facts["State"]["Running"] else "stopped"


def is_restarting(facts: dict[str, Any]) -> bool:
    """Whether its program ended and the engine will restart it; it has no address meanwhile."""
    return bool(facts["State"]["Restarting"])


def can_recreate(facts: dict[str, Any], desired: dict[str, Any]) -> bool:
    """Whether a new container loses nothing; one that fails to start is kept, as its log has the reason."""
    detached = facts["State"]["Running"] and not is_restarting(facts) and not _has_address(facts, desired)
    return detached or (is_outdated(facts, desired) and status(facts) != "healthy")


def is_outdated(facts: dict[str, Any], desired: dict[str, Any]) -> bool:
    return bool(facts["Config"]["Labels"].get(compose.DEFINITION) != desired["labels"][compose.DEFINITION])


def _has_address(facts: dict[str, Any], desired: dict[str, Any]) -> bool:
    addresses = [network["IPAddress"] for network in facts["NetworkSettings"]["Networks"].values()]
    expected = desired.get("networks", {}).get("default", {}).get("ipv4_address")
    return expected in addresses if expected else bool(addresses)


def problem(facts: dict[str, Any] | None, desired: dict[str, Any]) -> str | None:
    """The problem of a container, or None."""
    if facts is None:
        return "its container does not exist"
    if facts["State"].get("Paused"):
        return "it is paused"
    if (health := status(facts)) in ("stopped", "unhealthy", "restarting"):
        return f"it is {health}"
    if not _has_address(facts, desired):
        return "it is not attached to its network"
    if facts["HostConfig"]["Memory"] != desired["mem_limit"]:
        return "its memory limit was changed"
    return "its definition is outdated" if is_outdated(facts, desired) else None
