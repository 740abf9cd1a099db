"""The gcp target: Memorystore for Valkey, its network, its members, and what watches it."""

from infra.targets.gcp.component import GcpDeployment

__all__ = ["GcpDeployment"]
