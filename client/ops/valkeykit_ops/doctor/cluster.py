"""Cluster checks: slots without a primary, failed nodes, and slots whose move did not finish."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from valkeykit_ops.cluster_nodes import SLOTS, ClusterMember, OpenSlot, count, shown, uncovered
from valkeykit_ops.doctor import error_findings
from valkeykit_ops.doctor.finding import LIKELY, NOTE, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target

LISTED_SLOTS = 20
"""Maximum number of open slots that a fix names."""


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about the cluster as this node sees it."""
    if not snapshot.cluster:
        return []
    return [
        *_slots(snapshot, target),
        *_failed(snapshot, target),
        *_without_replica(snapshot, target),
        *_cross_slot(snapshot, target),
    ]


def _slots(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Slots that no node serves. They are a problem even if the other slots can be used."""
    if not snapshot.members:
        return _counted(snapshot, target)
    results = []
    unassigned = uncovered(snapshot.members)
    if unassigned:
        what = f"{count(unassigned):,} slots are not assigned: {shown(unassigned)}"
        results.append(replace(_down(what, snapshot, target), fix=_assign(snapshot, target, unassigned)))
    failed = [one for one in snapshot.members if one.has_failed and one.slots]
    for member in failed:
        what = f"{count(member.slots):,} slots have no primary: {member.node} has failed ({shown(member.slots)})"
        successor = next(iter(_replicas(snapshot.members, member)), None)
        shown_finding = _down(what, snapshot, target)
        if successor is None:
            why = f"{shown_finding.why}, until {member.node} is started again; it has no replica"
            results.append(replace(shown_finding, why=why))
        else:
            fix = target.cli(successor.node, "CLUSTER", "FAILOVER", "TAKEOVER")
            results.append(replace(shown_finding, fix=fix))
    if not results and snapshot.cluster.get("cluster_state") != "ok":
        results.append(
            _down("the node reports cluster_state:fail, although every slot has a primary", snapshot, target)
        )
    return results


def _counted(snapshot: Snapshot, target: Target) -> list[Finding]:
    """From CLUSTER INFO, without the names of the nodes."""
    assigned, failed = (int(snapshot.cluster.get(f"cluster_slots_{name}", 0)) for name in ("assigned", "fail"))
    if snapshot.cluster.get("cluster_state") == "ok" and assigned == SLOTS and not failed:
        return []
    what = f"{SLOTS - assigned:,} slots are not assigned, {failed:,} belong to failed nodes"
    return [_down(what, snapshot, target)]


def _down(what: str, snapshot: Snapshot, target: Target) -> Finding:
    is_partial = snapshot.cluster.get("cluster_state") == "ok"
    finding = error_findings.from_name("cluster-down", what, target, snapshot.node)
    return replace(finding, why="keys in these slots fail" if is_partial else "all keys fail")


def _assign(snapshot: Snapshot, target: Target, ranges: Sequence[tuple[int, int]]) -> str:
    """Assign slots to this node. Redis 6.2 takes no ranges."""
    if snapshot.version >= (7, 0):
        return target.cli(snapshot.node, "CLUSTER", "ADDSLOTSRANGE", *(str(slot) for one in ranges for slot in one))
    numbers = " ".join(f"$(seq {first} {last})" for first, last in ranges)
    return f"{target.cli(snapshot.node, 'CLUSTER', 'ADDSLOTS')} {numbers}"


def _failed(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Failed nodes without slots: replicas, and primaries that were replaced."""
    results = []
    primaries = {one.identity: one.node for one in snapshot.members}
    for member in snapshot.members:
        if not member.has_failed or member.slots:
            continue
        primary = primaries.get(member.primary or "")
        role = f"replica {member.node} of {primary}" if primary else f"node {member.node}"
        results.append(
            Finding(
                "topology",
                WARNING,
                "node-failed",
                f"the {role} has failed",
                "there is one node less to fail over to; start it again, or remove it from the cluster",
                _forget(member, snapshot, target),
                node=str(snapshot.node),
            )
        )
    return results


def _forget(member: ClusterMember, snapshot: Snapshot, target: Target) -> str:
    """Every node must forget it within a minute, else it is added again."""
    others = sorted((one for one in snapshot.members if not one.has_failed), key=lambda one: str(one.node))
    return " && ".join(target.cli(one.node, "CLUSTER", "FORGET", member.identity) for one in others)


def _without_replica(snapshot: Snapshot, target: Target) -> list[Finding]:
    without = [
        str(one.node) for one in snapshot.members
        if one.slots and not one.has_failed and not _replicas(snapshot.members, one)
    ]  # fmt: skip
    if not without:
        return []
    return [
        Finding(
            "topology",
            NOTE,
            "no-replica",
            f"primaries without a replica: {', '.join(without)}",
            "if one fails, its keys are not available until it is started again",
            target.cli(snapshot.node, "CLUSTER", "NODES"),
            node=str(snapshot.node),
        )
    ]


def _replicas(members: Sequence[ClusterMember], primary: ClusterMember) -> list[ClusterMember]:
    return [one for one in members if one.primary == primary.identity and not one.has_failed]


def _cross_slot(snapshot: Snapshot, target: Target) -> list[Finding]:
    crossed = snapshot.errors("CROSSSLOT")
    if not crossed:
        return []
    what = f"clients sent {crossed:,} commands whose keys are in different slots"
    return [replace(error_findings.from_name("cross-slot", what, target, snapshot.node), severity=WARNING)]


def open_slots(snapshots: Sequence[Snapshot], target: Target) -> list[Finding]:
    """Findings about slots that are being moved, from the snapshots of all nodes.

    A node that moves slots reports the same as one whose move was interrupted. Replicas repeat their primary's marks.
    """
    ends: defaultdict[int, list[tuple[Snapshot, OpenSlot]]] = defaultdict(list)
    for snapshot in snapshots:
        for one in snapshot.open_slots if snapshot.role == "master" else ():
            ends[one.slot].append((snapshot, one))
    if not ends:
        return []
    slots = sorted(ends)[:LISTED_SLOTS]
    more = f" and {len(ends) - LISTED_SLOTS:,} more" if len(ends) > LISTED_SLOTS else ""
    fixes = [command for slot in slots for command in _slot_fixes(slot, ends[slot], target)]
    return [
        Finding(
            "topology",
            WARNING,
            "open-slot",
            f"slots are being moved: {', '.join(map(str, slots))}{more}",
            "commands with several keys of such a slot fail; if no resharding is running, it was interrupted",
            " && ".join(fixes),
            LIKELY,
            ", ".join(dict.fromkeys(str(snapshot.node) for slot in slots for snapshot, _ in ends[slot])),
        )
    ]


def _slot_fixes(slot: int, ends: list[tuple[Snapshot, OpenSlot]], target: Target) -> list[str]:
    """Complete the move if only the importing node has keys, cancel it if it has none, else show the keys."""
    importing = next(((snapshot, snapshot.open_slots[one]) for snapshot, one in ends if not one.is_source), None)
    migrating = next(((snapshot, snapshot.open_slots[one]) for snapshot, one in ends if one.is_source), None)
    if importing is None or importing[1] == 0:
        return [target.cli(snapshot.node, "CLUSTER", "SETSLOT", str(slot), "STABLE") for snapshot, _ in ends]
    if migrating is not None and migrating[1] == 0:
        owner = importing[0].identity
        return [
            target.cli(snapshot.node, "CLUSTER", "SETSLOT", str(slot), "NODE", owner)
            for snapshot in (importing[0], migrating[0])
        ]
    return [target.cli(snapshot.node, "CLUSTER", "GETKEYSINSLOT", str(slot), "10") for snapshot, _ in ends]
