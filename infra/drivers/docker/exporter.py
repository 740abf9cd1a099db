"""The exporter: metrics of every server for Prometheus, with TLS on both sides."""

from __future__ import annotations

from typing import Any

from infra.drivers.docker import uploader
from infra.drivers.docker.deployment_files import EXPORTER_PASSWORDS, HOME, monitored
from infra.drivers.docker.plan import Backups, DeploymentPlan
from infra.drivers.topology.node_executor import NodeAddress


def service(plan: DeploymentPlan, helper: dict[str, Any]) -> dict[str, Any]:
    """The exporter's service. Its image has no shell for a health check; Prometheus reports if it is down.

    helper: the settings of all small containers.
    """
    options = {
        "web.listen-address": f":{plan.exporter_port}",
        "tls-server-cert-file": f"{HOME}/tls/server.crt",
        "tls-server-key-file": f"{HOME}/tls/server.key",
        "tls-ca-cert-file": f"{HOME}/tls/ca.crt",
        "redis.password-file": f"{HOME}/{EXPORTER_PASSWORDS}",
        "redis.addr": "",  # no default server: Prometheus names one in each request
        "config-command": "-",  # CONFIG GET would expose the replicas' password
        "connection-timeout": "5s",
    }
    return {
        **helper,
        "image": plan.exporter,
        "command": [f"-{name}={value}" for name, value in options.items()],
        "ports": [plan.published(plan.exporter_port)],
    }


def targets(plan: DeploymentPlan) -> list[dict[str, Any]]:
    """Targets for the `file_sd_configs` of Prometheus: each server, with the exporter that queries it; the uploader."""
    shared = {
        "stack": plan.stack_name,
        "policy": plan.directives["maxmemory-policy"],
        "backups": _frequency(plan.backups),
        "exporter": f"{plan.host}:{plan.exporter_port}",
    }
    kinds: list[tuple[str, tuple[NodeAddress, ...]]] = [("node", plan.nodes), ("sentinel", plan.sentinels)]
    servers = [
        {"targets": [monitored(member)], "labels": {**shared, "node": member.name, "kind": kind}}
        for kind, members in kinds
        for member in members
    ]
    return [*servers, *uploader.targets(plan)]


def _frequency(backups: Backups) -> str:
    """How often a backup is due, in the words of the alert: PromQL can't calculate with a label."""
    if not backups.is_scheduled:
        return "none"
    return next((name for name, seconds in _FREQUENCIES.items() if backups.interval <= seconds), "monthly")


_DAY_SECONDS = 86_400
_FREQUENCIES = {"daily": _DAY_SECONDS, "weekly": 7 * _DAY_SECONDS}
