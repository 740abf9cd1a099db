"""Bad input: each is refused before anything is registered, with key, value and fix."""

from __future__ import annotations

import pytest
from valkeykit.errors import ConfigurationError

from harness.cloud.aws.configurations import MINIMAL, NAMED
from harness.cloud.config_strategies import Configuration, apply_fixes, load
from tests.aws.recorded import DeployedAws

SERVERLESS = {"topology": "serverless"}

INVALID: list[tuple[Configuration, str, str]] = [
    ({"aws.region": "mars-1"}, "aws.region is 'mars-1'", "config set --path aws.region"),
    ({"aws.region": ""}, "aws.region is required", "config set --path aws.region eu-central-1"),
    ({"version": "8.0.1"}, "version is 8.0.1", "config set version 9.1"),
    ({"version": "7.9"}, "ElastiCache supports 7.2, 8.0", "config set version 9.1"),
    ({"aws.nodeType": "cache.z1.large"}, "aws.nodeType is 'cache.z1.large'", 'aws.nodeType ""'),
    ({"aws.nodeType": "cache.t4g.micro", "memory": "2gb"}, "holds 307mb", "aws.nodeType cache.m7g.large"),
    ({"memory": "900gb"}, "the largest node type holds 251gb", "config set memory 251gb"),
    ({"aws.subnetIds": "subnet-0,subnet-1"}, "without vpcId", "config rm --path aws.subnetIds"),
    ({"aws.vpcId": "vpc-0a1b2c3d"}, "without subnetIds", "config rm --path aws.vpcId"),
    ({"aws.vpcId": "vpc-0a1b2c3d", "aws.subnetIds": "subnet-0,subnet-0"}, "lists a subnet twice", "subnetIds subnet-0"),
    ({"aws.subnetGroup": "theirs", "aws.zones": "3"}, "aws.zones is set", "config rm --path aws.zones"),
    ({"aws.allowedCidrs": "0.0.0.0/0"}, "aws.allowedCidrs is '0.0.0.0/0'", "aws.allowedCidrs 10.0.0.0/16"),
    ({"aws.allowedCidrs": "::/0"}, "aws.allowedCidrs is '::/0'", "aws.allowedCidrs 10.0.0.0/16"),
    ({"aws.allowedCidrs": "0.0.0.0/1,128.0.0.0/1"}, "aws.allowedCidrs", "aws.allowedCidrs 10.0.0.0/16"),
    ({"aws.allowedCidrs": "8.0.0.0/8"}, "aws.allowedCidrs is '8.0.0.0/8'", "aws.allowedCidrs 10.0.0.0/16"),
    ({"aws.allowedCidrs": "10.0.0.1/16"}, "aws.allowedCidrs", "aws.allowedCidrs 10.0.0.0/16"),
    ({"aws.vpcCidr": "8.8.8.0/24"}, "aws.vpcCidr is '8.8.8.0/24'", "aws.vpcCidr 10.60.0.0/24"),
    (
        {"aws.authToken": "a-token-of-sixteen"},
        "aws.authToken is an unknown key",
        "config rm --path aws.authToken",
    ),
    ({"aws.auth": "token"}, "expected password or iam", "aws.auth password"),
    ({"aws.auth": "iam", "passwordRotation": "2026-12"}, "there are no passwords", "config rm passwordRotation"),
    ({"aws.backupDays": "40"}, "aws.backupDays is 40, expected 0 to 35", "aws.backupDays 7"),
    ({"aws.backupDays": "-1"}, "aws.backupDays is -1", "aws.backupDays 7"),
    ({"aws.backupWindow": "03:00-03:30"}, "shorter than an hour", "rm --path aws.backupWindow"),
    ({"aws.backupWindow": "04:30-05:30"}, "overlaps", "rm --path aws.backupWindow"),
    ({"aws.maintenanceWindow": "tue:03:30-tue:04:30"}, "overlaps", "rm --path aws.maintenanceWindow"),
    ({"aws.maintenanceWindow": "someday"}, "aws.maintenanceWindow is 'someday'", "sun:05:00-sun:06:00"),
    ({"aws.logDays": "40"}, "aws.logDays is 40", "aws.logDays 30"),
    ({"aws.alertEmails": "nobody"}, "aws.alertEmails is 'nobody'", "aws.alertEmails ops@example.org"),
    ({"aws.kmsKey": "alias/mine"}, "aws.kmsKey is 'alias/mine'", "aws.kmsKey own"),
    (
        {"aws.kmsKey": "arn:aws:kms:us-east-1:123456789012:key/12ab"},
        "is in us-east-1, the stack is in eu-central-1",
        "config rm --path aws.kmsKey",
    ),
    ({"aws.tags": "team=web;night"}, "aws.tags", "aws.tags team=web"),
    ({"aws.tags": "aws:team=web"}, "aws.tags", "aws.tags team=web"),
    ({"aws.securityGroups": "group"}, "aws.securityGroups is 'group'", "aws.securityGroups sg-0a1b"),
    ({"aws.securityGroups": "sg-1,sg-2,sg-3,sg-4,sg-5"}, "expected up to 4", "aws.securityGroups sg-0a1b"),
    ({"aws.topicArn": "theirs"}, "aws.topicArn is 'theirs'", 'aws.topicArn ""'),
    (
        {"aws.topicArn": "arn:aws:sns:us-east-1:123456789012:theirs"},
        "aws.topicArn is in us-east-1, the stack is in eu-central-1",
        "rm --path aws.topicArn",
    ),
    (
        {"aws.topicArn": "arn:aws:sns:eu-central-1:123456789012:theirs", "aws.alertEmails": "ops@example.org"},
        "has its own subscriptions",
        "rm --path aws.alertEmails",
    ),
    (
        {
            "aws.topicArn": "arn:aws:sns:eu-central-1:123456789012:theirs",
            "aws.topicKmsKey": "arn:aws:kms:eu-central-1:123456789012:key/12ab",
        },
        "has its own key",
        "rm --path aws.topicKmsKey",
    ),
    ({"aws.topicKmsKey": "alias/mine"}, "aws.topicKmsKey is 'alias/mine'", 'aws.topicKmsKey ""'),
    ({"aws.logKmsKey": "alias/mine"}, "aws.logKmsKey is 'alias/mine'", 'aws.logKmsKey ""'),
    (
        {"aws.logKmsKey": "arn:aws:kms:us-east-1:123456789012:key/12ab"},
        "aws.logKmsKey is in us-east-1",
        "rm --path aws.logKmsKey",
    ),
    ({"aws.logFormat": "xml"}, "expected json or text", "aws.logFormat json"),
    ({"aws.logFirehose": "a/stream"}, "aws.logFirehose is 'a/stream'", 'aws.logFirehose ""'),
    ({"aws.logFirehose": "logs", "aws.logDays": "7"}, "aws.logDays is set, but the logs go", "rm --path aws.logDays"),
    (
        {"aws.logFirehose": "logs", "aws.logKmsKey": "arn:aws:kms:eu-central-1:123456789012:key/12ab"},
        "aws.logKmsKey is set, but the logs go to the Firehose stream",
        "rm --path aws.logKmsKey",
    ),
    (SERVERLESS | {"aws.logFormat": "text"}, "is not supported by a serverless cache", "rm --path aws.logFormat"),
    (SERVERLESS | {"aws.logFirehose": "logs"}, "is not supported by a serverless cache", "rm --path aws.logFirehose"),
    ({"aws.dnsName": "valkey"}, "aws.dnsName is 'valkey', expected a host name", 'aws.dnsName ""'),
    ({"aws.dnsName": "valkey.example.org"}, "is set without hostedZone", "rm --path aws.dnsName"),
    ({"aws.hostedZone": "Z0123456789ABC"}, "is set without dnsName", "rm --path aws.hostedZone"),
    ({"aws.hostedZone": "/hostedzone/Z01"}, "aws.hostedZone is '/hostedzone/Z01'", 'aws.hostedZone ""'),
    ({"aws.users": "reports"}, "aws.users is 'reports', expected a map of names", 'aws.users ""'),
    ({"aws.users.admin": "+@all"}, "expected a map of names", 'aws.users ""'),
    ({"aws.users.Reports": "+@read"}, "up to 20 lower-case letters and digits", 'aws.users ""'),
    ({"aws.users.reports": ""}, "and rules such as", 'aws.users ""'),
    ({"aws.users.reports": "on >secret +@read"}, "and rules such as", 'aws.users ""'),
    ({"aws.users.reports": "nopass ~* +@read"}, "and rules such as", 'aws.users ""'),
    (
        {"aws.users.reports": "~* +@read +config|get"},
        "aws.users.reports has +config|get",
        "rm --path aws.users.reports",
    ),
    (
        SERVERLESS | {"aws.users.reports": "~* +@read +slowlog|get"},
        "has +slowlog|get, which ElastiCache restricts",
        "rm --path aws.users.reports",
    ),
    ({"aws.alarms": "some"}, "aws.alarms is 'some'", "aws.alarms false"),
    ({"aws.autoMinorUpgrade": "never"}, "aws.autoMinorUpgrade is 'never'", "aws.autoMinorUpgrade true"),
    ({"aws.alarmThresholds": "Hits=1"}, "aws.alarmThresholds has Hits", "rm --path aws.alarmThresholds"),
    ({"aws.alarmThresholds": "Evictions=9,Hits=1"}, "has Hits; alarms", "aws.alarmThresholds Evictions=9"),
    ({"aws.alarmThresholds": "Evictions=many"}, "aws.alarmThresholds", "aws.alarmThresholds CurrConnections=5000"),
    ({"aws.alarmThresholds": "Evictions=-1"}, "aws.alarmThresholds", "aws.alarmThresholds CurrConnections=5000"),
    (
        {"aws.alarms": "false", "aws.alarmThresholds": "Evictions=1"},
        "aws.alarmThresholds is set, but aws.alarms is false",
        "rm --path aws.alarmThresholds",
    ),
    (
        SERVERLESS | {"aws.autoMinorUpgrade": "false"},
        "is not supported by a serverless cache",
        "rm --path aws.autoMinorUpgrade",
    ),
    (
        SERVERLESS | {"aws.logKmsKey": "arn:aws:kms:eu-central-1:123456789012:key/12ab"},
        "is not supported by a serverless cache",
        "rm --path aws.logKmsKey",
    ),
    ({"aws.existing": "a" * 41}, "40 lower-case letters", "aws.existing my-redis"),
    ({"aws.existing": "a--b"}, "aws.existing is 'a--b'", "aws.existing my-redis"),
    ({"aws.existing": "a-"}, "aws.existing is 'a-'", "aws.existing my-redis"),
    (
        {"aws.existing": "my-redis", "restoreFrom": "nightly"},
        "the replication group already exists",
        "config rm restoreFrom",
    ),
    ({"restoreFrom": "nightly-"}, "expected the name of a snapshot", "config rm restoreFrom"),
    ({"restoreFrom": "nightly--1"}, "expected the name of a snapshot", "config rm restoreFrom"),
    (
        {"aws.region": "cn-north-1", "restoreFrom": "arn:aws:s3:::dumps/redis.rdb"},
        "starts with arn:aws, in cn-north-1 ARNs start with arn:aws-cn",
        "config set restoreFrom arn:aws-cn:s3:::dumps/redis.rdb",
    ),
    (
        {"aws.region": "us-gov-east-1", "aws.kmsKey": "arn:aws:kms:us-gov-east-1:123456789012:key/12ab"},
        "ARNs start with arn:aws-us-gov",
        "aws.kmsKey arn:aws-us-gov:kms:us-gov-east-1:123456789012:key/12ab",
    ),
    ({"aws.users.reports": "~* +debug"}, "has +debug, which ElastiCache restricts", "rm --path aws.users.reports"),
    ({"aws.users.reports": "~* +replicaof"}, "has +replicaof", "rm --path aws.users.reports"),
    ({"restoreFrom": "/tmp/dump.rdb"}, "expected the name of a snapshot", "config rm restoreFrom"),
    ({"restoreFrom": "arn:aws:s3:::a,b/c.rdb"}, "expected the name of a snapshot", "config rm restoreFrom"),
    (
        {"topology": "cluster", "restoreFrom": "arn:aws:s3:::dumps/redis.rdb"},
        "AWS loads into a cluster only together with slots",
        "config rm restoreFrom",
    ),
    ({"topology": "cluster", "shards": "0"}, "shards is '0', expected 3 or more (on aws 1 or more)", "set shards 3"),
    ({"aws.enableClusterMode": "true"}, "the topology is single", "rm --path aws.enableClusterMode"),
    (SERVERLESS | {"aws.enableClusterMode": "true"}, "the topology is serverless", "rm --path aws.enableClusterMode"),
    (
        {"topology": "replicated", "replicas": "0", "aws.enableClusterMode": "true"},
        "enables cluster mode only with replicas",
        "config set replicas 1",
    ),
    (
        {"topology": "replicated", "aws.enableClusterMode": "true", "parameters.databases": "16"},
        "databases",
        "rm --path parameters.databases",
    ),
    ({"aws.nodeQuota": "600"}, "aws.nodeQuota is 600, expected 90 to 500", "aws.nodeQuota 200"),
    ({"aws.nodeQuota": "89"}, "aws.nodeQuota is 89", "aws.nodeQuota 200"),
    (
        {"topology": "cluster", "shards": "100", "replicas": "5", "aws.nodeQuota": "500", "aws.vpcCidr": "10.0.0.0/16"},
        "600 nodes with replicas; the quota is 500",
        "config set shards 83",
    ),
    (
        {"topology": "cluster", "shards": "15", "replicas": "1", "aws.vpcCidr": "10.60.0.0/26"},
        "a zone of it has 11 addresses for 15 nodes",
        "aws.vpcCidr 10.60.0.0/24",
    ),
    (
        {"topology": "cluster", "shards": "75", "replicas": "1", "aws.nodeQuota": "150"},
        "a zone of it has 59 addresses for 75 nodes",
        "aws.vpcCidr 10.60.0.0/22",
    ),
    ({"aws.allowedPrefixLists": "prefixes"}, "aws.allowedPrefixLists is", "aws.allowedPrefixLists pl-0a1b"),
    ({"aws.allowedSecurityGroups": "12/sg-0a1b"}, "aws.allowedSecurityGroups is", "aws.allowedSecurityGroups sg-0a1b"),
    (
        {"aws.existing": "my-redis", "topology": "single"},
        "aws.nodeType is required with aws.existing",
        "aws.nodeType cache.m7g.large",
    ),
    (
        {"aws.existing": "my-redis", "aws.nodeType": "cache.m7g.large"},
        "topology is required with aws.existing",
        "config set topology single",
    ),
    (
        {"aws.existing": "my-redis", "aws.nodeType": "cache.m7g.large", "topology": "replicated"},
        "replicas is required with aws.existing",
        "config set replicas 2",
    ),
    (
        {"aws.existing": "my-redis", "aws.nodeType": "cache.m7g.large", "topology": "cluster", "replicas": "1"},
        "shards is required with aws.existing",
        "config set shards 3",
    ),
    ({"topology": "single", "aws.durability": "disabled"}, "the topology isn't cluster", "aws.durability"),
    ({"topology": "cluster", "version": "8.1", "aws.durability": "disabled"}, "older than 9.0", "aws.durability"),
    ({"shards": "4"}, "only a cluster has several shards", "config set topology cluster"),
    ({"aws.multiZone": "true"}, "there are no replicas for another zone", "rm --path aws.multiZone"),
    (
        {"topology": "cluster", "shards": "20", "replicas": "5"},
        "120 nodes with replicas; the quota is 90 (aws.nodeQuota",
        "config set shards 15",
    ),
    ({"topology": "replicated", "replicas": "6"}, "0 to 5", "config set replicas"),
    ({"aws.maxEcpu": "5000"}, "only a serverless cache", "rm --path aws.maxEcpu"),
    ({"aws.durability": "sync"}, "the topology isn't cluster", "rm --path aws.durability"),
    (
        {"topology": "cluster", "version": "8.1", "aws.durability": "sync", "memory": "8gb"},
        "is 8.1, older than 9.0",
        "rm --path aws.durability",
    ),
    (
        {"topology": "cluster", "replicas": "0", "aws.durability": "sync", "memory": "8gb"},
        "there are no replicas",
        "rm --path aws.durability",
    ),
    (
        {"topology": "cluster", "aws.durability": "sync"},
        "the node type is cache.t4g.micro",
        "rm --path aws.durability",
    ),
    (SERVERLESS | {"memory": "6000gb"}, "stores 1gb to 5000gb", "config set memory 5000gb"),
    (SERVERLESS | {"aws.maxEcpu": "999"}, "1000 to 15000000", 'aws.maxEcpu ""'),
    (SERVERLESS | {"aws.maxEcpu": "15000001"}, "1000 to 15000000", 'aws.maxEcpu ""'),
    ({"aws.minEcpu": "5000"}, "only a serverless cache", "rm --path aws.minEcpu"),
    ({"aws.minMemory": "1gb"}, "only a serverless cache", "rm --path aws.minMemory"),
    (SERVERLESS | {"aws.minEcpu": "999"}, "1000 to 15000000", 'aws.minEcpu ""'),
    (SERVERLESS | {"aws.minEcpu": "5000", "aws.maxEcpu": "4000"}, "more than aws.maxEcpu", "aws.minEcpu 4000"),
    (SERVERLESS | {"aws.minMemory": "ten"}, "aws.minMemory is 'ten', expected a size", 'aws.minMemory ""'),
    (SERVERLESS | {"aws.minMemory": "20gb", "memory": "10gb"}, "more than memory", "aws.minMemory 10gb"),
    (SERVERLESS | {"port": "7000"}, "always uses 6379", "config set port 0"),
    (SERVERLESS | {"workload": "queue"}, "evicts keys that have a TTL", "config set workload mixed"),
    (SERVERLESS | {"replicas": "1"}, "the topology is serverless", "config set topology replicated"),
    (SERVERLESS | {"shards": "4"}, "only a cluster has several shards", "config set topology cluster"),
    (
        SERVERLESS | {"aws.nodeType": "cache.r7g.large"},
        "is not supported by a serverless cache",
        "rm --path aws.nodeType",
    ),
    (SERVERLESS | {"aws.nodeQuota": "200"}, "is not supported by a serverless cache", "rm --path aws.nodeQuota"),
    (SERVERLESS | {"aws.logDays": "7"}, "is not supported by a serverless cache", "rm --path aws.logDays"),
    (
        SERVERLESS | {"restoreFrom": "arn:aws:elasticache:us-east-1:123456789012:serverlesssnapshot:nightly"},
        "restoreFrom is in us-east-1",
        "config rm restoreFrom",
    ),
    (SERVERLESS | {"restoreFrom": "nightly"}, "needs the ARN of a snapshot", "config rm restoreFrom"),
    (
        SERVERLESS | {"aws.vpcId": "vpc-0a1b2c3d", "aws.subnetIds": "subnet-0"},
        "needs 2 or 3",
        "aws.subnetIds subnet-0,subnet-0a1b",
    ),
    ({"target": "embedded"}, "aws is set, but the target is embedded", "config rm aws"),
    (
        {"target": "docker", "topology": "serverless"},
        "topology is serverless, which docker",
        "config set topology single",
    ),
]


@pytest.mark.parametrize(("configuration", "reason", "fix"), INVALID)
def test_an_error_has_its_fix(configuration: Configuration, reason: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(MINIMAL | configuration)
    text = str(caught.value)
    assert reason in text
    assert fix in text
    assert apply_fixes(MINIMAL | configuration, caught.value) != MINIMAL | configuration


def test_the_value_of_a_token_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(MINIMAL | {"aws.authToken": "a-token-of-sixteen"})
    assert "a-token-of-sixteen" not in str(caught.value)


ACCEPTED: list[Configuration] = [
    {"restoreFrom": "automatic.valkey-test-2026-11-30-03-00"},
    {"aws.region": "cn-north-1", "aws.topicArn": "arn:aws-cn:sns:cn-north-1:123456789012:theirs"},
    {"topology": "cluster", "shards": "1"},
    {"topology": "cluster", "shards": "2", "replicas": "1"},
    {"topology": "cluster", "shards": "100", "replicas": "1", "aws.nodeQuota": "200", "aws.vpcCidr": "10.0.0.0/20"},
    {"aws.backupDays": "0"},
    {"aws.nodeType": "cache.r6gd.xlarge", "memory": "60gb"},
    {"aws.region": "eusc-de-east-1"},
    SERVERLESS | {"aws.backupWindow": "05:30-06:30"},
    SERVERLESS | {"aws.backupWindow": "05:30-05:45"},
    SERVERLESS | {"restoreFrom": "arn:aws:s3:::dumps/redis.rdb"},
    {"aws.allowedSecurityGroups": "123456789012/sg-0a1b"},
    {"aws.allowedPrefixLists": "pl-0a1b"},
    {"topology": "cluster", "aws.durability": "disabled"},
]


@pytest.mark.parametrize("configuration", ACCEPTED, ids=str)
def test_what_aws_accepts_is_accepted(configuration: Configuration) -> None:
    assert load(MINIMAL | configuration)


@pytest.mark.parametrize("target", ["docker", "embedded"])
def test_a_self_hosted_cluster_still_needs_three_shards(target: str) -> None:
    with pytest.raises(ConfigurationError, match="needs at least 3 for a majority"):
        load({"target": target, "topology": "cluster", "shards": "2"})


IN_ONE_ZONE = {"aws.vpcId": "vpc-0a1b2c3d", "aws.subnetIds": "subnet-0,subnet-9"}
"""Subnets that are not listed are in the account's first zone."""


@pytest.mark.parametrize(
    ("configuration", "reason", "fix"),
    [
        (IN_ONE_ZONE | {"topology": "replicated"}, "all in one zone (eu-central-1a)", "aws.multiZone false"),
        (
            NAMED | {"aws.dnsName": "valkey.example.net"},
            "aws.dnsName is valkey.example.net, names in the hosted zone Z0123456789ABCDEFGHIJ end with .example.org",
            "aws.dnsName valkey.example.org",
        ),
        (NAMED | {"aws.dnsName": "example.org"}, "end with .example.org", "aws.dnsName valkey.example.org"),
        (IN_ONE_ZONE | SERVERLESS, "two subnets are in the same zone", "rm --path aws.subnetIds"),
        (
            {"aws.vpcId": "vpc-0a1b2c3d", "aws.subnetIds": "subnet-0,subnet-abc"},
            "subnet-abc are not in vpc-0a1b2c3d",
            "config set --path aws.vpcId",
        ),
    ],
)
def test_an_unsuitable_network_is_rejected_once_its_zones_are_queried(
    configuration: Configuration, reason: str, fix: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DeployedAws.of(configuration)
    assert reason in str(caught.value)
    assert fix in str(caught.value)


def test_one_zone_is_enough_for_one_node() -> None:
    assert DeployedAws.of(IN_ONE_ZONE).endpoint.topology == "single"
