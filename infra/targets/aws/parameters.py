"""The parameter group: the part of the hardening table that ElastiCache supports."""

from __future__ import annotations

import pulumi
from pulumi_aws.elasticache.parameter_group import ParameterGroup

from infra import hardening
from infra.settings import StackSettings
from infra.settings.aws.catalogue import FAMILIES
from infra.settings.aws.nodes import RESERVED_PERCENT
from infra.targets.context import Context

_BUFFERS = "client-output-buffer-limit"
_SETTABLE_BUFFERS = ("normal", "pubsub")
"""The service sets the limits of replicas."""


def render(settings: StackSettings) -> dict[str, str]:
    """The parameters. `maxmemory` depends on the node type and cannot be set."""
    directives = hardening.directives(settings.workload, settings.maxmemory, "aws")
    buffers = directives.pop(_BUFFERS)
    del directives["maxmemory"]
    is_cluster = {"cluster-enabled": "yes"} if settings.topology == "cluster" else {}
    return {
        **directives,
        **_buffer_limits(buffers),
        "acl-pubsub-default": "resetchannels",
        "reserved-memory-percent": str(RESERVED_PERCENT),
        **is_cluster,
    }


def group_name(context: Context) -> str:
    """Contains the family: during an upgrade the groups of both families exist."""
    ending = "-cluster" if context.settings.topology == "cluster" else ""
    return f"{context.name}-{FAMILIES[context.settings.version]}{ending}"


def create_parameter_group(context: Context) -> pulumi.Output[str]:
    """The name of the group."""
    group = ParameterGroup(
        "parameters",
        name=group_name(context),
        family=FAMILIES[context.settings.version],
        description="The hardening of Valkey",
        parameters=[{"name": name, "value": value} for name, value in sorted(render(context.settings).items())],
        tags=context.tags,
        opts=context.options(),
    )
    name: pulumi.Output[str] = group.name
    return name


def _buffer_limits(value: str) -> dict[str, str]:
    """ElastiCache has a parameter for each word of the directive."""
    words = value.split()
    rendered = {}
    for kind, hard, soft, seconds in zip(*(words[start::4] for start in range(4)), strict=True):
        if kind in _SETTABLE_BUFFERS:
            rendered[f"{_BUFFERS}-{kind}-hard-limit"] = hard
            rendered[f"{_BUFFERS}-{kind}-soft-limit"] = soft
            rendered[f"{_BUFFERS}-{kind}-soft-seconds"] = seconds
    return rendered
