"""Cluster mode of a replication group: by its topology, or on the way from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from infra.settings.config_keys import ConfigProblem, remove_command, set_command

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings

ClusterMode = Literal["disabled", "compatible", "enabled"]


def cluster_mode(settings: StackSettings) -> ClusterMode:
    """With `compatible`, AWS serves clients with and without the cluster protocol."""
    if settings.topology == "cluster":
        return "enabled"
    return "compatible" if settings.aws.enableClusterMode else "disabled"


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    """What AWS requires to enable cluster mode in place (User Guide, "Modifying cluster mode")."""
    if not settings.aws.enableClusterMode:
        return
    if settings.topology not in ("replicated", "cluster"):
        reason = f"is true, but the topology is {settings.topology}"
        yield ConfigProblem("aws.enableClusterMode", reason, remove_command("aws.enableClusterMode"))
    elif not settings.replica_count:
        reason = "is 0, but AWS enables cluster mode only with replicas"
        yield ConfigProblem("replicas", reason, set_command("replicas", "1"))
