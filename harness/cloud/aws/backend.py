"""The fake provider's AWS: moto for supported requests, botocore's model and the service's rules for all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

from harness.cloud.aws import requests, service
from harness.cloud.aws.variables import ADDRESS, EXISTING
from harness.cloud.fake_provider import Cloud, Properties, serve

ACCOUNT = "123456789012"

NOT_IN_MOTO = {
    "aws:elasticache/parameterGroup:ParameterGroup": "name",
    "aws:elasticache/userGroup:UserGroup": "userGroupId",
    "aws:elasticache/serverlessCache:ServerlessCache": "name",
    "aws:route53/record:Record": "name",
}
"""Types whose requests are checked and not sent, with the input that is their id."""


class Aws(Cloud):
    """existing: the file of groups that others made or changed; it may change while this runs."""

    places = ("region",)

    def __init__(self, address: str, region: str, existing: Path | None = None) -> None:
        self._region = region
        self._existing = existing
        self._session = boto3.Session("fake_provider", "fake_provider", region_name=region)
        self._address = address
        self._clients: dict[str, Any] = {}

    def refusals(self, kind: str, inputs: Properties) -> list[tuple[str, str]]:
        return [("", text) for text in service.violations(kind, inputs)]

    def replaces(self, kind: str, previous: Properties, inputs: Properties, changed: set[str]) -> set[str]:
        return service.replaces(kind, previous, inputs, changed)

    def create(self, kind: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        _check(kind, inputs)
        asked = [request for request in requests.creation(kind, inputs) if not request.at_end]
        if kind in NOT_IN_MOTO:
            return inputs[NOT_IN_MOTO[kind]], self._outputs(kind, name, inputs, {})
        first, *further = asked
        answer = self._ask(first)
        resource = _IDS[kind](inputs, answer)
        for request in further:
            self._ask(_of(request, resource))
        return resource, self._outputs(kind, name, inputs, answer)

    def read(self, kind: str, resource: str, previous: Properties) -> Properties | None:
        if kind != service.GROUP:
            return previous or None
        try:
            self._client("elasticache").describe_replication_groups(ReplicationGroupId=resource)
        except ClientError:
            return None
        return {**previous, **self._done_by_others().get(resource, {})} or None

    def update(self, kind: str, resource: str, previous: Properties, inputs: Properties) -> Properties:
        _check(kind, inputs)
        if kind == "aws:cloudwatch/logGroup:LogGroup":
            self._ask(requests.creation(kind, inputs)[1])
        elif kind in ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/dashboard:Dashboard"):
            self._ask(requests.creation(kind, inputs)[0])
        kept = {name: value for name, value in previous.items() if name not in inputs}
        return kept | self._outputs(kind, resource, inputs, {}) if kind in _FOLLOWS else kept

    def delete(self, kind: str, resource: str, previous: Properties) -> None:
        if kind in _DELETIONS:
            service_name, operation, parameter = _DELETIONS[kind]
            self._ask(requests.Request(service_name, operation, {parameter: resource}))
        elif kind in _REVOCATIONS:
            rule = {"GroupId": previous["securityGroupId"], "SecurityGroupRuleIds": [resource]}
            self._ask(requests.Request("ec2", _REVOCATIONS[kind], rule))
        elif kind in ("aws:kms/key:Key", "aws:secretsmanager/secret:Secret"):
            inputs = {name: previous.get(name) for name in previous["__given"]}
            self._ask(_of(requests.creation(kind, inputs)[-1], resource))

    def invoke(self, function: str, arguments: Properties) -> Properties:
        ec2 = self._client("ec2")
        if function == "aws:index/getAvailabilityZones:getAvailabilityZones":
            return {"names": [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]}
        if function == "aws:ec2/getSubnet:getSubnet":
            (subnet,) = ec2.describe_subnets(SubnetIds=[arguments["id"]])["Subnets"]
            return {
                "id": subnet["SubnetId"],
                "vpcId": subnet["VpcId"],
                "availabilityZone": subnet["AvailabilityZone"],
            }
        if function in _DESCRIBES_GROUP:
            return self._existing_group(arguments.get("replicationGroupId") or arguments["clusterId"][:-4])
        assert function == "aws:elasticache/getSubnetGroup:getSubnetGroup", f"{function} isn't known here"
        known = self._client("elasticache").describe_cache_subnet_groups(CacheSubnetGroupName=arguments["name"])
        (group,) = known["CacheSubnetGroups"]
        subnets = [subnet["SubnetIdentifier"] for subnet in group["Subnets"]]
        return {"name": arguments["name"], "vpcId": group["VpcId"], "subnetIds": subnets}

    def _existing_group(self, name: str) -> Properties:
        """A group without shards, as both functions return it; moto knows little of it."""
        self._client("elasticache").describe_replication_groups(ReplicationGroupId=name)
        group = {"authTokenEnabled": False, **self._done_by_others()[name]}
        members = [f"{name}-{number:03}" for number in range(1, 1 + group["numCacheClusters"])]
        return {"clusterMode": "disabled", "numNodeGroups": 1, "memberClusters": members, **group}

    def _done_by_others(self) -> dict[str, Properties]:
        return dict(json.loads(self._existing.read_text())) if self._existing else {}

    def _ask(self, request: requests.Request) -> dict[str, Any]:
        operation = getattr(self._client(request.service), botocore.xform_name(request.operation))
        answer: dict[str, Any] = operation(**request.parameters)
        return answer

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            once = Config(retries={"total_max_attempts": 1})
            self._clients[name] = self._session.client(name, endpoint_url=self._address, config=once)
        return self._clients[name]

    def _arn(self, service_name: str, resource: str) -> str:
        return f"arn:aws:{service_name}:{self._region}:{ACCOUNT}:{resource}"

    def _outputs(self, kind: str, name: str, inputs: Properties, answer: dict[str, Any]) -> Properties:
        """What moto lacks of the outputs that the program reads is made up in AWS's form."""
        if kind == service.GROUP:
            group = inputs["replicationGroupId"]
            return {
                "arn": self._arn("elasticache", f"replicationgroup:{group}"),
                "primaryEndpointAddress": f"master.{group}.abc123.euc1.cache.amazonaws.com",
                "readerEndpointAddress": f"replica.{group}.abc123.euc1.cache.amazonaws.com",
                "configurationEndpointAddress": f"clustercfg.{group}.abc123.euc1.cache.amazonaws.com",
                "engineVersionActual": f"{inputs['engineVersion']}.0",
                "memberClusters": _members(inputs),
            }
        if kind == service.SERVERLESS:
            host = f"{inputs['name']}-abc123.serverless.euc1.cache.amazonaws.com"
            return {
                "arn": self._arn("elasticache", f"serverlesscache:{inputs['name']}"),
                "endpoints": [{"address": host, "port": 6379}],
                "fullEngineVersion": f"{inputs['majorEngineVersion']}.0",
            }
        if kind == "aws:kms/key:Key":
            return {"arn": answer["KeyMetadata"]["Arn"], "keyId": answer["KeyMetadata"]["KeyId"]}
        given = {
            "aws:sns/topic:Topic": ("TopicArn",),
            "aws:secretsmanager/secret:Secret": ("ARN",),
            "aws:iam/policy:Policy": ("Policy", "Arn"),
            "aws:elasticache/user:User": ("ARN",),
        }
        value: Any = answer
        for step in given.get(kind, ()):
            value = value[step]
        return {"arn": value if kind in given else self._arn("service", name)}


def _members(inputs: Properties) -> list[str]:
    group, replicas = inputs["replicationGroupId"], inputs.get("replicasPerNodeGroup", 0)
    if "numCacheClusters" in inputs:
        return [f"{group}-{node:03}" for node in range(1, 1 + inputs["numCacheClusters"])]
    shards, members = range(1, 1 + inputs["numNodeGroups"]), range(1, 2 + replicas)
    return [f"{group}-{shard:04}-{member:03}" for shard in shards for member in members]


def _check(kind: str, inputs: Properties) -> None:
    against = [text for request in requests.creation(kind, inputs) for text in requests.problems(request)]
    if problems := [*against, *service.violations(kind, inputs)]:
        raise RuntimeError("; ".join(problems))


def _of(request: requests.Request, resource: str) -> requests.Request:
    """A request that came with a placeholder for the id of what was just made."""
    ids = {name: resource for name in ("VpcId", "KeyId") if name in request.parameters}
    return requests.Request(request.service, request.operation, request.parameters | ids)


_DESCRIBES_GROUP = (
    "aws:elasticache/getReplicationGroup:getReplicationGroup",
    "aws:elasticache/getCluster:getCluster",
)

_FOLLOWS = (service.GROUP, service.SERVERLESS)
"""Types whose outputs follow from inputs that change in place."""

_Identify = Callable[[Properties, dict[str, Any]], str]


def _answered(*path: Any) -> _Identify:
    def identify(_inputs: Properties, answer: dict[str, Any]) -> str:
        value: Any = answer
        for step in path:
            value = value[step]
        return str(value)

    return identify


def _named(name: str) -> _Identify:
    return lambda inputs, _answer: str(inputs[name])


_RULE = _answered("SecurityGroupRules", 0, "SecurityGroupRuleId")

_IDS: dict[str, _Identify] = {
    "aws:ec2/vpc:Vpc": _answered("Vpc", "VpcId"),
    "aws:ec2/subnet:Subnet": _answered("Subnet", "SubnetId"),
    "aws:ec2/securityGroup:SecurityGroup": _answered("GroupId"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _RULE,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _RULE,
    "aws:elasticache/subnetGroup:SubnetGroup": _named("name"),
    "aws:elasticache/user:User": _named("userId"),
    "aws:elasticache/replicationGroup:ReplicationGroup": _named("replicationGroupId"),
    "aws:kms/key:Key": _answered("KeyMetadata", "KeyId"),
    "aws:kms/alias:Alias": _named("name"),
    "aws:cloudwatch/logGroup:LogGroup": _named("name"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _named("name"),
    "aws:cloudwatch/dashboard:Dashboard": _named("dashboardName"),
    "aws:sns/topic:Topic": _answered("TopicArn"),
    "aws:sns/topicSubscription:TopicSubscription": _answered("SubscriptionArn"),
    "aws:secretsmanager/secret:Secret": _answered("ARN"),
    "aws:secretsmanager/secretVersion:SecretVersion": _answered("VersionId"),
    "aws:iam/policy:Policy": _answered("Policy", "Arn"),
}

_DELETIONS: dict[str, tuple[str, str, str]] = {
    "aws:ec2/vpc:Vpc": ("ec2", "DeleteVpc", "VpcId"),
    "aws:ec2/subnet:Subnet": ("ec2", "DeleteSubnet", "SubnetId"),
    "aws:ec2/securityGroup:SecurityGroup": ("ec2", "DeleteSecurityGroup", "GroupId"),
    "aws:elasticache/user:User": ("elasticache", "DeleteUser", "UserId"),
    "aws:elasticache/replicationGroup:ReplicationGroup": (
        "elasticache",
        "DeleteReplicationGroup",
        "ReplicationGroupId",
    ),
    "aws:kms/alias:Alias": ("kms", "DeleteAlias", "AliasName"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "DeleteLogGroup", "logGroupName"),
    "aws:sns/topic:Topic": ("sns", "DeleteTopic", "TopicArn"),
    "aws:sns/topicSubscription:TopicSubscription": ("sns", "Unsubscribe", "SubscriptionArn"),
    "aws:iam/policy:Policy": ("iam", "DeletePolicy", "PolicyArn"),
}
"""Versions go with their secret; what isn't here moto can't delete."""

_REVOCATIONS = {
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "RevokeSecurityGroupIngress",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "RevokeSecurityGroupEgress",
}


if __name__ == "__main__":
    described = Path(os.environ[EXISTING]) if EXISTING in os.environ else None
    serve(Aws(os.environ[ADDRESS], "eu-central-1", described), "7.51.1")
