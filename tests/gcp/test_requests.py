"""Every instance of every topology sends Memorystore requests that the API's messages and rules accept."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from google.type import dayofweek_pb2
from hypothesis import HealthCheck, given
from hypothesis import settings as limits

from harness.cloud.config_strategies import Configuration, accepted, configurations, load, refusal
from harness.cloud.gcp import service
from harness.cloud.gcp.answers import ACL, INSTANCE, MEMBER, POLICY
from harness.cloud.gcp.configurations import BACKUP, FURTHER, KEY, MEMBERS, MINIMAL, SHARED, TOPOLOGIES
from infra.settings import loading
from tests.cloud.recording import Recorder
from tests.gcp import requests
from tests.gcp.recorded import DeployedGcp


def check(recorder: Recorder) -> list[str]:
    """What the API's messages and the service have against what was recorded."""
    return [
        f"{resource.name}: {problem}"
        for resource in recorder.recorded
        for problem in (
            *requests.problems(resource.kind, resource.inputs),
            *service.violations(resource.kind, resource.inputs),
        )
    ]


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_the_requests_of_a_topology_are_valid(name: str) -> None:
    assert check(DeployedGcp.of(TOPOLOGIES[name]).recorder) == []


def test_the_parsed_request_matches_the_configuration() -> None:
    body = requests.instance(DeployedGcp.of(TOPOLOGIES["everything"]).one(INSTANCE))
    assert body.name == "projects/my-project/locations/europe-west3/instances/valkey-test"
    assert (body.mode.name, body.node_type.name, body.shard_count, body.replica_count) == (
        "CLUSTER",
        "STANDARD_LARGE",
        20,
        5,
    )
    assert body.authorization_mode.name == "IAM_AUTH"
    assert body.transit_encryption_mode.name == "SERVER_AUTHENTICATION"
    assert body.automated_backup_config.automated_backup_mode.name == "ENABLED"
    assert body.automated_backup_config.retention.days == 365
    assert body.maintenance_policy.weekly_maintenance_window[0].day == dayofweek_pb2.SUNDAY
    assert list(body.gcs_source.uris) == ["gs://dumps/a.rdb", "gs://dumps/b.rdb"]
    assert body.cross_instance_replication_config.instance_role.name == "PRIMARY"
    connection = body.endpoints[0].connections[0].psc_auto_connection
    assert connection.network == "projects/host-project/global/networks/shared"
    assert body.deletion_protection_enabled
    assert body.kms_key == KEY


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"nodeType": "MEGA_LARGE"}, "nodeType"),
        ({"authorizationMode": "PASSWORD"}, "authorizationMode"),
        ({"transitEncryptionMode": "ON"}, "transitEncryptionMode"),
        ({"persistenceConfig": {"mode": "AOF", "aofConfig": {"appendFsync": "SOMETIMES"}}}, "appendFsync"),
        ({"persistenceConfig": {"mode": "RDB", "rdbConfig": {"rdbSnapshotPeriod": "2_HOURS"}}}, "rdbSnapshotPeriod"),
        ({"sizeGb": 3}, "sizeGb"),
    ],
)
def test_the_api_s_messages_refuse_what_the_provider_lets_pass(change: dict[str, object], problem: str) -> None:
    inputs = DeployedGcp.of({}).one(INSTANCE) | change
    with pytest.raises(json_format.ParseError, match=problem):
        requests.instance(inputs)


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        (INSTANCE, {"engineVersion": "valkey_99"}, "valkey_99"),
        (INSTANCE, {"engineConfigs": {"maxclients": "1", "maxmemory": "1", "appendonly": "yes"}}, "appendonly"),
        (INSTANCE, {"shardCount": 3}, "several shards without a cluster"),
        (INSTANCE, {"mode": "STANDALONE"}, "mode STANDALONE"),
        (INSTANCE, {"shardCount": "3"}, "no number"),
        (INSTANCE, {"shard_count": 3}, "another style"),
        (
            INSTANCE,
            {"automatedBackupConfig": {"retention": "86400s", "fixedFrequencySchedule": {"startTime": {"hours": 99}}}},
            "hour 99",
        ),
        (
            INSTANCE,
            {"automatedBackupConfig": {"retention": "86400s", "fixedFrequencySchedule": {"startTime": {"hours": 0}}}},
            "hour 0 of backups",
        ),
        (
            INSTANCE,
            {"automatedBackupConfig": {"retention": "60s", "fixedFrequencySchedule": {"startTime": {"hours": 1}}}},
            "retention 60s",
        ),
        (INSTANCE, {"instanceId": "9lives"}, "id"),
        (INSTANCE, {"transitEncryptionMode": "TRANSIT_ENCRYPTION_DISABLED"}, "IAM without TLS"),
        (INSTANCE, {"engineConfigs": {"maxclients": "9", "maxmemory": str(2 * 1000**3)}}, "maxmemory above"),
        (INSTANCE, {"engineConfigs": {"maxclients": "65000", "maxmemory": "1"}}, "65000 clients"),
        (ACL, {"rules": [{"username": "a@b.c", "rule": "~* +@all"}]}, "off"),
        (INSTANCE, {"desiredAutoCreatedEndpoints": [{"network": "n", "projectId": "host-project"}]}, "same as the"),
        (POLICY, {"serviceClass": "gcp-memorystore-redis"}, "another service"),
        (POLICY, {"network": "default"}, "network default"),
        (POLICY, {"pscConfig": {"subnetworks": ["a"], "limit": 4}}, "no text"),
        (MEMBER, {"member": "group:all@example.org"}, "can't log in"),
    ],
)
def test_the_checks_catch_what_the_messages_let_pass(kind: str, change: dict[str, object], problem: str) -> None:
    recorder = DeployedGcp(load(MINIMAL | MEMBERS)).recorder
    recorder.of(kind)[0].inputs.update(change)
    assert problem in " ".join(check(recorder))


VALUES = {
    "topology": ["single", "replicated", "cluster", "serverless", "ring"],
    "workload": ["cache", "queue", "mixed"],
    "version": ["7.2", "8.0", "8.1", "9.0", "9.1", "9.0.1", "6.2"],
    "memory": ["16mb", "300mb", "2gb", "20gb", "75gb", "900gb", "9000gb", "2"],
    "environment": ["dev", "prod"],
    "shards": ["1", "3", "40", "251", "0"],
    "replicas": ["0", "1", "5", "6"],
    "port": ["0", "6379", "7000", "80"],
    "restoreFrom": ["gs://dumps/a.rdb", BACKUP, "gs://dumps", "/tmp/dump.rdb"],
    "passwordRotation": ["", "2026-12"],
    "completedRotation": ["", "2026-12"],
    "contacts": ["", '{"down": "on call"}'],
    "finalSnapshot": ["true", "false"],
    "dataDir": ["", "/srv/valkey"],
    "parameters.notify-keyspace-events": ["Ex", "On"],
    "parameters.slowlog-log-slower-than": ["20000", "10000"],
    "parameters.maxmemory-policy": ["allkeys-lfu", "noeviction"],
    "parameters.timeout": ["300"],
    "allowWeaker": ["slowlog-log-slower-than", "slowlog-log-slower-than,timeout"],
    "gcp.project": ["my-project", "My Project", ""],
    "gcp.location": ["europe-west3", "us-east1", "mars-1", ""],
    "gcp.zone": ["", "europe-west3-a", "us-east1-b", "here"],
    "gcp.nodeType": ["", "CUSTOM_PICO", "SHARED_CORE_NANO", "HIGHCPU_MEDIUM", "HIGHMEM_2XLARGE", "huge"],
    "gcp.network": ["", SHARED["gcp.network"], "default"],
    "gcp.subnetworks": [SHARED["gcp.subnetworks"], "projects/other-project/regions/us-east1/subnetworks/a", "a"],
    "gcp.subnetCidr": ["10.1.0.0/24", "10.0.0.0/8", "8.8.8.0/24"],
    "gcp.connectionPolicy": [
        "",
        "projects/host-project/locations/europe-west3/serviceConnectionPolicies/theirs",
        "projects/other-project/locations/us-east1/serviceConnectionPolicies/theirs",
        "theirs",
    ],
    "gcp.connectionLimit": ["2", "1"],
    "gcp.endpointNetworks": [
        FURTHER["gcp.endpointNetworks"],
        FURTHER["gcp.endpointNetworks"].replace("europe-west3", "us-east1"),
        "default=default",
    ],
    "gcp.allowedProducers": ["projects/my-project", "projects/other-project", "folders/12", "all"],
    "gcp.enableApis": ["true", "false"],
    "gcp.allowReplacement": ["true", "false"],
    "gcp.existing": ["", "my-instance", "My Instance"],
    "gcp.auth": ["iam", "none", "token"],
    "gcp.acl": ["true", "false"],
    "gcp.appMembers": [MEMBERS["gcp.appMembers"], "group:all@example.org", "allUsers"],
    "gcp.adminMembers": [MEMBERS["gcp.adminMembers"], "user:bob@example.org"],
    "gcp.monitorMembers": [MEMBERS["gcp.monitorMembers"], "domain:example.org"],
    "gcp.tls": ["true", "false"],
    "gcp.serverCa": ["instance", "shared", "customer", "mine"],
    "gcp.caPool": ["", "projects/my-project/locations/europe-west3/caPools/a", "a"],
    "gcp.checkHostname": ["true", "false"],
    "gcp.persistence": ["", "disabled", "rdb", "aof", "tape"],
    "gcp.kmsKey": ["", KEY, KEY.replace("europe-west3", "us-east1"), "mine"],
    "gcp.backupDays": ["1", "365", "366", "0"],
    "gcp.snapshotPeriod": ["", "6h", "2h"],
    "gcp.snapshotStart": ["", "2026-01-01T03:00:00Z", "03:00"],
    "gcp.deletionPolicy": ["delete", "abandon", "keep"],
    "gcp.appendFsync": ["", "always", "no", "sometimes"],
    "gcp.maintenanceVersion": ["", "MEMORYSTORE_20260101_00_00", "a b"],
    "gcp.backupHour": ["0", "23", "24", "99"],
    "gcp.maintenanceWindow": ["mon:00:00", "sun:24:00", "someday"],
    "gcp.replicationRole": ["", "none", "primary", "secondary", "tertiary"],
    "gcp.primaryInstance": ["", "projects/my-project/locations/us-east1/instances/valkey-main", "main"],
    "gcp.secondaryInstances": ["projects/my-project/locations/us-east1/instances/valkey-far", "far"],
    "gcp.deletionProtection": ["true", "false"],
    "gcp.alertEmails": ["ops@example.org", "nobody"],
    "gcp.alertChannels": ["projects/my-project/notificationChannels/12345", "12345"],
    "gcp.labels": ["team=web", "Team=Web", "=x"],
}
"""Of each key some values that are right and some that aren't. caFile is left out: it names a file."""


def test_every_key_is_tried() -> None:
    keys = {key for key, _ in loading.describe_keys() if key.partition(".")[0] in (key, "gcp")}
    tried = {key.partition(".")[0] if key.startswith("parameters.") else key for key in VALUES}
    assert keys - tried == {"target", "gcp.caFile"}


@limits(max_examples=400, deadline=None)
@given(configurations(VALUES, target="gcp"))
def test_a_rejected_configuration_is_valid_after_the_printed_fixes(configuration: Configuration) -> None:
    for line in refusal(configuration):
        assert line.startswith("  ")
        assert " -> pulumi config " in line
    accepted(configuration)


@limits(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configurations(VALUES, target="gcp", **{"gcp.project": "my-project", "gcp.location": "europe-west3"}))
def test_the_requests_of_an_accepted_configuration_are_valid(configuration: Configuration) -> None:
    assert check(DeployedGcp(accepted(configuration)).recorder) == []
