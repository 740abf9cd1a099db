"""What a container's facts, as the engine tells them, say about its health."""

from __future__ import annotations

from typing import Any

from infra.drivers.docker import compose

UNHEALTHY_GRACE_SECONDS = 60.0
"""Seconds that a container may be unhealthy: a node that was away is missed by those that were not."""

MAX_RESTARTS = 3
"""More of them, and a container won't come up by itself."""

RESTARTING_SECONDS = 8.0
"""A container that waits that long for its next start has failed many times."""


def is_healthy(facts: dict[str, Any]) -> bool:
    """Whether it runs and, where it is checked, was found well."""
    checked = "Health" in facts["State"]
    return status(facts) == "healthy" or (not checked and status(facts) != "stopped")


def has_failed(facts: dict[str, Any], seconds: float, restarts: int) -> bool:
    """Whether one that hasn't been healthy for so long, and restarted so often meanwhile, is given up."""
    if facts["State"]["Status"] == "exited" or restarts >= MAX_RESTARTS:
        return True
    if is_restarting(facts):
        return seconds > RESTARTING_SECONDS
    return status(facts) == "unhealthy" and seconds > UNHEALTHY_GRACE_SECONDS


def status(facts: dict[str, Any]) -> str:
    """healthy, unhealthy, starting, restarting or stopped; nothing where it isn't checked."""
    if is_restarting(facts):
        return "restarting"
    return str(facts["State"].get("Health", {}).get("Status", "")) if facts["State"]["Running"] else "stopped"


def is_restarting(facts: dict[str, Any]) -> bool:
    """Whether its program ended and the engine waits before it starts it again; it has no address meanwhile."""
    return bool(facts["State"]["Restarting"])


def can_recreate(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether nothing can be lost by a new container; one that fails to start keeps its log, which says why."""
    lost = facts["State"]["Running"] and not is_restarting(facts) and not _has_address(facts, wanted)
    return lost or (is_outdated(facts, wanted) and status(facts) != "healthy")


def is_outdated(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return bool(facts["Config"]["Labels"].get(compose.DEFINITION) != wanted["labels"][compose.DEFINITION])


def _has_address(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    addresses = [network["IPAddress"] for network in facts["NetworkSettings"]["Networks"].values()]
    expected = wanted.get("networks", {}).get("default", {}).get("ipv4_address")
    return expected in addresses if expected else bool(addresses)


def problem(facts: dict[str, Any] | None, wanted: dict[str, Any]) -> str | None:
    """What is wrong with it, or None."""
    if facts is None:
        return "its container is gone"
    if (health := status(facts)) in ("stopped", "unhealthy", "restarting"):
        return f"it is {health}"
    if not _has_address(facts, wanted):
        return "it isn't in its network"
    if facts["HostConfig"]["Memory"] != wanted["mem_limit"]:
        return "its memory limit was changed"
    return "it was made of another definition" if is_outdated(facts, wanted) else None
