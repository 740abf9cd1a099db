"""Valkey as a Pulumi component: a hardened server in containers, on ElastiCache, on Memorystore or on this machine.

The other modules are those of the folder infra of the repository, which the build adds.
"""

from pulumi_valkey.arguments import ValkeyArgs
from pulumi_valkey.component import Valkey
from pulumi_valkey.section_arguments import AwsArgs, DockerArgs, GcpArgs

__all__ = ["AwsArgs", "DockerArgs", "GcpArgs", "Valkey", "ValkeyArgs"]
