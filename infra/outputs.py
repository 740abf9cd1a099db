"""The names of the stack's outputs, which applications and operators read."""

from __future__ import annotations

SCHEMA_VERSION = "schemaVersion"
ENDPOINT = "endpoint"
ENV = "env"

DETAILS = "details"
"""Of a component: the outputs of its target."""

URLS = {"app": "url", "admin": "adminUrl", "monitor": "monitorUrl"}
"""The URL of each user."""

URL, ADMIN_URL, MONITOR_URL = URLS.values()

USER_URLS = "userUrls"
"""The URLs of users of single applications, by name."""

FIREWALL = "firewall"
PROMETHEUS_TARGETS = "prometheusTargets"
SENTINELS = "sentinels"
"""Of the docker target."""

AWS, GCP = "aws", "gcp"
CLOUDS = (AWS, GCP)
"""One output for each cloud target, a map with its names and addresses."""

PENDING_UPDATES = "pendingUpdates"
"""In a cloud's map: the updates that are still needed for the configuration, since the service makes one at a time."""

STAGED_UPDATES = "VALKEY_STAGED_UPDATES"
"""The environment variable with which an update makes the first of several; `make up` repeats it until none is left."""
