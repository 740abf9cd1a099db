"""What the target makes of the settings: sizes, names, users, network, alarms, outputs."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import botocore.session
import pytest
from valkeykit.settings import resolve_settings
from valkeykit.url import parse

from harness.cloud.aws import service
from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.config_strategies import load
from infra import hardening
from infra.settings.aws.catalogue import FAMILIES, REGIONS, partition
from infra.settings.aws.node_types import NODE_TYPES, smallest
from infra.targets.aws import access, parameters
from infra.targets.aws.names import safe_name
from tests.aws.recorded import DeployedAws

GIB = 1024**3
USER = "aws:elasticache/user:User"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@pytest.mark.parametrize(
    ("size", "node"),
    [
        (256 * 1024**2, "cache.t4g.micro"),
        (NODE_TYPES["cache.t4g.micro"].comfortable, "cache.t4g.micro"),
        (NODE_TYPES["cache.t4g.micro"].comfortable + 1, "cache.t4g.small"),
        (2 * GIB, "cache.m7g.large"),
        (4 * GIB, "cache.r7g.large"),
        (200 * GIB, "cache.r7g.16xlarge"),
    ],
)
def test_memory_picks_the_smallest_node_that_holds_it_with_reserve_and_head_room(size: int, node: str) -> None:
    found = smallest(size)
    assert found is not None
    assert found.name == node
    assert size <= found.memory * 0.75 * 0.8


def test_no_node_is_large_enough_for_everything() -> None:
    assert smallest(1000 * GIB) is None


def test_the_node_type_overrides_the_choice() -> None:
    group = DeployedAws.of({"aws.nodeType": "cache.r6gd.xlarge"}).one(service.GROUP)
    assert (group["nodeType"], group["dataTieringEnabled"]) == ("cache.r6gd.xlarge", True)
    assert DeployedAws.of({}).one(service.GROUP)["dataTieringEnabled"] is False, "left out, the provider keeps true"


def test_a_node_with_data_tiering_holds_what_its_ssd_holds() -> None:
    assert load(MINIMAL | {"aws.nodeType": "cache.r6gd.xlarge", "memory": "90gb"})


@pytest.mark.parametrize("node", ["cache.t2.medium", "cache.m4.large", "cache.r4.16xlarge"])
def test_old_node_types_are_accepted(node: str) -> None:
    assert DeployedAws.of({"aws.nodeType": node}).one(service.GROUP)["nodeType"] == node


def test_regions_are_those_of_botocore() -> None:
    session = botocore.session.get_session()
    partitions = ("aws", "aws-cn", "aws-us-gov", "aws-eusc")
    known = {name: p for p in partitions for name in session.get_available_regions("elasticache", partition_name=p)}
    assert {region: partition(region) for region in REGIONS} == known


@pytest.mark.parametrize("version", FAMILIES)
def test_the_parameter_group_has_the_version_s_family_in_its_name(version: str) -> None:
    deployed = DeployedAws.of({"version": version})
    groups = deployed.all("aws:elasticache/parameterGroup:ParameterGroup")
    assert all(group["family"] in group["name"] for group in groups.values())
    assert deployed.one(service.GROUP)["parameterGroupName"] == f"valkey-test-valkey{version[0]}"
    assert f"parameters-valkey{version[0]}" in groups


def test_an_upgrade_leaves_the_parameter_group_of_the_previous_family_alone() -> None:
    """AWS does not delete a parameter group in use, and in prod its nodes use it until the maintenance window."""
    groups = "aws:elasticache/parameterGroup:ParameterGroup"
    before = DeployedAws.of({"version": "8.2"}).all(groups)
    after = DeployedAws.of({"version": "9.1"}).all(groups)
    assert before.items() <= after.items()


@pytest.mark.parametrize("workload", ["cache", "queue", "mixed"])
def test_the_parameter_group_is_the_hardening_table_as_far_as_it_reaches(workload: str) -> None:
    rendered = parameters.render(load(MINIMAL | {"workload": workload}), "valkey9")
    for directive in hardening.DIRECTIVES:
        if "aws" in directive.clouds and directive.name != "client-output-buffer-limit":
            assert rendered[directive.name] == directive.for_workload(workload)  # type: ignore[arg-type]
    assert rendered["client-output-buffer-limit-normal-hard-limit"] == "268435456"
    assert "client-output-buffer-limit-replica-hard-limit" not in rendered
    assert rendered["acl-pubsub-default"] == "resetchannels"


@pytest.mark.parametrize(
    ("stack", "name"),
    [
        ("valkey/dev", "valkey-dev"),
        ("valkey/Feature__X", "valkey-feature-x"),
        ("9lives/--a--", "valkey-9lives-a"),
        ("valkey/" + "long" * 20, None),
    ],
)
def test_names_are_what_aws_takes(stack: str, name: str | None) -> None:
    made = safe_name(stack)
    assert name in (None, made)
    assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{0,27}(?<!-)", made)
    assert safe_name(stack + "x") != made


def test_users_have_the_hardening_s_rights_and_are_on() -> None:
    deployed = DeployedAws.of({})
    users = deployed.all(USER)
    for user in hardening.USERS:
        assert users[user.name]["accessString"] == f"on {user.rules}"  # no node rejects a command of the table
        assert users[user.name]["userName"] == user.name
    assert "default" not in str(users)
    assert {resource.name for resource in deployed.recorder.of(USER) if "authenticationMode" in resource.secret} == set(
        users
    )


def test_an_access_string_names_no_command_that_the_service_restricts() -> None:
    users = DeployedAws.of({"topology": "serverless"}).all(USER)
    rules = {name: user["accessString"].split() for name, user in users.items()}
    assert rules["admin"] == ["on", "~*", "&*", "+@all"]
    assert rules["app"][-1] == "+role"
    assert {"+info", "+dbsize", "+cluster|shards", "+client|setname"} <= set(rules["monitor"])
    for rule in (rule for user in rules.values() for rule in user):
        assert not re.match(r"\+(config|latency|memory|slowlog|client\|(list|info|id)\b)", rule), rule
    assert access.access_string(hardening.User("reader", "-@all +config|get +get", ""), "single") == "on -@all +get"


def test_a_rotation_leaves_two_passwords_and_the_url_has_the_new_one() -> None:
    def passwords(**configuration: str) -> list[str]:
        valid: list[str] = DeployedAws.of(configuration).all(USER)["app"]["authenticationMode"]["passwords"]
        return valid

    assert len(passwords()) == 1
    new, old = passwords(passwordRotation="2026")
    assert (new[:15], old[:14]) == ("secretOfapp2026", "oldSecretOfapp")
    assert passwords(passwordRotation="2026", completedRotation="2026") == [new]
    assert DeployedAws.of({"passwordRotation": "2026"}).known["logins"]["app"]["password"] == new


def test_with_iam_the_url_has_no_password_and_each_role_has_its_policy() -> None:
    deployed = DeployedAws.of({"topology": "replicated", "aws.auth": "iam"})
    login = deployed.known["logins"]["app"]
    assert parse(deployed.endpoint.url(login["user"], login["password"])).password is None
    for user in deployed.all(USER).values():
        assert user["userName"] == user["userId"]
        assert user["authenticationMode"] == {"type": "iam"}
    policies = deployed.outputs["connectPolicies"]
    document = json.loads(policies["app"]["document"])
    assert document["Statement"][0]["Action"] == "elasticache:Connect"
    cache, user = document["Statement"][0]["Resource"]
    assert cache.endswith("replicationgroup:valkey-test")
    assert "app" in user
    assert policies["app"]["arn"].startswith("arn:")
    assert deployed.recorder.of("pulumi-python:dynamic/valkey:Password")[0].name.startswith("final-snapshot")


OTHERS = {"aws.users.reports": "~report:* -@all +@read", "aws.users.importer": "~* +@write +ping"}


def test_applications_can_have_users_of_their_own() -> None:
    made = DeployedAws.of(OTHERS)
    reports = made.all(USER)["user-reports"]
    assert (reports["userName"], reports["userId"]) == ("reports", "valkey-test-reports")
    assert reports["accessString"] == "on ~report:* -@all +@read"
    assert "valkey-test-importer" in made.one("aws:elasticache/userGroup:UserGroup")["userIds"]
    url = parse(made.known["userUrls"]["reports"])
    assert (url.username, url.password) == ("reports", reports["authenticationMode"]["passwords"][0])
    assert url.password != parse(made.known["userUrls"]["importer"]).password
    assert "userUrls" not in DeployedAws.of({}).known


def test_users_of_applications_log_in_with_iam_too() -> None:
    made = DeployedAws.of(OTHERS | {"aws.auth": "iam"})
    user = made.all(USER)["user-reports-iam"]
    assert user["userId"] == user["userName"] == "valkey-test-iam-reports"
    assert "reports" in made.outputs["connectPolicies"]
    assert parse(made.known["userUrls"]["reports"]).password is None


def test_a_long_user_id_is_shortened() -> None:
    made = DeployedAws(load(MINIMAL | {"aws.users.twentylettersofauser": "+ping"}), "valkey/" + "long-name" * 5)
    ids = {user["userId"] for user in made.all(USER).values()}
    assert max(map(len, ids)) <= access.MAX_USER_ID
    assert len(ids) == 4


def test_users_are_not_added_and_removed_at_once() -> None:
    before, after = {"userIds": ["a", "b"]}, {"userIds": ["a", "c"]}
    assert list(access.swapped_users(before, {"userIds": ["a"]})) == []
    assert list(access.swapped_users(before, {"userIds": ["a", "b", "c"]})) == []
    (obstacle,) = access.swapped_users(before, after)
    assert obstacle.reason == "users cannot be added (c) and removed (b) in the same update"


@pytest.mark.parametrize("auth", ["password", "iam"])
def test_users_change_one_after_another(auth: str) -> None:
    """AWS rejects a change of a user while another user of the group changes."""
    made = DeployedAws.of({"aws.auth": auth})
    names = [user.name for user in made.recorder.of(USER)]
    assert len(names) > 2
    for previous, name in itertools.pairwise(names):
        urns = made.recorder.requests[USER, name].dependencies
        assert any(urn.endswith(f"{USER}::{previous}") for urn in urns), f"{name} does not wait for {previous}"


def test_iam_users_are_others_in_a_group_of_their_own() -> None:
    before, after = DeployedAws.of({}), DeployedAws.of({"aws.auth": "iam"})
    group = "aws:elasticache/userGroup:UserGroup"
    assert before.one(group)["userGroupId"] != after.one(group)["userGroupId"]
    assert not set(before.one(group)["userIds"]) & set(after.one(group)["userIds"])


def test_only_configured_sources_are_allowed() -> None:
    allowed = {
        "aws.allowedCidrs": "10.0.0.0/16,fd00::/48",
        "aws.allowedSecurityGroups": "sg-0a1b,123456789012/sg-2c3d",
        "aws.allowedPrefixLists": "pl-0a1b",
    }
    deployed = DeployedAws.of(allowed)
    names = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
    rules = deployed.all(INGRESS).values()
    sources = {rule[name] for rule in rules for name in names if name in rule}
    assert sources == {"10.0.0.0/16", "fd00::/48", "sg-0a1b", "123456789012/sg-2c3d", "pl-0a1b", "clients-id"}
    assert len(rules) == len(sources)
    for group in deployed.all("aws:ec2/securityGroup:SecurityGroup").values():
        assert "ingress" not in group
        assert "egress" not in group
    kinds = {resource.kind for resource in deployed.recorder.recorded}
    assert not [kind for kind in kinds if "nternetGateway" in kind or "natGateway" in kind]


@pytest.mark.parametrize("zones", [2, 3])
def test_a_vpc_of_its_own_is_private_and_spans_zones(zones: int) -> None:
    subnets = DeployedAws.of({"aws.zones": str(zones)}).all("aws:ec2/subnet:Subnet")
    assert len({subnet["availabilityZone"] for subnet in subnets.values()}) == zones
    assert not any(subnet["mapPublicIpOnLaunch"] for subnet in subnets.values())


@pytest.mark.parametrize(("allowed", "ignored"), [("false", ["availabilityZone"]), ("true", [])])
def test_a_subnet_stays_in_its_zone_when_others_become_available(allowed: str, ignored: list[str]) -> None:
    requests = DeployedAws.of({"aws.allowReplacement": allowed}).recorder.requests
    subnets = [request for (kind, _), request in requests.items() if kind == "aws:ec2/subnet:Subnet"]
    assert [list(request.ignoreChanges) for request in subnets] == [ignored, ignored]


def test_a_group_may_take_hours_to_reshard() -> None:
    timeouts = DeployedAws.of({}).recorder.requests[service.GROUP, "cache"].customTimeouts
    assert (timeouts.create, timeouts.update, timeouts.delete) == ("3h", "24h", "3h")


def test_an_existing_vpc_is_used_as_it_is() -> None:
    deployed = DeployedAws.of({"aws.vpcId": "vpc-0a1b2c3d", "aws.subnetIds": "subnet-0,subnet-1"})
    assert not deployed.recorder.of("aws:ec2/vpc:Vpc")
    assert deployed.one("aws:elasticache/subnetGroup:SubnetGroup")["subnetIds"] == ["subnet-0", "subnet-1"]
    assert DeployedAws.of({"aws.subnetGroup": "theirs"}).one(service.GROUP)["subnetGroupName"] == "theirs"


_KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"
_TOPIC = "arn:aws:sns:eu-central-1:123456789012:theirs"


def test_existing_resources_are_used_as_they_are() -> None:
    made = DeployedAws.of({"aws.securityGroups": "sg-0a1b,sg-2c3d", "aws.topicArn": _TOPIC, "aws.logKmsKey": _KEY})
    group = made.one("aws:elasticache/replicationGroup:ReplicationGroup")
    assert group["securityGroupIds"][1:] == ["sg-0a1b", "sg-2c3d"]
    assert group["notificationTopicArn"] == made.outputs["topicArn"] == _TOPIC
    assert not made.all("aws:sns/topic:Topic")
    alarms = made.all("aws:cloudwatch/metricAlarm:MetricAlarm").values()
    assert all(alarm["alarmActions"] == [_TOPIC] for alarm in alarms)
    assert {logs["kmsKeyId"] for logs in made.all("aws:cloudwatch/logGroup:LogGroup").values()} == {_KEY}
    encrypted = DeployedAws.of({"aws.topicKmsKey": _KEY})
    assert encrypted.one("aws:sns/topic:Topic")["kmsMasterKeyId"] == _KEY


@pytest.mark.parametrize("upgrades", ["true", "false"])
def test_minor_upgrades_can_be_turned_off(upgrades: str) -> None:
    made = DeployedAws.of({"aws.autoMinorUpgrade": upgrades})
    group = made.one("aws:elasticache/replicationGroup:ReplicationGroup")
    assert group["autoMinorVersionUpgrade"] is (upgrades == "true")


@pytest.mark.parametrize(
    ("topology", "host", "client"),
    [
        ("single", "master.valkey-test", "single"),
        ("replicated", "master.valkey-test", "replicated"),
        ("cluster", "clustercfg.valkey-test", "cluster"),
        ("serverless", "valkey-test-abc.serverless", "cluster"),
    ],
)
def test_the_endpoint_leads_a_client_to_the_right_host_in_the_right_way(topology: str, host: str, client: str) -> None:
    endpoint = DeployedAws.of({"topology": topology}).endpoint
    url = endpoint.url("app", "p w/")
    assert url.startswith(f"rediss://app:p%20w%2F@{host}")
    assert url.endswith(":6379/0")
    assert resolve_settings(endpoint, username="app", password="p").topology == client
    assert endpoint.variables(url).get("VALKEY_TOPOLOGY", "single") == client
    assert endpoint.ca is None


def test_a_single_node_is_a_replication_group_of_one() -> None:
    group = DeployedAws.of({}).one(service.GROUP)
    assert (group["engine"], group["numCacheClusters"]) == ("valkey", 1)
    assert group["automaticFailoverEnabled"] is False


@pytest.mark.parametrize(
    ("restore_from", "field", "value"),
    [
        ("nightly", "snapshotName", "nightly"),
        ("arn:aws:s3:::dumps/redis.rdb", "snapshotArns", ["arn:aws:s3:::dumps/redis.rdb"]),
    ],
)
def test_a_group_starts_from_a_snapshot_or_an_rdb_file(restore_from: str, field: str, value: Any) -> None:
    assert DeployedAws.of({"restoreFrom": restore_from}).one(service.GROUP)[field] == value


def test_the_final_snapshot_s_name_is_another_one_after_a_replacement() -> None:
    changes: tuple[dict[str, str], ...] = (
        {},
        {"port": "7000"},
        {"aws.kmsKey": "own"},
        {"version": "8.1"},
        {"topology": "cluster"},
        {"aws.nodeType": "cache.r6gd.xlarge"},
        {"aws.vpcCidr": "10.61.0.0/24"},
        {"aws.allowReplacement": "true"},
    )
    deployments = [DeployedAws.of(change) for change in changes]
    lives = {
        resource.name
        for deployed in deployments
        for resource in deployed.recorder.of("pulumi-python:dynamic/valkey:Password")
        if resource.name.startswith("final-snapshot")
    }
    assert len(lives) == len(changes)
    for deployed in deployments:
        assert re.fullmatch(r"valkey-test-final-[a-z0-9]{8}", deployed.one(service.GROUP)["finalSnapshotIdentifier"])
    assert "finalSnapshotIdentifier" not in DeployedAws.of({"finalSnapshot": "false"}).one(service.GROUP)


@pytest.mark.parametrize(("environment", "immediate", "days"), [("dev", True, 1), ("prod", False, 7)])
def test_production_is_careful(environment: str, immediate: bool, days: int) -> None:
    deployed = DeployedAws.of({"environment": environment})
    group = deployed.one(service.GROUP)
    assert (group["applyImmediately"], group["snapshotRetentionLimit"]) == (immediate, days)
    window = deployed.one("aws:secretsmanager/secret:Secret")["recoveryWindowInDays"]
    assert window == 0, "a new stack of that name could not be created before it ends"


@pytest.mark.parametrize("topology", ["replicated", "serverless"])
def test_backups_can_be_turned_off(topology: str) -> None:
    deployed = DeployedAws.of({"topology": topology, "aws.backupDays": "0"})
    kind = service.SERVERLESS if topology == "serverless" else service.GROUP
    assert deployed.one(kind)["snapshotRetentionLimit"] == 0
    assert deployed.outputs["backupDays"] == 0


def test_everything_that_can_have_tags_has_them() -> None:
    deployed = DeployedAws.of({"aws.tags": "team=web", "aws.auth": "iam", "aws.kmsKey": "own"})
    bare = {"Alias", "Dashboard", "TopicSubscription", "SecretVersion"}
    for resource in deployed.recorder.recorded:
        if resource.kind.startswith("aws:") and resource.kind.rpartition(":")[2] not in bare:
            assert resource.inputs["tags"]["team"] == "web", resource.kind
            assert resource.inputs["tags"]["Stack"] == "test"


def test_the_secret_holds_the_connection_record() -> None:
    deployed = DeployedAws.of({})
    version = deployed.recorder.one("aws:secretsmanager/secretVersion:SecretVersion")
    record = json.loads(version.inputs["secretString"])
    login = deployed.known["logins"]["app"]
    assert "secretString" in version.secret
    assert record["url"] == deployed.endpoint.url("app", login["password"])
    assert record["endpoint"]["target"] == "aws"
    assert deployed.outputs["secretArn"].startswith("arn:")


def test_the_endpoint_has_the_capacity_of_a_node() -> None:
    assert DeployedAws.of({}).endpoint.maxmemory == 536870912 * 3 // 4
    node = NODE_TYPES["cache.r7g.large"]
    assert node.maxmemory == 10527885772
