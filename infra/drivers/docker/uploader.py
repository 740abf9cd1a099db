"""The uploader: copies complete backups to an S3-compatible service."""

from __future__ import annotations

from typing import Any

from infra.drivers.docker.deployment_files import HOME
from infra.drivers.docker.plan import DeploymentPlan, Upload

BACKUP = "/backup"

MEMORY_BYTES = 256 * 1024**2
"""Bytes: the program needs 60 MB, and buffers the parts that it sends."""

_METRICS_PATH = "/metrics.txt"
"""By this ending, it is served as the plain text that Prometheus expects."""


def service(plan: DeploymentPlan, upload: Upload, backups: str, helper: dict[str, Any]) -> dict[str, Any]:
    """The uploader's service, healthy while the last copy succeeded.

    backups: the volume or folder with the backups.
    helper: the settings of all small containers.
    """
    port = plan.uploader_port
    return {
        **helper,
        "image": upload.image,
        "entrypoint": ["sh"],
        "command": [f"{HOME}/bin/upload", f"{BACKUP}/{plan.project}", upload.bucket, *([str(port)] if port else [])],
        "pids_limit": 64,  # it serves its metrics while it copies
        **({"ports": [plan.published(port)]} if port else {}),
        "volumes": [f"{backups}:{BACKUP}:ro"],
        "healthcheck": {
            "test": ["CMD", "test", "-f", "/tmp/ok"],  # noqa: S108  (a tmpfs of the container's own)
            "interval": "5s",
        },
    }


def targets(plan: DeploymentPlan) -> list[dict[str, Any]]:
    """Where Prometheus reads the uploader's metrics; it serves them itself, without the exporter."""
    if not plan.uploader_port:
        return []
    address = f"{plan.host}:{plan.uploader_port}"
    labels = {
        "stack": plan.stack_name,
        "node": "uploader",
        "kind": "uploader",
        "exporter": address,
        "__metrics_path__": _METRICS_PATH,
    }
    return [{"targets": [address], "labels": labels}]
