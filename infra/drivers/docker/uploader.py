"""The uploader: copies complete backups to an S3-compatible service."""

from __future__ import annotations

from typing import Any

from infra.drivers.docker.deployment_files import HOME
from infra.drivers.docker.plan import DeploymentPlan, Upload

BACKUP = "/backup"

MEMORY_BYTES = 256 * 1024**2
"""Bytes: the program needs 60 MB, and buffers the parts that it sends."""


def service(plan: DeploymentPlan, upload: Upload, backups: str, helper: dict[str, Any]) -> dict[str, Any]:
    """The uploader's service, healthy while the last copy succeeded.

    backups: the volume or folder with the backups.
    helper: the settings of all small containers.
    """
    return {
        **helper,
        "image": upload.image,
        "entrypoint": ["sh"],
        "command": [f"{HOME}/bin/upload", f"{BACKUP}/{plan.project}", upload.bucket],
        "volumes": [f"{backups}:{BACKUP}:ro"],
        "healthcheck": {
            "test": ["CMD", "test", "-f", "/tmp/ok"],  # noqa: S108  (a tmpfs of the container's own)
            "interval": "5s",
        },
    }
