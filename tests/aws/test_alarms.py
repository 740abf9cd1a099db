"""The alarms and the dashboard: which metrics of which nodes, and when they fire."""

from __future__ import annotations

import json

import pytest

from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.config_strategies import load
from infra.settings.aws.node_types import NODE_TYPES
from infra.targets.aws import alarms
from tests.aws.recorded import DeployedAws, member_clusters

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
GIB = 1024**3


def rules(node: str, **settings: str) -> dict[str, alarms.AlarmRule]:
    chosen = load(MINIMAL | {key.replace("_", "."): value for key, value in settings.items()})
    return {rule.metric: rule for rule in alarms.rules_of_nodes(chosen, NODE_TYPES[node])}


def test_thresholds_follow_from_the_node_type() -> None:
    small, large = rules("cache.t4g.micro"), rules("cache.r7g.2xlarge")
    assert small["CPUUtilization"].threshold == 45
    assert large["EngineCPUUtilization"].threshold == 90
    assert small["FreeableMemory"].threshold < large["FreeableMemory"].threshold == 100 * 1024**2
    assert "Evictions" not in rules("cache.t4g.micro", workload="cache"), "a full cache evicts"
    assert rules("cache.t4g.micro", workload="queue")["Evictions"].threshold == 0
    assert "ReplicationLag" not in small
    assert rules("cache.t4g.micro", topology="replicated")["ReplicationLag"].threshold == 10
    for metric in ("Authentication", "KeyAuthorization", "CommandAuthorization", "ChannelAuthorization"):
        assert small[f"{metric}Failures"].threshold == 0
    assert small["TrafficManagementActive"].threshold == 0


@pytest.mark.parametrize(
    ("node", "limit"),
    [
        ("cache.t4g.micro", 20_000),
        ("cache.t2.medium", 20_000),
        ("cache.t3.small", 46_000),
        ("cache.t4g.medium", 46_000),
        ("cache.r7g.large", 65_000),
    ],
)
def test_connections_are_compared_with_the_limit_of_the_node(node: str, limit: int) -> None:
    assert rules(node)["CurrConnections"].threshold == limit * 0.8


def test_a_burstable_node_that_used_up_its_credits_is_noticed() -> None:
    rule = rules("cache.t4g.micro")["CPUCreditBalance"]
    assert (rule.below, rule.threshold) == (True, 1)
    assert "CPUCreditBalance" not in rules("cache.m7g.large")


def test_a_node_with_data_tiering_fills_its_memory_first() -> None:
    tiering = rules("cache.r6gd.xlarge", workload="queue")
    assert "DatabaseCapacityUsagePercentage" in tiering
    assert "DatabaseMemoryUsagePercentage" not in tiering


def test_swap_is_compared_with_free_memory() -> None:
    rule = rules("cache.t4g.micro")["SwapUsage"]
    *metrics, worst = alarms.queries(rule, "CacheClusterId", ["a-001", "a-002"])
    assert worst["expression"] == "(m0 > a0) OR (m1 > a1)"
    assert [metric["metric"]["metric_name"] for metric in metrics] == ["SwapUsage", "FreeableMemory"] * 2
    assert rule.threshold == 0


def test_metrics_that_only_some_configurations_have() -> None:
    assert "DatabaseAuthorizationFailures" in rules("cache.m7g.large", version="9.1")
    assert "DatabaseAuthorizationFailures" not in rules("cache.m7g.large", version="9.0")
    assert "IamAuthenticationThrottling" in rules("cache.m7g.large", aws_auth="iam")
    assert "IamAuthenticationThrottling" not in rules("cache.m7g.large")
    cluster = {"topology": "cluster", "memory": "8gb"}
    assert rules("cache.m7g.large", **cluster, aws_durability="async")["DurabilityLag"].threshold == 5_000
    assert "DurabilityLag" not in rules("cache.m7g.large", **cluster, aws_durability="sync"), "it is always 0"


def test_all_nodes_are_watched_by_their_real_names() -> None:
    """After a failover and scaling, node 001 may be gone."""
    deployed = DeployedAws.of({"topology": "cluster", "shards": "5", "replicas": "4"})
    group = deployed.one("aws:elasticache/replicationGroup:ReplicationGroup")
    for metric, limit in (("ReplicationLag", 10), ("SwapUsage", 5)):
        queries = [a["metricQueries"] for name, a in deployed.all(ALARM).items() if name.startswith(metric)]
        assert max(len(query) for query in queries) <= alarms.MAX_METRICS_PER_ALARM + 1
        assert len(queries) == -(-25 // limit)
        watched = {q["metric"]["dimensions"]["CacheClusterId"] for query in queries for q in query if "metric" in q}
        assert watched == set(member_clusters(group))
    topic = deployed.outputs["topicArn"]
    assert all(alarm["alarmActions"] == alarm["okActions"] == [topic] for alarm in deployed.all(ALARM).values())


def test_a_serverless_cache_is_watched_against_its_own_limits() -> None:
    deployed = DeployedAws.of({"topology": "serverless", "memory": "10gb", "aws.maxEcpu": "5000"})
    found = {name: alarm["threshold"] for name, alarm in deployed.all(ALARM).items()}
    assert found["BytesUsedForCache"] == 8 * GIB
    assert found["ElastiCacheProcessingUnits"] == 240_000
    assert found["ThrottledCmds"] == 0
    for alarm in deployed.all(ALARM).values():
        (metric,) = [query["metric"] for query in alarm["metricQueries"] if "metric" in query]
        assert metric["dimensions"] == {"clusterId": "valkey-test"}


def test_the_dashboard_shows_every_node() -> None:
    deployed = DeployedAws.of({"topology": "replicated"})
    group = deployed.one("aws:elasticache/replicationGroup:ReplicationGroup")
    body = json.loads(deployed.one("aws:cloudwatch/dashboard:Dashboard")["dashboardBody"])
    for widget in body["widgets"]:
        shown = {metric[3] for metric in widget["properties"]["metrics"]}
        assert shown == set(member_clusters(group))


def test_alarms_can_have_other_thresholds_or_be_left_out() -> None:
    made = DeployedAws.of({"topology": "replicated", "aws.alarmThresholds": "CurrConnections=100,ReplicationLag=2.5"})
    alarms = made.all(ALARM)
    assert (alarms["CurrConnections"]["threshold"], alarms["ReplicationLag"]["threshold"]) == (100, 2.5)
    assert alarms["TrafficManagementActive"]["threshold"] == 0
    assert DeployedAws.of({"aws.alarms": "false"}).all(ALARM) == {}
