"""The parameter group: the hardening table, as far as ElastiCache lets it be set."""

from __future__ import annotations

import pulumi
from pulumi_aws.elasticache.parameter_group import ParameterGroup

from infra import hardening
from infra.settings import Settings
from infra.settings.aws.catalogue import FAMILIES
from infra.settings.aws.nodes import RESERVED_PERCENT
from infra.targets.aws.context import Context

_BUFFERS = "client-output-buffer-limit"
_SETTABLE_BUFFERS = ("normal", "pubsub")
"""The replicas' limits are the service's own."""


def render(settings: Settings) -> dict[str, str]:
    """Names and values of the group. `maxmemory` follows from the node type and can't be set."""
    wanted = hardening.directives(settings.workload, settings.maxmemory, "aws")
    buffers = wanted.pop(_BUFFERS)
    del wanted["maxmemory"]
    is_cluster = {"cluster-enabled": "yes"} if settings.topology == "cluster" else {}
    return {
        **wanted,
        **_buffer_limits(buffers),
        "acl-pubsub-default": "resetchannels",
        "reserved-memory-percent": str(RESERVED_PERCENT),
        **is_cluster,
    }


def group_name(context: Context) -> str:
    """With the family in it: a group of one family doesn't fit another one, and both exist during an upgrade."""
    ending = "-cluster" if context.settings.topology == "cluster" else ""
    return f"{context.name}-{FAMILIES[context.settings.version]}{ending}"


def make(context: Context) -> pulumi.Output[str]:
    """The group's name."""
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
    """ElastiCache has a parameter for each of the directive's words."""
    words = value.split()
    rendered = {}
    for kind, hard, soft, seconds in zip(*(words[start::4] for start in range(4)), strict=True):
        if kind in _SETTABLE_BUFFERS:
            rendered[f"{_BUFFERS}-{kind}-hard-limit"] = hard
            rendered[f"{_BUFFERS}-{kind}-soft-limit"] = soft
            rendered[f"{_BUFFERS}-{kind}-soft-seconds"] = seconds
    return rendered
