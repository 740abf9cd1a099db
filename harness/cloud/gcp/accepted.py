"""The 42 configurations that the real provider previewed without a warning; the 43rd was rejected by our own rules."""

from __future__ import annotations

from harness.cloud.config_strategies import Configuration
from harness.cloud.gcp.configurations import BACKUP, KEY, MEMBERS, SHARED

POLICY = "projects/host-project/locations/europe-west3/serviceConnectionPolicies/theirs"
POOL = "projects/my-project/locations/europe-west3/caPools/valkey"
FAR = "projects/my-project/locations/us-east1/instances/valkey-far"
AUTHORITY = "authority.pem"
"""A file in the project, with certificates."""

_OWN = {name: value.replace("host-project", "my-project") for name, value in SHARED.items()}
_OPEN: Configuration = {"gcp.auth": "none", "gcp.tls": "false"}

ACCEPTED: dict[str, Configuration] = {
    "single": {"workload": "cache"},
    "single with members": MEMBERS,
    "replicated": {"topology": "replicated"},
    "replicated, 5 replicas": {"topology": "replicated", "replicas": "5"},
    "cluster": {"topology": "cluster"},
    "cluster, 5 shards and 2 replicas": {"topology": "cluster", "shards": "5", "replicas": "2", "workload": "queue"},
    "cluster in prod": {
        "topology": "cluster",
        "environment": "prod",
        "memory": "30gb",
        "gcp.labels": "team=web,cost=12",
        "gcp.alertEmails": "ops@example.org",
    }
    | MEMBERS,
    "single in prod": {"environment": "prod"},
    "small network of its own": {"gcp.subnetCidr": "10.9.0.0/29"},
    "shared VPC": SHARED,
    "shared VPC with a limit": SHARED | {"gcp.connectionLimit": "4"},
    "network of the same project": _OWN,
    "existing policy": {"gcp.network": SHARED["gcp.network"], "gcp.connectionPolicy": POLICY},
    "no TLS": _OPEN,
    "TLS without a login": {"gcp.auth": "none"},
    "shared authority": {"gcp.serverCa": "shared", "gcp.caFile": AUTHORITY},
    "customer's authority": {"gcp.serverCa": "customer", "gcp.caFile": AUTHORITY, "gcp.caPool": POOL},
    "IAM without ACL": {"gcp.acl": "false", "gcp.appMembers": MEMBERS["gcp.appMembers"]},
    "three files of two buckets": {"restoreFrom": "gs://dumps/a.rdb,gs://dumps/b.rdb,gs://others/c.rdb"},
    "managed backup": {"restoreFrom": BACKUP},
    "window at midnight": {"gcp.maintenanceWindow": "sun:00:00"},
    "window on Saturday": {"gcp.maintenanceWindow": "sat:05:00"},
    "first hour of backups": {"gcp.backupHour": "1"},
    "last hour of backups": {"gcp.backupHour": "23", "gcp.backupDays": "365"},
    "append-only file": {"gcp.persistence": "aof"},
    "no persistence": {"workload": "cache", "gcp.persistence": "disabled"},
    "one zone": {"gcp.zone": "europe-west3-a"},
    "HIGHCPU_MEDIUM": {"gcp.nodeType": "HIGHCPU_MEDIUM"},
    "SHARED_CORE_NANO cluster": {"topology": "cluster", "gcp.nodeType": "SHARED_CORE_NANO"},
    "protected in dev": {"gcp.deletionProtection": "true"},
    "unprotected in prod": {"environment": "prod", "gcp.deletionProtection": "false"},
    "own key": {"gcp.kmsKey": KEY},
    "addresses and a channel": {
        "workload": "mixed",
        "gcp.alertEmails": "ops@example.org,night@example.org",
        "gcp.alertChannels": "projects/my-project/notificationChannels/12345",
    },
    "secondary": {"gcp.replicationRole": "secondary", "gcp.primaryInstance": FAR},
    "primary": {"gcp.replicationRole": "primary", "gcp.secondaryInstances": FAR},
    "detached": {"gcp.replicationRole": "none"},
    "version 7.2": {"version": "7.2"},
    "version 8.0": {"version": "8.0"},
    "version 9.1": {"version": "9.1"},
    "APIs left alone": {"gcp.enableApis": "false"},
    "cluster of 2 TB": {"topology": "cluster", "memory": "60gb", "shards": "34"},
    "single with 60 GB": {"memory": "60gb"},
}
"""The hour of backups was 0, which is rejected now."""

REJECTED: Configuration = {"topology": "replicated", "replicas": "0"}
