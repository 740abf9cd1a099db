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


def group_name(context: Context, family: str) -> str:
    """Contains the family: the groups of several families exist."""
    ending = "-cluster" if context.settings.topology == "cluster" else ""
    return f"{context.name}-{family}{ending}"


def families(version: str) -> list[str]:
    """The families of this and of all older versions, the version's own last.

    After an upgrade that waits for the maintenance window, nodes still use the group of their previous family, and AWS
    does not delete a group in use. So the groups of older families stay.
    """
    return sorted({family for family in FAMILIES.values() if family <= FAMILIES[version]})


def create_parameter_groups(context: Context) -> pulumi.Output[str]:
    """The name of the group for the version."""
    groups = [_create(context, family) for family in families(context.settings.version)]
    name: pulumi.Output[str] = groups[-1].name
    return name


def _create(context: Context, family: str) -> ParameterGroup:
    is_current = family == FAMILIES[context.settings.version]
    return ParameterGroup(
        f"parameters-{family}",
        name=group_name(context, family),
        family=family,
        description="The hardening of Valkey",
        parameters=[{"name": name, "value": value} for name, value in sorted(render(context.settings).items())],
        tags=context.tags,
        # The name from before there was one for each family.
        opts=context.options(pulumi.ResourceOptions(aliases=[pulumi.Alias(name="parameters")] if is_current else None)),
    )


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
