"""The aws target: ElastiCache for Valkey, its network, its users, and what watches it."""

from infra.targets.aws.component import AwsDeployment

__all__ = ["AwsDeployment"]
