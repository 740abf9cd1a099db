"""Every resource of every topology sends requests that AWS's own model and rules accept."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as limits
from valkeykit.errors import ConfigurationError

from harness.cloud.aws import requests, service
from harness.cloud.aws.configurations import MINIMAL, TOPOLOGIES
from harness.cloud.config_strategies import (
    Configuration,
    accepted,
    apply_fixes,
    configurations,
    converge,
    load,
    refusal,
)
from tests.aws.recorded import DeployedAws
from tests.cloud.recording import Recorder


def check(recorder: Recorder) -> list[str]:
    """What botocore and the service have against what was recorded."""
    found = []
    for resource in recorder.recorded:
        if resource.kind.startswith("aws:"):
            for request in requests.creation(resource.kind, resource.inputs):
                found += [f"{resource.name}: {problem}" for problem in requests.problems(request)]
            found += [
                f"{resource.name}: {violation}" for violation in service.violations(resource.kind, resource.inputs)
            ]
    return found


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_the_requests_of_a_topology_are_valid(name: str) -> None:
    assert check(DeployedAws.of(TOPOLOGIES[name]).recorder) == []


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        (service.GROUP, {"engine": None}, "engine"),
        (service.GROUP, {"replicationGroupId": "a--b"}, "id a--b"),
        (service.GROUP, {"numNodeGroups": 2}, "both node counts"),
        (service.GROUP, {"engineVersion": "8.0.1"}, "version 8.0.1"),
        (service.GROUP, {"authToken": "short"}, "token and user group"),
        (service.GROUP, {"networkType": "ipv5"}, "not one of"),
        (service.GROUP, {"kmsKeyId": 5}, "Invalid type"),
        ("aws:elasticache/user:User", {"accessString": "~* +@all"}, "off"),
        ("aws:elasticache/user:User", {"userId": "9lives"}, "user id"),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {"treatMissingData": ""}, "Invalid length"),
    ],
)
def test_the_checks_catch_what_is_wrong(kind: str, change: dict[str, object], problem: str) -> None:
    recorder = DeployedAws(load(MINIMAL)).recorder
    broken = next(resource for resource in recorder.recorded if resource.kind == kind)
    broken.inputs.update(change)
    assert problem in " ".join(check(recorder))


def test_an_input_that_no_request_takes_is_noticed() -> None:
    recorder = DeployedAws(load(MINIMAL)).recorder
    recorder.one("aws:sns/topic:Topic").inputs["displayNmae"] = "x"
    with pytest.raises(AssertionError, match="nothing takes displayNmae"):
        check(recorder)


VALUES = {
    "topology": ["single", "replicated", "cluster", "serverless", "ring"],
    "workload": ["cache", "queue", "mixed"],
    "version": ["7.2", "8.0", "8.1", "9.0", "9.1", "8.0.1", "6.2", "7.9"],
    "memory": ["16mb", "300mb", "2gb", "20gb", "200gb", "252gb", "900gb", "9000gb", "2"],
    "environment": ["dev", "prod"],
    "shards": ["1", "2", "3", "15", "40", "0"],
    "replicas": ["0", "1", "5", "6"],
    "port": ["0", "6379", "7000", "80"],
    "restoreFrom": ["nightly", "arn:aws:s3:::dumps/a.rdb", "arn:aws:s3:::dumps", "-x", "/tmp/dump.rdb"],
    "finalSnapshot": ["true", "false"],
    "aws.region": ["eu-central-1", "us-east-1", "mars-1"],
    "aws.nodeType": ["", "cache.t4g.micro", "cache.r6gd.xlarge", "cache.m5.large", "cache.z1.large"],
    "aws.vpcId": ["vpc-0a1b2c3d", "vpc", ""],
    "aws.subnetIds": ["subnet-0,subnet-1", "subnet-0,subnet-1,subnet-2", "subnet-0,subnet-0", "subnets"],
    "aws.subnetGroup": ["", "their-subnets", "x y"],
    "aws.vpcCidr": ["10.1.0.0/16", "192.168.0.0/26", "10.0.0.0/8", "8.8.8.0/24"],
    "aws.zones": ["2", "3", "4"],
    "aws.allowedCidrs": [
        "10.0.0.0/16",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "8.8.8.0/24",
        "100.64.0.0/10",
        "fd00::/48",
        "10.0.0.1/16",
        "all",
    ],
    "aws.allowedSecurityGroups": ["sg-0a1b", "123456789012/sg-0a1b", "everyone"],
    "aws.allowedPrefixLists": ["pl-0a1b", "pl"],
    "aws.securityGroups": ["sg-0a1b", "sg-0a1b,sg-2c3d", "group"],
    "aws.topicArn": ["arn:aws:sns:eu-central-1:123456789012:theirs", "theirs", ""],
    "aws.topicKmsKey": ["arn:aws:kms:eu-central-1:123456789012:key/12ab", "alias/mine"],
    "aws.logKmsKey": ["arn:aws:kms:eu-central-1:123456789012:key/12ab", "alias/mine"],
    "aws.alarms": ["true", "false", "some"],
    "aws.alarmThresholds": ["CurrConnections=100", "Hits=1", "Evictions=many"],
    "aws.autoMinorUpgrade": ["true", "false", "never"],
    "parameters.timeout": ["300", "1"],
    "parameters.tcp-keepalive": ["60"],
    "parameters.cluster-databases": ["16"],
    "parameters.maxmemory": ["1gb"],
    "allowWeaker": ["tcp-keepalive", "tcp-keepalive,hz"],
    "aws.enableClusterMode": ["true", "false"],
    "aws.nodeQuota": ["90", "200", "600"],
    "aws.auth": ["password", "iam", "token"],
    "aws.users.reports": ["~report:* +@read", "~* +config|get"],
    "passwordRotation": ["", "2026-12"],
    "completedRotation": ["", "2026-12"],
    "aws.kmsKey": ["", "own", "arn:aws:kms:eu-central-1:123456789012:key/12ab", "alias/mine"],
    "aws.backupDays": ["1", "35", "40", "0"],
    "aws.backupWindow": ["01:00-02:00", "05:30-06:30", "03:00-03:30", "25:00-26:00"],
    "aws.maintenanceWindow": ["mon:01:30-mon:02:30", "sat:23:30-sun:00:30", "sun:05:00-sun:05:10", "someday"],
    "aws.applyImmediately": ["true", "false", "soon"],
    "aws.multiZone": ["true", "false"],
    "aws.durability": ["sync", "async", "disabled", "", "always"],
    "aws.maxEcpu": ["1000", "15000000", "999", "15000001"],
    "aws.dnsName": ["valkey.example.org", "cache.example.org", "valkey", ""],
    "aws.hostedZone": ["Z0123456789ABCDEFGHIJ", "Z9876543210ABCDEFGHIJ", "example.org", ""],
    "aws.minEcpu": ["1000", "15000000", "999", "15000001"],
    "aws.minMemory": ["1gb", "10gb", "512mb", "9000gb", "some"],
    "aws.logDays": ["30", "3653", "40"],
    "aws.logFormat": ["json", "text", "xml"],
    "aws.logFirehose": ["", "their-logs", "a/stream"],
    "aws.alertEmails": ["ops@example.org", "ops@example.org,ops@example.org", "a@b.c,d@e.f", "nobody", "a@b"],
    "aws.tags": ["team=web", "team=a;b", "aws:team=web", "=x"],
    "aws.existing": ["my-redis", "My_Redis", "a--b", "a" * 41, ""],
    "aws.authToken": ["a-token-of-sixteen"],
}
"""Of each key some values that are right and some that aren't."""


@limits(max_examples=250, deadline=None)
@given(configurations(VALUES, target="aws"))
def test_a_configuration_is_rejected_with_fixes_that_fix_it(configuration: Configuration) -> None:
    for line in refusal(configuration):
        assert line.startswith("  ")
        assert " -> pulumi config " in line
    accepted(configuration)


@limits(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configurations(VALUES, target="aws", **{"aws.region": "eu-central-1"}))
@example(
    # The fixes of the first round make it replicated, and only then the zones of its subnets matter.
    {
        "target": "aws",
        "aws.region": "eu-central-1",
        "topology": "serverless",
        "replicas": "1",
        "aws.vpcId": "vpc-0a1b2c3d",
        "aws.subnetIds": "subnets",
    }
)
def test_the_requests_of_an_accepted_configuration_are_valid(configuration: Configuration) -> None:
    assert check(_deployed(configuration).recorder) == []


def _deployed(configuration: Configuration) -> DeployedAws:
    """Where given subnets lie is looked up, and may be rejected too; that fix is applied as well."""
    known = converge(configuration)
    for _ in range(3):
        try:
            return DeployedAws(load(known))
        except ConfigurationError as refusal:
            known = converge(apply_fixes(known, refusal))
    return DeployedAws(load(known))
