"""Configurations of the gcp target: the smallest, and one of each topology."""

from __future__ import annotations

from harness.cloud.config_strategies import Configuration

MINIMAL: Configuration = {
    "target": "gcp",
    "version": "9.0",
    "gcp.project": "my-project",
    "gcp.location": "europe-west3",
}

SHARED: Configuration = {
    "gcp.network": "projects/host-project/global/networks/shared",
    "gcp.subnetworks": "projects/host-project/regions/europe-west3/subnetworks/a",
}
"""A network of another project."""

APPS, BATCH = "projects/my-project/global/networks/apps", "projects/batch-project/global/networks/batch"
FURTHER: Configuration = {
    "gcp.endpointNetworks": f"{APPS}=projects/my-project/regions/europe-west3/subnetworks/apps,"
    f"{BATCH}=projects/batch-project/regions/europe-west3/subnetworks/batch"
}
"""Clients in two further networks."""

MEMBERS: Configuration = {
    "gcp.appMembers": "serviceAccount:app@my-project.iam.gserviceaccount.com,user:bob@example.org",
    "gcp.adminMembers": "user:ada@example.org",
    "gcp.monitorMembers": "serviceAccount:monitor@my-project.iam.gserviceaccount.com",
}

BACKUP = "projects/my-project/locations/europe-west3/backupCollections/a/backups/b"
KEY = "projects/my-project/locations/europe-west3/keyRings/data/cryptoKeys/valkey"

TOPOLOGIES: dict[str, Configuration] = {
    "single": {},
    "replicated": {"topology": "replicated", "workload": "mixed"} | MEMBERS,
    "cluster": {"topology": "cluster", "workload": "queue", "memory": "10gb"} | SHARED,
    "open": {"gcp.auth": "none", "gcp.tls": "false", "gcp.zone": "europe-west3-a"},
    "everything": {
        "topology": "cluster",
        "environment": "prod",
        "memory": "10gb",
        "shards": "20",
        "replicas": "5",
        "gcp.kmsKey": KEY,
        "restoreFrom": "gs://dumps/a.rdb,gs://dumps/b.rdb",
        "gcp.alertEmails": "ops@example.org,night@example.org",
        "gcp.alertChannels": "projects/my-project/notificationChannels/12345",
        "gcp.backupDays": "365",
        "gcp.labels": "team=web,cost=12",
        "gcp.replicationRole": "primary",
        "gcp.secondaryInstances": "projects/my-project/locations/us-east1/instances/valkey-far",
        "gcp.connectionLimit": "4",
    }
    | MEMBERS
    | SHARED,
    "secondary": {
        "gcp.replicationRole": "secondary",
        "gcp.primaryInstance": "projects/my-project/locations/us-east1/instances/valkey-main",
    },
    "further networks": {"topology": "replicated"} | FURTHER,
    "restored": {"restoreFrom": BACKUP},
}
