"""The gcp target: Memorystore for Valkey with its network, members, alerts and dashboard."""

from infra.targets.gcp.deployment import GcpDeployment

__all__ = ["GcpDeployment"]
