"""The IAM actions with which the provider creates, reads, updates and deletes the program's resources."""

from __future__ import annotations

import json

ACTIONS: dict[str, tuple[str, ...]] = {
    "ec2": (
        *("AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress", "CreateSecurityGroup", "CreateSubnet"),
        *("CreateTags", "CreateVpc", "DeleteSecurityGroup", "DeleteSubnet", "DeleteTags", "DeleteVpc"),
        *("DescribeAvailabilityZones", "DescribeNetworkAcls", "DescribeNetworkInterfaces", "DescribeRouteTables"),
        *("DescribeSecurityGroupRules", "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcAttribute"),
        *("DescribeVpcs", "ModifySecurityGroupRules", "ModifySubnetAttribute", "ModifyVpcAttribute"),
        *("RevokeSecurityGroupEgress", "RevokeSecurityGroupIngress"),
    ),
    "elasticache": (
        *("AddTagsToResource", "CreateCacheParameterGroup", "CreateCacheSubnetGroup", "CreateReplicationGroup"),
        *("CreateServerlessCache", "CreateSnapshot", "CreateUser", "CreateUserGroup", "DecreaseReplicaCount"),
        *("DeleteCacheParameterGroup", "DeleteCacheSubnetGroup", "DeleteReplicationGroup", "DeleteServerlessCache"),
        *("DeleteUser", "DeleteUserGroup", "DescribeCacheClusters", "DescribeCacheParameterGroups"),
        *("DescribeCacheParameters", "DescribeCacheSubnetGroups", "DescribeReplicationGroups"),
        *("DescribeServerlessCaches", "DescribeUserGroups", "DescribeUsers", "IncreaseReplicaCount"),
        *("ListTagsForResource", "ModifyCacheParameterGroup", "ModifyCacheSubnetGroup", "ModifyReplicationGroup"),
        *("ModifyReplicationGroupShardConfiguration", "ModifyServerlessCache", "ModifyUser", "ModifyUserGroup"),
        *("RemoveTagsFromResource", "ResetCacheParameterGroup"),
    ),
    "cloudwatch": (
        *("DeleteAlarms", "DeleteDashboards", "DescribeAlarms", "GetDashboard", "ListTagsForResource"),
        *("PutDashboard", "PutMetricAlarm", "TagResource", "UntagResource"),
    ),
    "firehose": ("TagDeliveryStream",),
    "iam": (
        *("CreatePolicy", "CreatePolicyVersion", "CreateServiceLinkedRole", "DeletePolicy", "DeletePolicyVersion"),
        *("GetPolicy", "GetPolicyVersion", "ListPolicyVersions", "TagPolicy", "UntagPolicy"),
    ),
    "kms": (
        *("CreateAlias", "CreateGrant", "CreateKey", "Decrypt", "DeleteAlias", "DescribeKey", "EnableKeyRotation"),
        *("GenerateDataKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListAliases", "ListResourceTags", "PutKeyPolicy"),
        *("ScheduleKeyDeletion", "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription"),
    ),
    "logs": (
        *("CreateLogDelivery", "CreateLogGroup", "DeleteLogDelivery", "DeleteLogGroup", "DescribeLogGroups"),
        *("DescribeResourcePolicies", "GetLogDelivery", "ListLogDeliveries", "ListTagsForResource"),
        *("PutResourcePolicy", "PutRetentionPolicy", "TagResource", "UntagResource", "UpdateLogDelivery"),
    ),
    "route53": (
        *("ChangeResourceRecordSets", "GetChange", "GetHostedZone", "ListResourceRecordSets", "ListTagsForResource"),
    ),
    "secretsmanager": (
        *("CreateSecret", "DeleteSecret", "DescribeSecret", "GetResourcePolicy", "GetSecretValue", "PutSecretValue"),
        *("TagResource", "UntagResource", "UpdateSecret", "UpdateSecretVersionStage"),
    ),
    "sns": (
        *("CreateTopic", "DeleteTopic", "GetSubscriptionAttributes", "GetTopicAttributes", "ListTagsForResource"),
        *("SetTopicAttributes", "Subscribe", "TagResource", "Unsubscribe", "UntagResource"),
    ),
    "sts": ("GetCallerIdentity",),
}
"""By the prefix of a service. What ElastiCache does on the operator's behalf is included: grants of the KMS key, the
delivery of logs, its service-linked role, and the final snapshot."""


def policy() -> str:
    """The policy document."""
    statements = [
        {
            "Sid": prefix.capitalize(),
            "Effect": "Allow",
            "Action": [f"{prefix}:{name}" for name in names],
            "Resource": "*",
        }
        for prefix, names in ACTIONS.items()
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"
