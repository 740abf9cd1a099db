"""Memorystore's locations, versions and limits."""

from __future__ import annotations

LOCATIONS = (
    *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3"),
    *("asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "asia-southeast3"),
    *("australia-southeast1", "australia-southeast2", "europe-central2", "europe-north1", "europe-southwest1"),
    *("europe-west1", "europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8"),
    *("europe-west9", "europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1"),
    *("northamerica-northeast1", "northamerica-northeast2", "southamerica-east1", "us-central1", "us-east1"),
    *("us-east4", "us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4"),
)
"""Regions that have Memorystore for Valkey ("Memorystore for Valkey locations")."""

VERSIONS = {"7.2": "VALKEY_7_2", "8.0": "VALKEY_8_0", "9.0": "VALKEY_9_0", "9.1": "VALKEY_9_1"}
"""The API's name of each version ("Supported versions")."""

PREVIEW_VERSIONS = ("9.1",)
"""Not covered by Google's service level agreement."""

MAX_INSTANCE_NODES = 250
"""Of one instance, replicas included ("Instance and node specification")."""

PORT = 6379
"""Of every endpoint; Memorystore does not let it be chosen."""

NODE_PORTS = (11000, 13047)
"""First and last port of the nodes behind a cluster's discovery endpoint ("Networking")."""

MEMBER_KEYS = {"app": "appMembers", "admin": "adminMembers", "monitor": "monitorMembers"}
"""The key with the members of each role."""
