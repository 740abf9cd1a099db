"""The aws target: ElastiCache for Valkey with its network, users, alarms and dashboard."""

from infra.targets.aws.deployment import AwsDeployment

__all__ = ["AwsDeployment"]
