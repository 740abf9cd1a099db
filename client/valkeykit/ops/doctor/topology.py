"""Does the client fit the server, and can every node that the server names be reached?"""

from __future__ import annotations

from dataclasses import replace

from valkeykit.ops.doctor import causes
from valkeykit.ops.doctor.finding import LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit.ops.doctor.probe import Snapshot
from valkeykit.ops.doctor.target import Target
from valkeykit.url import Node

SLOTS = 16_384


def findings(seen: Snapshot, target: Target) -> list[Finding]:
    """The role and the mode against what the URL says."""
    if not seen.info:
        return []
    said, node = target.address.topology, seen.node
    if seen.mode == "sentinel" and said != "sentinel":
        return [_sentinel(seen)]
    if seen.mode == "cluster":
        return [*_client_of_cluster(said, target, node), *_cluster(seen, target)]
    if said == "cluster":
        what = "the server is a single node, and the URL says cluster"
        return [causes.found("single-met-by-cluster", what, target, node)]
    if seen.role == "slave" and said in (None, "single"):
        primary = Node(str(seen.info.get("master_host")), int(seen.number("master_port")))
        what = f"the URL names a replica; its primary is {primary}"
        shown = causes.found("replica-written", what, target, node)
        return [replace(shown, fix=target.cli(primary, "ROLE"))]
    return []


def _sentinel(seen: Snapshot) -> Finding:
    return Finding(
        "topology", PROBLEM, "sentinel-port", "a Sentinel answers at this port, which holds no data",
        "commands of an application are unknown to it", causes.AS_SENTINEL, node=str(seen.node),
    )  # fmt: skip


def _client_of_cluster(said: str | None, target: Target, node: Node) -> list[Finding]:
    if said == "cluster":
        return []
    says = f"says {said}" if said else "doesn't say so: valkeykit asks, other clients don't"
    what = f"the server is a node of a cluster, and the URL {says}"
    shown = causes.found("cluster-met-by-single", what, target, node)
    return [replace(shown, severity=PROBLEM if said else WARNING)]


def _cluster(seen: Snapshot, target: Target) -> list[Finding]:
    if not seen.cluster:
        return []
    found = []
    node = seen.node
    assigned, failed = (int(seen.cluster.get(f"cluster_slots_{name}", 0)) for name in ("assigned", "fail"))
    if seen.cluster.get("cluster_state") != "ok":
        what = f"the cluster is down: {SLOTS - assigned} slots are nobody's, {failed} are a dead node's"
        shown = causes.found("cluster-down", what, target, node)
        fix = f"valkey-cli --cluster fix {node}" if assigned < SLOTS else shown.fix
        found.append(replace(shown, fix=fix))
    elif assigned < SLOTS:
        found.append(causes.found("cluster-down", f"{SLOTS - assigned} slots are nobody's", target, node))
    crossed = _refusals(seen, "CROSSSLOT")
    if crossed:
        what = f"clients have sent {crossed:,} commands whose keys live on different nodes"
        shown = causes.found("cross-slot", what, target, node)
        found.append(replace(shown, severity=WARNING))
    return found


def _refusals(seen: Snapshot, code: str) -> int:
    """How often a command was refused so, since the server's start."""
    entry = seen.info.get(f"errorstat_{code}", {})
    return int(entry.get("count", 0)) if isinstance(entry, dict) else 0


def unreachable(seen: Snapshot, target: Target, missed: list[Node]) -> list[Finding]:
    """Announced, and not to be had from here: addresses of a container's or a private network, behind NAT."""
    is_cluster = seen.mode == "cluster"
    setting = "cluster-announce-ip" if is_cluster else "replica-announce-ip"
    return [
        Finding(
            "topology", PROBLEM if is_cluster else NOTE, "announced-unreachable",
            f"the server names {node}, which can't be reached from here",
            "a client that is sent there fails; the address is one of another network, or the node is down",
            target.cli(seen.node, "CONFIG", "SET", setting, seen.node.host), LIKELY, str(seen.node),
        )
        for node in missed
    ]  # fmt: skip
