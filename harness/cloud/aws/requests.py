"""What AWS's API is asked for a resource of the program, checked against botocore's model of the service."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One call of the API, by botocore's names. at_end: of the resource's deletion."""

    service: str
    operation: str
    parameters: dict[str, Any]
    at_end: bool = False


def creation(kind: str, inputs: Inputs) -> list[Request]:
    """The requests that make a resource, and that its deletion adds; `kind` is its type token.

    Raises:
        AssertionError: an unknown type, or an input that no request takes.
    """
    assert kind in _CREATIONS, f"{kind} is no type that these tests know"
    rest = {name: value for name, value in inputs.items() if value is not None}
    made = _CREATIONS[kind](rest)
    assert not rest, f"{kind}: nothing takes {', '.join(rest)}"
    return made


def problems(request: Request) -> list[str]:
    """What botocore's model has against a request: names, types, lengths, enumerations, patterns."""
    shape = _model(request.service, request.operation).input_shape
    report = ParamValidator().validate(request.parameters, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return found + list(_words(shape, request.parameters, request.operation))


@functools.cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@functools.cache
def _model(service: str, operation: str) -> OperationModel:
    return _session().get_service_model(service).operation_model(operation)


def _words(shape: Shape, value: Any, path: str) -> Iterable[str]:
    """Enumerations and patterns, which ParamValidator leaves out."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, item in value.items():
            if name in shape.members:
                yield from _words(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for item in value:
            yield from _words(shape.member, item, f"{path}[]")
    elif shape.type_name == "string" and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{path} is {value!r}, not one of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(_python(pattern), value, re.DOTALL):
            yield f"{path} is {value!r}, which doesn't match {pattern}"


def _python(pattern: str) -> str:
    """Java's classes of characters, and its pairs of surrogates, which Python spells otherwise."""
    for java, python in _SPELLINGS.items():
        pattern = pattern.replace(java, python)
    return pattern


_SPELLINGS = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{Print}": "[ -~]",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
}


def _tags(inputs: dict[str, Any], name: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{name: key, value: text} for key, text in inputs.pop("tags", {}).items()]


def _take(inputs: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Move inputs into parameters of other names."""
    return {parameter: inputs.pop(name) for name, parameter in names.items() if name in inputs}


def _tagged(inputs: dict[str, Any], resource: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": resource, "Tags": _tags(inputs)}]}


def _vpc(inputs: dict[str, Any]) -> list[Request]:
    attributes = _take(inputs, {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"})
    make = _take(inputs, {"cidrBlock": "CidrBlock"}) | _tagged(inputs, "vpc")
    changes = [{"VpcId": "vpc-0", name: {"Value": value}} for name, value in attributes.items()]
    return [Request("ec2", "CreateVpc", make), *(Request("ec2", "ModifyVpcAttribute", change) for change in changes)]


def _subnet(inputs: dict[str, Any]) -> list[Request]:
    assert inputs.pop("mapPublicIpOnLaunch", None) is False
    names = {"vpcId": "VpcId", "cidrBlock": "CidrBlock", "availabilityZone": "AvailabilityZone"}
    return [Request("ec2", "CreateSubnet", _take(inputs, names) | _tagged(inputs, "subnet"))]


def _security_group(inputs: dict[str, Any]) -> list[Request]:
    names = {"name": "GroupName", "description": "Description", "vpcId": "VpcId"}
    return [Request("ec2", "CreateSecurityGroup", _take(inputs, names) | _tagged(inputs, "security-group"))]


def _rule(direction: str) -> Callable[[dict[str, Any]], list[Request]]:
    def rule(inputs: dict[str, Any]) -> list[Request]:
        permission = _take(inputs, {"ipProtocol": "IpProtocol", "fromPort": "FromPort", "toPort": "ToPort"})
        if "cidrIpv4" in inputs:
            permission["IpRanges"] = [{"CidrIp": inputs.pop("cidrIpv4")}]
        if "cidrIpv6" in inputs:
            permission["Ipv6Ranges"] = [{"CidrIpv6": inputs.pop("cidrIpv6")}]
        if "referencedSecurityGroupId" in inputs:
            account, _, group = inputs.pop("referencedSecurityGroupId").rpartition("/")
            permission["UserIdGroupPairs"] = [{"GroupId": group} | ({"UserId": account} if account else {})]
        if "prefixListId" in inputs:
            permission["PrefixListIds"] = [{"PrefixListId": inputs.pop("prefixListId")}]
        parameters = {"GroupId": inputs.pop("securityGroupId"), "IpPermissions": [permission]}
        return [
            Request("ec2", f"AuthorizeSecurityGroup{direction}", parameters | _tagged(inputs, "security-group-rule"))
        ]

    return rule


def _named(service: str, operation: str, names: Mapping[str, str]) -> Callable[[dict[str, Any]], list[Request]]:
    """A resource of one request whose parameters are its inputs by other names."""

    def create(inputs: dict[str, Any]) -> list[Request]:
        tags = {"Tags": _tags(inputs)} if "tags" in inputs else {}
        return [Request(service, operation, _take(inputs, names) | tags)]

    return create


def _parameter_group(inputs: dict[str, Any]) -> list[Request]:
    pairs = [{"ParameterName": p["name"], "ParameterValue": p["value"]} for p in inputs.pop("parameters")]
    names = {
        "name": "CacheParameterGroupName",
        "family": "CacheParameterGroupFamily",
        "description": "Description",
    }
    make = _take(inputs, names) | {"Tags": _tags(inputs)}
    change = {"CacheParameterGroupName": make["CacheParameterGroupName"], "ParameterNameValues": pairs}
    return [
        Request("elasticache", "CreateCacheParameterGroup", make),
        Request("elasticache", "ModifyCacheParameterGroup", change),
    ]


def _user(inputs: dict[str, Any]) -> list[Request]:
    mode = inputs.pop("authenticationMode")
    parameters = _take(
        inputs, {"userId": "UserId", "userName": "UserName", "engine": "Engine", "accessString": "AccessString"}
    )
    parameters["AuthenticationMode"] = {
        {"type": "Type", "passwords": "Passwords"}[name]: value for name, value in mode.items()
    }
    return [Request("elasticache", "CreateUser", parameters | {"Tags": _tags(inputs)})]


def _replication_group(inputs: dict[str, Any]) -> list[Request]:
    logs = [
        {
            "LogType": log["logType"],
            "DestinationType": log["destinationType"],
            "DestinationDetails": _DESTINATIONS[log["destinationType"]](log["destination"]),
            "LogFormat": log["logFormat"],
        }
        for log in inputs.pop("logDeliveryConfigurations", [])
    ]
    for name in ("finalSnapshotIdentifier", "applyImmediately", "authTokenUpdateStrategy"):  # not of creation
        inputs.pop(name, None)
    names = REPLICATION_GROUP | {name: name[0].upper() + name[1:] for name in inputs if name not in REPLICATION_GROUP}
    del names["tags"]
    parameters = _take(inputs, names) | {"Tags": _tags(inputs), "LogDeliveryConfigurations": logs}
    return [Request("elasticache", "CreateReplicationGroup", parameters)]


_DESTINATIONS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "cloudwatch-logs": lambda group: {"CloudWatchLogsDetails": {"LogGroup": group}},
    "kinesis-firehose": lambda stream: {"KinesisFirehoseDetails": {"DeliveryStream": stream}},
}

REPLICATION_GROUP = {
    "description": "ReplicationGroupDescription",
    "nodeType": "CacheNodeType",
    "parameterGroupName": "CacheParameterGroupName",
    "subnetGroupName": "CacheSubnetGroupName",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "multiAzEnabled": "MultiAZEnabled",
}


def _serverless(inputs: dict[str, Any]) -> list[Request]:
    limits = inputs.pop("cacheUsageLimits")
    storage = {name[0].upper() + name[1:]: value for name, value in limits["dataStorage"].items()}
    usage: dict[str, Any] = {"DataStorage": storage}
    for ecpu in limits.get("ecpuPerSeconds", []):
        usage["ECPUPerSecond"] = {name.capitalize(): value for name, value in ecpu.items()}
    names = {
        "name": "ServerlessCacheName",
        "description": "Description",
        "engine": "Engine",
        "majorEngineVersion": "MajorEngineVersion",
        "kmsKeyId": "KmsKeyId",
        "securityGroupIds": "SecurityGroupIds",
        "snapshotArnsToRestores": "SnapshotArnsToRestore",
        "userGroupId": "UserGroupId",
        "subnetIds": "SubnetIds",
        "snapshotRetentionLimit": "SnapshotRetentionLimit",
        "dailySnapshotTime": "DailySnapshotTime",
    }
    parameters = _take(inputs, names) | {"Tags": _tags(inputs), "CacheUsageLimits": usage}
    return [Request("elasticache", "CreateServerlessCache", parameters)]


def _key(inputs: dict[str, Any]) -> list[Request]:
    assert inputs.pop("enableKeyRotation") is True
    window = inputs.pop("deletionWindowInDays")
    make = _take(inputs, {"description": "Description"}) | {"Tags": _tags(inputs, "TagKey", "TagValue")}
    return [
        Request("kms", "CreateKey", make),
        Request("kms", "EnableKeyRotation", {"KeyId": "0"}),
        Request("kms", "ScheduleKeyDeletion", {"KeyId": "0", "PendingWindowInDays": window}, at_end=True),
    ]


def _log_group(inputs: dict[str, Any]) -> list[Request]:
    name, days = inputs.pop("name"), inputs.pop("retentionInDays")
    key = _take(inputs, {"kmsKeyId": "kmsKeyId"})
    return [
        Request("logs", "CreateLogGroup", {"logGroupName": name, "tags": inputs.pop("tags"), **key}),
        Request("logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": days}),
    ]


def _alarm(inputs: dict[str, Any]) -> list[Request]:
    metrics = []
    for query in inputs.pop("metricQueries"):
        metric = {"id": "Id", "expression": "Expression", "label": "Label", "returnData": "ReturnData"}
        entry = {metric[name]: value for name, value in query.items() if name in metric}
        if "metric" in query:
            measured = query["metric"]
            dimensions = [{"Name": name, "Value": value} for name, value in measured["dimensions"].items()]
            what = {
                "Namespace": measured["namespace"],
                "MetricName": measured["metricName"],
                "Dimensions": dimensions,
            }
            entry["MetricStat"] = {"Metric": what, "Period": measured["period"], "Stat": measured["stat"]}
        metrics.append(entry)
    names = {
        "name": "AlarmName",
        "alarmDescription": "AlarmDescription",
        "comparisonOperator": "ComparisonOperator",
        "threshold": "Threshold",
        "evaluationPeriods": "EvaluationPeriods",
        "treatMissingData": "TreatMissingData",
        "alarmActions": "AlarmActions",
        "okActions": "OKActions",
    }
    return [Request("cloudwatch", "PutMetricAlarm", _take(inputs, names) | {"Metrics": metrics, "Tags": _tags(inputs)})]


def _topic(inputs: dict[str, Any]) -> list[Request]:
    key = _take(inputs, {"kmsMasterKeyId": "KmsMasterKeyId"})
    make = _take(inputs, {"name": "Name"}) | {"Tags": _tags(inputs)} | ({"Attributes": key} if key else {})
    return [Request("sns", "CreateTopic", make)]


def _secret(inputs: dict[str, Any]) -> list[Request]:
    window = inputs.pop("recoveryWindowInDays")
    names = {"name": "Name", "description": "Description", "kmsKeyId": "KmsKeyId"}
    make = _take(inputs, names) | {"Tags": _tags(inputs)}
    how = {"RecoveryWindowInDays": window} if window else {"ForceDeleteWithoutRecovery": True}
    return [
        Request("secretsmanager", "CreateSecret", make),
        Request("secretsmanager", "DeleteSecret", {"SecretId": make["Name"], **how}, at_end=True),
    ]


def _record(inputs: dict[str, Any]) -> list[Request]:
    values = [{"Value": value} for value in inputs.pop("records")]
    record = _take(inputs, {"name": "Name", "type": "Type", "ttl": "TTL"}) | {"ResourceRecords": values}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    return [
        Request("route53", "ChangeResourceRecordSets", {"HostedZoneId": inputs.pop("zoneId"), "ChangeBatch": batch})
    ]


_CREATIONS: dict[str, Callable[[dict[str, Any]], list[Request]]] = {
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _rule("Ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _rule("Egress"),
    "aws:elasticache/subnetGroup:SubnetGroup": _named(
        "elasticache",
        "CreateCacheSubnetGroup",
        {"name": "CacheSubnetGroupName", "description": "CacheSubnetGroupDescription", "subnetIds": "SubnetIds"},
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": _parameter_group,
    "aws:elasticache/user:User": _user,
    "aws:elasticache/userGroup:UserGroup": _named(
        "elasticache", "CreateUserGroup", {"userGroupId": "UserGroupId", "engine": "Engine", "userIds": "UserIds"}
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": _replication_group,
    "aws:elasticache/serverlessCache:ServerlessCache": _serverless,
    "aws:kms/key:Key": _key,
    "aws:kms/alias:Alias": _named("kms", "CreateAlias", {"name": "AliasName", "targetKeyId": "TargetKeyId"}),
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:cloudwatch/dashboard:Dashboard": _named(
        "cloudwatch", "PutDashboard", {"dashboardName": "DashboardName", "dashboardBody": "DashboardBody"}
    ),
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicSubscription:TopicSubscription": _named(
        "sns", "Subscribe", {"topic": "TopicArn", "protocol": "Protocol", "endpoint": "Endpoint"}
    ),
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:secretsmanager/secretVersion:SecretVersion": _named(
        "secretsmanager", "PutSecretValue", {"secretId": "SecretId", "secretString": "SecretString"}
    ),
    "aws:route53/record:Record": _record,
    "aws:iam/policy:Policy": _named(
        "iam", "CreatePolicy", {"name": "PolicyName", "description": "Description", "policy": "PolicyDocument"}
    ),
}

KINDS = frozenset(_CREATIONS)
"""The types that the program may use."""
