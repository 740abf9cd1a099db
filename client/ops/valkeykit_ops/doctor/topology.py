"""Topology checks: whether the URL matches the server, and whether all announced nodes are reachable."""

from __future__ import annotations

from dataclasses import replace

from valkeykit.url import Node

from valkeykit_ops.doctor import cluster, error_findings, shell_commands
from valkeykit_ops.doctor.finding import LIKELY, NOTE, PROBLEM, WARNING, Finding
from valkeykit_ops.doctor.snapshot import Snapshot
from valkeykit_ops.doctor.target import Target


def findings(snapshot: Snapshot, target: Target) -> list[Finding]:
    """Findings about differences between the URL and the server's role and mode."""
    if not snapshot.info:
        return []
    url_topology, node = target.address.topology, snapshot.node
    if snapshot.mode == "sentinel" and url_topology != "sentinel":
        return [_sentinel(snapshot, target)]
    if snapshot.mode == "cluster":
        return [*_client_of_cluster(url_topology, target, node), *cluster.findings(snapshot, target)]
    if url_topology == "cluster":
        what = "the server is a single node, but the URL says cluster"
        return [error_findings.from_name("single-met-by-cluster", what, target, node)]
    if snapshot.role == "slave" and url_topology in (None, "single") and node in target.address.nodes:
        primary = Node(str(snapshot.info.get("master_host")), int(snapshot.number("master_port")))
        what = f"the URL points to a replica; its primary is {primary}"
        shown = error_findings.from_name("replica-written", what, target, node)
        return [replace(shown, fix=target.at_host(primary))]
    return []


def _sentinel(snapshot: Snapshot, target: Target) -> Finding:
    return Finding(
        "topology",
        PROBLEM,
        "sentinel-port",
        "the port belongs to a Sentinel, which has no data",
        "it does not support application commands",
        target.edit_url(shell_commands.AS_SENTINEL),
        node=str(snapshot.node),
    )


def _client_of_cluster(url_topology: str | None, target: Target, node: Node) -> list[Finding]:
    if url_topology == "cluster":
        return []
    says = f"says {url_topology}" if url_topology else "does not say so: valkeykit detects it, other clients may not"
    what = f"the server is a cluster node, but the URL {says}"
    shown = error_findings.from_name("cluster-met-by-single", what, target, node)
    return [replace(shown, severity=PROBLEM if url_topology else WARNING)]


def unreachable(snapshot: Snapshot, target: Target, unreachable_nodes: list[Node]) -> list[Finding]:
    """Findings about announced nodes that are unreachable, for example behind NAT; failed nodes have their own."""
    is_cluster = snapshot.mode == "cluster"
    failed = {one.node for one in snapshot.members if one.has_failed}
    setting = "cluster-announce-ip" if is_cluster else "replica-announce-ip"
    return [
        Finding(
            "topology",
            PROBLEM if is_cluster else NOTE,
            "announced-unreachable",
            f"the server announces {node}, which is unreachable from here",
            "clients that are redirected there fail; the address belongs to another network, or the node is down",
            target.cli(snapshot.node, "CONFIG", "SET", setting, snapshot.node.host),
            LIKELY,
            str(snapshot.node),
        )
        for node in unreachable_nodes
        if node not in failed
    ]
