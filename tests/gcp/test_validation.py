"""Bad input: each is refused before anything is registered, with key, value and fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from valkeykit.errors import ConfigurationError

from harness.cloud.config_strategies import Configuration, apply_fixes, load
from harness.cloud.gcp.configurations import APPS, FURTHER, KEY, MEMBERS, MINIMAL, SHARED
from tests.gcp.recorded import DeployedGcp

NETWORK = {"gcp.network": SHARED["gcp.network"]}
PRODUCTION = {"environment": "prod"}
POLICY = "projects/host-project/locations/europe-west3/serviceConnectionPolicies/theirs"
FAR = "projects/my-project/locations/us-east1/instances/valkey-far"

INVALID: list[tuple[Configuration, str, str]] = [
    ({"gcp.project": ""}, "gcp.project is required", "config set --path gcp.project my-project"),
    ({"gcp.project": "My Project"}, "gcp.project is 'My Project'", "gcp.project my-project"),
    ({"gcp.location": ""}, "gcp.location is required", "config set --path gcp.location europe-west3"),
    ({"gcp.location": "mars-1"}, "gcp.location is 'mars-1'", "gcp.location europe-west3"),
    ({"gcp.location": "us-central2"}, "a region with Memorystore for Valkey", "gcp.location europe-west3"),
    ({"version": "8.1"}, "version is 8.1, Memorystore supports 7.2, 8.0, 9.0, 9.1", "config set version 9.0"),
    ({"version": "9.1"} | PRODUCTION, "9.1, a preview on Memorystore", "config set version 9.0"),
    ({"port": "7000"}, "port is 7000, Memorystore always uses 6379", "config set port 0"),
    ({"passwordRotation": "2026-12"}, "log in without passwords", "config rm passwordRotation"),
    ({"topology": "serverless"}, "topology is serverless, which gcp", "config set topology single"),
    ({"shards": "3"}, "only a cluster has several shards", "config set topology cluster"),
    ({"topology": "replicated", "replicas": "6"}, "0 to 5", "config set replicas"),
    (
        {"topology": "cluster", "shards": "251", "replicas": "0"},
        "251 nodes with replicas; the limit is 250",
        "config set shards 250",
    ),
    (
        {"topology": "cluster", "shards": "50", "replicas": "5"},
        "300 nodes with replicas; the limit is 250",
        "config set shards 41",
    ),
    ({"memory": "90gb"}, "memory is 90gb, the largest node type holds 67138mb", "config set memory 67138mb"),
    ({"gcp.nodeType": "HUGE"}, "gcp.nodeType is 'HUGE'", 'gcp.nodeType ""'),
    ({"gcp.nodeType": "CUSTOM_PICO", "memory": "2gb"}, "memory is 2gb", "rm --path gcp.nodeType"),
    ({"gcp.nodeType": "CUSTOM_PICO", "topology": "cluster"}, "a cluster cannot use", "rm --path gcp.nodeType"),
    ({"gcp.nodeType": "SHARED_CORE_NANO"} | PRODUCTION, "no service level", "rm --path gcp.nodeType"),
    ({"gcp.zone": "us-east1-b"}, "isn't in europe-west3", "rm --path gcp.zone"),
    ({"gcp.zone": "europe-west3-a"} | PRODUCTION, "production needs several zones", "rm --path gcp.zone"),
    ({"gcp.network": "default"}, "gcp.network is 'default'", "projects/my-project/global/networks/default"),
    (
        {"gcp.network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/n"},
        "expected projects/PROJECT/global/networks/NAME",
        "gcp.network projects/my-project/global/networks/default",
    ),
    (
        NETWORK,
        "without subnetworks or connectionPolicy",
        "gcp.subnetworks projects/host-project/regions/europe-west3/subnetworks",
    ),
    ({"gcp.subnetworks": SHARED["gcp.subnetworks"]}, "network is empty", "rm --path gcp.subnetworks"),
    (
        NETWORK | {"gcp.subnetworks": "projects/host-project/regions/us-east1/subnetworks/a"},
        "are not all in europe-west3",
        "gcp.subnetworks projects/host-project/regions/europe-west3/subnetworks/default",
    ),
    (
        NETWORK | {"gcp.subnetworks": "projects/my-project/regions/europe-west3/subnetworks/a"},
        "do not all belong to host-project",
        "gcp.subnetworks projects/host-project",
    ),
    (SHARED | {"gcp.subnetCidr": "10.1.0.0/24"}, "the network already exists", "rm --path gcp.subnetCidr"),
    ({"gcp.subnetCidr": "8.8.8.0/24"}, "gcp.subnetCidr is '8.8.8.0/24'", "gcp.subnetCidr 10.61.0.0/24"),
    ({"gcp.subnetCidr": "127.0.0.0/24"}, "a private network", "gcp.subnetCidr 10.61.0.0/24"),
    ({"gcp.subnetCidr": "169.254.0.0/24"}, "a private network", "gcp.subnetCidr 10.61.0.0/24"),
    ({"gcp.subnetCidr": "0.1.0.0/24"}, "a private network", "gcp.subnetCidr 10.61.0.0/24"),
    ({"gcp.subnetCidr": "10.61.0.1/24"}, "a private network", "gcp.subnetCidr 10.61.0.0/24"),
    ({"gcp.subnetCidr": "0.0.0.0/0"}, "a private network", "gcp.subnetCidr 10.61.0.0/24"),
    (
        NETWORK | {"gcp.connectionPolicy": POLICY.replace("europe-west3", "us-east1")},
        "which is not in europe-west3",
        f"gcp.connectionPolicy {POLICY}",
    ),
    (
        NETWORK | {"gcp.connectionPolicy": POLICY.replace("host", "other")},
        "the network belongs to host-project",
        f"gcp.connectionPolicy {POLICY}",
    ),
    ({"gcp.connectionPolicy": POLICY}, "network is empty", "rm --path gcp.connectionPolicy"),
    (SHARED | {"gcp.connectionPolicy": POLICY}, "has its own", "rm --path gcp.subnetworks"),
    ({"gcp.connectionLimit": "1"}, "gcp.connectionLimit is 1", 'gcp.connectionLimit ""'),
    (
        {"gcp.endpointNetworks": "default=default"},
        "gcp.endpointNetworks is",
        "gcp.endpointNetworks projects/my-project/global/networks/apps=projects/",
    ),
    (
        SHARED | {"gcp.endpointNetworks": f"{SHARED['gcp.network']}={SHARED['gcp.subnetworks']}"},
        "which is gcp.network",
        "rm --path gcp.endpointNetworks",
    ),
    (
        {"gcp.endpointNetworks": FURTHER["gcp.endpointNetworks"].replace("europe-west3", "us-east1")},
        "subnetworks/apps, which is not in europe-west3",
        "rm --path gcp.endpointNetworks",
    ),
    (
        {"gcp.endpointNetworks": f"{APPS}=projects/other-project/regions/europe-west3/subnetworks/apps"},
        "which does not belong to my-project",
        "rm --path gcp.endpointNetworks",
    ),
    (FURTHER | {"gcp.allowReplacement": "true"}, "cannot be replaced; remove", "rm --path gcp.allowReplacement"),
    ({"gcp.allowedProducers": "projects/my-project"}, "network is empty", "rm --path gcp.allowedProducers"),
    (
        SHARED | {"gcp.allowedProducers": "projects/their-project"},
        "does not contain projects/my-project",
        "gcp.allowedProducers projects/their-project,projects/my-project",
    ),
    (SHARED | {"gcp.allowedProducers": "my-project"}, "gcp.allowedProducers is", "projects/my-project"),
    ({"gcp.auth": "token"}, "gcp.auth is 'token'", "gcp.auth iam"),
    ({"gcp.auth": "none"} | PRODUCTION, "not allowed in production", "gcp.auth iam"),
    ({"gcp.auth": "none"} | MEMBERS, "authentication is off", "rm --path gcp.appMembers"),
    ({"gcp.tls": "false"}, "IAM tokens require encrypted", "gcp.tls true"),
    (
        {"gcp.tls": "false", "gcp.auth": "none"} | PRODUCTION,
        "gcp.tls is false, which is not allowed in production",
        "gcp.tls true",
    ),
    ({"gcp.appMembers": "allUsers"}, "gcp.appMembers is 'allUsers'", "gcp.appMembers serviceAccount:"),
    ({"gcp.appMembers": "serviceacount:a@b.iam.gserviceaccount.com"}, "is 'serviceacount:a@b", "gcp.appMembers"),
    ({"gcp.adminMembers": "ada@example.org"}, "expected user:… or serviceAccount:…", "user:ada@example.org"),
    ({"gcp.appMembers": "group:all@example.org"}, "groups and domains cannot log in", "gcp.appMembers"),
    ({"gcp.adminMembers": "domain:example.org"}, "groups and domains cannot log in", "user:ada@example.org"),
    ({"gcp.acl": "false"} | MEMBERS, "every member has all permissions", "gcp.acl true"),
    (
        MEMBERS | {"gcp.adminMembers": "user:bob@example.org"},
        "lists user:bob@example.org, which is already listed",
        "rm --path gcp.adminMembers",
    ),
    ({"gcp.serverCa": "customer"}, "caFile is empty", "rm --path gcp.serverCa"),
    ({"gcp.backupDays": "0"} | PRODUCTION, "production needs backups", "gcp.backupDays 7"),
    ({"gcp.appendFsync": "always", "workload": "cache"}, "persistence is rdb, not aof", "rm --path gcp.appendFsync"),
    ({"gcp.snapshotPeriod": "6h", "workload": "mixed"}, "is aof, not rdb", "rm --path gcp.snapshotPeriod"),
    ({"gcp.snapshotStart": "03:00"}, "gcp.snapshotStart is '03:00'", "gcp.snapshotStart 2026-01-01T03:00:00Z"),
    ({"gcp.snapshotStart": "2026-02-30T03:00:00Z"}, "a time in UTC", "gcp.snapshotStart 2026-01-01T03:00:00Z"),
    (
        {"gcp.snapshotStart": "2026-01-01T03:00:00Z", "workload": "mixed"},
        "is aof, not rdb",
        "rm --path gcp.snapshotStart",
    ),
    (
        {"gcp.deletionPolicy": "abandon", "gcp.allowReplacement": "true"},
        "an allowed replacement deletes the instance",
        "rm --path gcp.allowReplacement",
    ),
    ({"gcp.deletionPolicy": "prevent"}, "gcp.deletionPolicy is 'prevent'", "gcp.deletionPolicy delete"),
    ({"gcp.appendFsync": "no", "workload": "queue"}, "would lose jobs", "rm --path gcp.appendFsync"),
    ({"gcp.serverCa": "customer", "gcp.caFile": "a.pem"}, "caPool is empty", "gcp.serverCa shared"),
    ({"gcp.caFile": "a.pem"}, "the API returns the authority", "rm --path gcp.caFile"),
    (
        {
            "gcp.serverCa": "customer",
            "gcp.caFile": "a.pem",
            "gcp.caPool": "projects/my-project/locations/us-east1/caPools/a",
        },
        "isn't in europe-west3",
        "gcp.caPool projects/my-project/locations/europe-west3/caPools/a",
    ),
    (
        {"gcp.tls": "false", "gcp.auth": "none", "gcp.checkHostname": "false"},
        "connections aren't encrypted",
        "rm --path gcp.checkHostname",
    ),
    ({"workload": "queue", "gcp.persistence": "rdb"}, "a queue would lose jobs", "gcp.persistence aof"),
    ({"workload": "mixed", "gcp.persistence": "disabled"}, "would be lost", "gcp.persistence aof"),
    ({"gcp.persistence": "tape"}, "gcp.persistence is 'tape'", 'gcp.persistence ""'),
    ({"gcp.kmsKey": "mine"}, "gcp.kmsKey is 'mine'", "gcp.kmsKey projects/"),
    ({"gcp.kmsKey": KEY.replace("europe-west3", "us-east1")}, "isn't in europe-west3", "rm --path gcp.kmsKey"),
    ({"gcp.backupDays": "366"}, "gcp.backupDays is 366, expected 0 to 365", "gcp.backupDays 7"),
    ({"gcp.backupHour": "0"}, "gcp.backupHour is 0, expected 1 to 23", "gcp.backupHour 3"),
    ({"gcp.backupHour": "99"}, "gcp.backupHour is 99", "gcp.backupHour 3"),
    ({"gcp.maintenanceWindow": "sun:24:00"}, "gcp.maintenanceWindow is 'sun:24:00'", "sun:05:00"),
    ({"gcp.replicationRole": "secondary"}, "primaryInstance is empty", "rm --path gcp.replicationRole"),
    ({"gcp.replicationRole": "primary"}, "secondaryInstances is empty", "rm --path gcp.replicationRole"),
    ({"gcp.primaryInstance": FAR}, "replicationRole isn't secondary", "rm --path gcp.primaryInstance"),
    ({"gcp.secondaryInstances": FAR}, "replicationRole isn't primary", "rm --path gcp.secondaryInstances"),
    (
        {"gcp.replicationRole": "secondary", "gcp.primaryInstance": FAR, "restoreFrom": "gs://dumps/a.rdb"},
        "receives its data from its primary",
        "config rm restoreFrom",
    ),
    ({"restoreFrom": "/tmp/dump.rdb"}, "expected gs://bucket/file.rdb", "config rm restoreFrom"),
    ({"restoreFrom": "gs://dumps"}, "expected gs://bucket/file.rdb", "config rm restoreFrom"),
    ({"gcp.alertEmails": "nobody"}, "gcp.alertEmails is 'nobody'", "gcp.alertEmails ops@example.org"),
    ({"gcp.alertChannels": "12345"}, "gcp.alertChannels is 12345", "notificationChannels/12345"),
    ({"gcp.labels": "Team=Web"}, "gcp.labels", "gcp.labels team=web"),
    (SHARED | {"gcp.endpointProject": "my-project"}, "unknown key", "rm --path gcp.endpointProject"),
    ({"gcp.region": "europe-west3"}, "gcp.region is an unknown key", "rm --path gcp.region"),
    ({"target": "embedded", "version": "9.1"}, "gcp is set, but the target is embedded", "config rm gcp"),
]


@pytest.mark.parametrize(("configuration", "reason", "fix"), INVALID)
def test_an_error_has_its_fix(configuration: Configuration, reason: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(MINIMAL | configuration)
    text = str(caught.value)
    assert reason in text
    assert fix in text
    assert apply_fixes(MINIMAL | configuration, caught.value) != MINIMAL | configuration


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(ConfigurationError, match="4 configuration errors") as caught:
        load(MINIMAL | {"version": "8.1", "port": "7000", "gcp.zone": "us-east1-b", "gcp.tls": "false"})
    assert all(f"  {key} is" in str(caught.value) for key in ("version", "port", "gcp.zone", "gcp.tls"))


AUTHORITY = {"gcp.serverCa": "shared", "gcp.caFile": "authority.pem"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read: No such file"),
        ("certificates, surely", "must contain certificates"),
        ("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", "certificates only"),
    ],
)
def test_an_authority_s_file_is_looked_at_first(
    text: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "authority.pem").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        DeployedGcp(load(MINIMAL | AUTHORITY))
    assert reason in str(caught.value)
    assert "pulumi config set --path gcp.caFile" in str(caught.value)


def test_a_configured_authority_is_in_the_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pem = "-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n"
    (tmp_path / "authority.pem").write_text(pem)
    assert DeployedGcp(load(MINIMAL | AUTHORITY)).endpoint.ca == pem
