"""The compose file of a deployment: every service extends one of container/services.yaml."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from infra.drivers.docker import deployment_files, exporter, uploader
from infra.drivers.docker.plan import DeploymentPlan
from infra.drivers.topology.node_executor import NodeAddress
from infra.engine_parameters import SELF_HOSTED
from infra.hardening import DIRECTIVES, topology_directives
from infra.yaml_writer import to_yaml

DEFINITION = "valkey.definition"
"""The label with a digest of a container's definition: compose doesn't notice changes of mounted files."""

STACK = "valkey.stack"
PURPOSE = "valkey.purpose"
"""The label with the purpose of a container or a volume."""

PROJECT = "com.docker.compose.project"
"""Compose's own label, on all objects that it creates."""

DEPLOYMENT = "valkey.deployment"
"""The label with the compose project, on objects that compose doesn't create."""

KEEPER = "keeper"
CONF = "conf"
BACKUPS = "backups"
"""A volume that outlives the deployment."""

SENTINEL_MEMORY_BYTES = HELPER_MEMORY_BYTES = 64 * 1024**2

Service = dict[str, Any]


def render(plan: DeploymentPlan, conf: str | None = None) -> dict[str, Any]:
    """The compose file.

    conf: the folder with the files; None if they are in a volume.
    """
    services = {
        **{node.name: _node(plan, node) for node in plan.nodes},
        **{sentinel.name: _sentinel(plan, sentinel) for sentinel in plan.sentinels},
        **({KEEPER: _keeper(plan)} if plan.topology == "cluster" else {}),
        **({"backup": _backup(plan)} if plan.backups.is_scheduled else {}),
        **({"uploader": _uploader(plan)} if plan.has_uploader else {}),
        **({"exporter": exporter.service(plan, _helper())} if plan.exporter else {}),
    }
    mount = f"{conf or CONF}:{deployment_files.HOME}:ro"
    for name, service in services.items():
        service.setdefault("image", plan.image)
        service["volumes"] = [mount, *service.get("volumes", [])]
        purpose = name.rpartition("-")[0] or name
        service["labels"] = {STACK: plan.stack, PURPOSE: purpose, DEFINITION: _definition(plan, name, service)}
    volumes = [member.name for member in (*plan.nodes, *plan.sentinels)]
    return {
        "name": plan.project,
        "services": services,
        "networks": {"default": _network(plan)},
        "volumes": {
            **{name: {"labels": {STACK: plan.stack}} for name in volumes},
            **({} if conf else {CONF: {"external": True, "name": f"{plan.project}_{CONF}"}}),
            **({BACKUPS: {"external": True, "name": f"{plan.project}_{BACKUPS}"}} if keeps_backups(plan) else {}),
        },
    }


def labels(stack: str, project: str, purpose: str) -> list[str]:
    """Label options of docker for objects that compose doesn't create."""
    pairs = {STACK: stack, DEPLOYMENT: project, PURPOSE: purpose}
    return [word for name, value in pairs.items() for word in ("--label", f"{name}={value}")]


def to_text(project: Mapping[str, Any]) -> str:
    """The file's text; with `$` escaped."""
    return to_yaml(project).replace("$", "$$")


def keeps_backups(plan: DeploymentPlan) -> bool:
    """Whether backups are in a volume, not in a folder of the engine's machine."""
    return plan.backups.is_scheduled and not plan.backups.folder


def _node(plan: DeploymentPlan, node: NodeAddress) -> Service:
    return {
        **_server(plan, node),
        "command": ["sh", f"{deployment_files.HOME}/bin/start-node", plan.topology, plan.project, node.name],
        **_memory(plan.memory_limit),
    }


def _sentinel(plan: DeploymentPlan, sentinel: NodeAddress) -> Service:
    command = ["sh", f"{deployment_files.HOME}/bin/start-sentinel", sentinel.name]
    server = _server(plan, sentinel)
    healthcheck = {**server["healthcheck"], "start_period": "60s"}  # it has no data to load
    return {**server, "command": command, "healthcheck": healthcheck, **_memory(SENTINEL_MEMORY_BYTES)}


def _server(plan: DeploymentPlan, member: NodeAddress) -> Service:
    return {
        **_extends("node"),
        "hostname": member.name,
        "ports": [plan.published(member.port)],
        "networks": {"default": {"ipv4_address": member.host}},
        "volumes": [f"{member.name}:/data"],
        "healthcheck": {"test": ["CMD", "sh", f"{deployment_files.HOME}/bin/healthy", str(member.port)]},
    }


def _keeper(plan: DeploymentPlan) -> Service:
    """Forms the cluster; healthy when every slot is served, which `up --wait` waits for."""
    return {
        **_extends("helper"),
        "command": ["sh", f"{deployment_files.HOME}/bin/keep-cluster"],
        "pids_limit": 64,  # it queries several nodes at once
        **_memory(HELPER_MEMORY_BYTES),
        "healthcheck": {
            "test": ["CMD", "test", "-f", "/tmp/ok"],  # noqa: S108  (a tmpfs of the container's own)
            "interval": "5s",
            "start_period": "5m",
        },
        "depends_on": {node.name: {"condition": "service_started"} for node in plan.nodes},
    }


def _backup(plan: DeploymentPlan) -> Service:
    """Takes and verifies snapshots of every primary, so it may need as much memory as a node."""
    return {
        **_extends("helper"),
        "command": ["sh", f"{deployment_files.HOME}/bin/backup", str(plan.backups.interval), str(plan.backups.keep)],
        "working_dir": f"/backup/{plan.project}",
        **_memory(plan.memory_limit),
        "volumes": [f"{plan.backups.folder or BACKUPS}:/backup"],
        "healthcheck": {"test": ["CMD", "test", "-f", "/tmp/ok"], "interval": "5s"},  # noqa: S108  (as above)
        "depends_on": {node.name: {"condition": "service_healthy"} for node in plan.nodes},
    }


def _uploader(plan: DeploymentPlan) -> Service:
    helper = {**_helper(), **_memory(uploader.MEMORY_BYTES)}
    return uploader.service(plan, plan.upload, plan.backups.folder or BACKUPS, helper)


def _helper() -> Service:
    return {**_extends("helper"), **_memory(HELPER_MEMORY_BYTES)}


def _extends(template: str) -> Service:
    return {"extends": {"file": deployment_files.SERVICES.name, "service": template}}


def _memory(limit: int) -> Service:
    return {"mem_limit": limit, "memswap_limit": limit}


def _network(plan: DeploymentPlan) -> dict[str, Any]:
    subnet = ipaddress.ip_network(plan.subnet)
    _, dynamic = subnet.subnets(prefixlen_diff=1)  # containers without a fixed address get one of the upper half
    return {
        "labels": {STACK: plan.stack},
        "ipam": {"config": [{"subnet": str(subnet), "ip_range": str(dynamic)}]},
    }


def _definition(plan: DeploymentPlan, name: str, service: Service) -> str:
    """A digest of the settings that only a new container, or a restart, can change."""
    nodes = {node.name: node for node in plan.nodes}
    directives = {**plan.directives, **topology_directives(plan.topology, plan.replicas)}
    live = {directive.name for directive in DIRECTIVES if directive.live} | {"maxmemory"} | _LIVE_OF_TOPOLOGY
    fixed = {
        # Only a restart restores the default of a parameter that was removed, so the name is part of it.
        directive: "live" if directive in _LIVE_PARAMETERS else value
        for directive, value in directives.items()
        if directive not in live
    }
    limits = ("mem_limit", "memswap_limit")  # the engine changes them while the container runs
    lasting = {key: value for key, value in service.items() if key not in limits}
    scripts = deployment_files.scripts()
    read_at_start = {
        "sentinel": plan.certificate,
        "exporter": plan.certificate + plan.login,
        "uploader": plan.bucket + plan.certificate + scripts["upload"],
        "backup": scripts["backup"],
        KEEPER: scripts["keep-cluster"] + scripts["plan-cluster"],
    }
    parts = [
        lasting,
        read_at_start.get(name.partition("-")[0], ""),
        deployment_files.SERVICES.read_text(),
        fixed,
        deployment_files.fixed(plan, nodes[name]) if name in nodes else {},
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


_LIVE_PARAMETERS = {name for name, entry in SELF_HOSTED.items() if entry.live}

_LIVE_OF_TOPOLOGY = {
    *topology_directives("replicated", 1),
    *topology_directives("cluster", 1),
} - {"cluster-enabled", "cluster-config-file", "repl-diskless-sync-delay"}
