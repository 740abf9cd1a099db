"""The aws target run against recording mocks."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pulumi
from valkeykit.endpoint import Endpoint

from harness.cloud.aws import requests
from harness.cloud.aws.configurations import MINIMAL
from harness.cloud.config_strategies import Configuration, load
from infra.settings import StackSettings
from infra.targets.aws import AwsDeployment
from infra.targets.deployment import record_rotation
from infra.targets.setting_inputs import SettingInputs
from tests.cloud.recording import Answer, Inputs, Recorder, deploy, identity, record

ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
VPC = "vpc-0a1b2c3d"
SUBNETS = {f"subnet-{number}": zone for number, zone in enumerate(ZONES)}
"""What the account has in addition to the program's resources."""

PASSWORD = "pulumi-python:dynamic/valkey:Password"
ROTATION = "pulumi-python:dynamic/valkey:Rotation"


def _subnet(_token: str, arguments: Inputs) -> Inputs:
    subnet = arguments["id"]
    vpc = "vpc-0f0f" if subnet == "subnet-abc" else VPC
    return {"id": subnet, "vpcId": vpc, "availabilityZone": SUBNETS.get(subnet, ZONES[0])}


CALLS: Mapping[str, Answer] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _token, _arguments: {"names": list(ZONES)},
    "aws:index/getRegion:getRegion": lambda _token, _arguments: {"region": "eu-central-1"},
    "aws:ec2/getSubnet:getSubnet": _subnet,
    "aws:elasticache/getReplicationGroup:getReplicationGroup": lambda _token, arguments: {
        "authTokenEnabled": True,
        "clusterMode": "disabled",
        "memberClusters": [f"{arguments['replicationGroupId']}-00{number}" for number in (1, 2)],
        "nodeType": "cache.r6g.xlarge",
        "numNodeGroups": 1,
        "snapshotRetentionLimit": 1,
    },
    "aws:elasticache/getCluster:getCluster": lambda _token, arguments: {
        "engine": "redis" if "redis" in arguments["clusterId"] else "valkey",
        "parameterGroupName": "default.redis7",
    },
    "aws:route53/getZone:getZone": lambda _token, _arguments: {"name": "example.org"},
    "aws:elasticache/getSubnetGroup:getSubnetGroup": lambda _token, arguments: {
        "name": arguments["name"],
        "vpcId": VPC,
        "subnetIds": list(SUBNETS),
    },
}


def _arn(name: str, _inputs: Inputs) -> Inputs:
    return {"arn": f"arn:aws:service:eu-central-1:123456789012:{name}"}


def _key(name: str, inputs: Inputs) -> Inputs:
    return _arn(name, inputs) | {"keyId": "1234abcd"}


def member_clusters(inputs: Inputs) -> list[str]:
    """The nodes of a group in an order of AWS's own, as after a failover and scaling: none has the number 1."""
    group, shards = inputs["replicationGroupId"], inputs.get("numNodeGroups")
    members = range(2, 2 + (inputs.get("numCacheClusters") or 1 + inputs["replicasPerNodeGroup"]))
    nodes = [f"{group}-{number:03}" for number in members]
    if shards:
        nodes = [f"{group}-{shard:04}-{number:03}" for shard in range(1, 1 + shards) for number in members]
    return nodes[::-1]


def _group(_name: str, inputs: Inputs) -> Inputs:
    group = inputs["replicationGroupId"]
    hosts = {
        "primaryEndpointAddress": f"master.{group}.abc.euc1.cache.amazonaws.com",
        "readerEndpointAddress": f"replica.{group}.abc.euc1.cache.amazonaws.com",
        "configurationEndpointAddress": f"clustercfg.{group}.abc.euc1.cache.amazonaws.com",
    }
    outputs = {"engineVersionActual": f"{inputs['engineVersion']}.2", "memberClusters": member_clusters(inputs)}
    return hosts | _arn(f"replicationgroup:{group}", inputs) | outputs


def _serverless(_name: str, inputs: Inputs) -> Inputs:
    host = f"{inputs['name']}-abc.serverless.euc1.cache.amazonaws.com"
    return _arn(f"serverlesscache:{inputs['name']}", inputs) | {
        "endpoints": [{"address": host, "port": 6379}],
        "readerEndpoints": [{"address": host, "port": 6380}],
        "fullEngineVersion": f"{inputs['majorEngineVersion']}.1",
    }


RESOURCES: Mapping[str, Answer] = {
    **dict.fromkeys(requests.KINDS, _arn),
    "aws:kms/key:Key": _key,
    "aws:elasticache/replicationGroup:ReplicationGroup": _group,
    "aws:elasticache/serverlessCache:ServerlessCache": _serverless,
    ROTATION: lambda _name, _inputs: {"loaded": "2026-12-01T00:00:00+00:00"},
    PASSWORD: lambda name, inputs: {
        "value": f"secretOf{name}{inputs['rotation']}".replace("-", "").ljust(43, "x"),
        "previous": f"oldSecretOf{name}".ljust(43, "x") if inputs["rotation"] else "",
    },
    "pulumi:providers:aws": lambda _name, _inputs: {},
}


class DeployedAws:
    """A configuration's recorded resources, its endpoint, its logins and its outputs."""

    def __init__(self, settings: StackSettings, stack: str = "valkey/test") -> None:
        self.settings = settings
        self.recorder = Recorder(RESOURCES, CALLS)
        self.known: dict[str, Any] = record(self.recorder, lambda: self._program(stack))
        self.endpoint: Endpoint = self.known["endpoint"]
        self.outputs: dict[str, Any] = self.known["aws"]

    def _program(self, stack: str) -> pulumi.Output[Any]:
        made = AwsDeployment(SettingInputs(self.settings), identity(stack))
        component = deploy(made, "valkey:target:Aws")
        record_rotation(component, made.logins, self.settings)
        logins = {role: {"user": login.user, "password": login.password} for role, login in made.logins.items()}
        return pulumi.Output.all(endpoint=made.endpoint, logins=logins, **made.outputs)

    @classmethod
    def of(cls, configuration: Configuration) -> DeployedAws:
        """Of a configuration that is right; the target and its region are given. It is shared: not to be changed."""
        return _of(frozenset((MINIMAL | configuration).items()))

    def one(self, kind: str) -> Inputs:
        return self.recorder.one(kind).inputs

    def all(self, kind: str) -> dict[str, Inputs]:
        return {resource.name: resource.inputs for resource in self.recorder.of(kind)}


@functools.cache
def _of(configuration: frozenset[tuple[str, str]]) -> DeployedAws:
    return DeployedAws(load(dict(configuration)))
