"""The parameter group: the part of the hardening table that ElastiCache supports."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi
from pulumi_aws.elasticache.parameter_group import ParameterGroup

from infra.settings import StackSettings
from infra.settings.aws.catalogue import FAMILIES
from infra.settings.aws.cluster_mode import cluster_mode
from infra.settings.aws.parameters import AT_CREATION, hardened, supported
from infra.settings.config_keys import remove_command, set_command
from infra.targets.context import Context
from infra.targets.previous_resources import Inputs
from infra.targets.update_checks import Obstacle, check_updates


def render(settings: StackSettings, family: str) -> dict[str, str]:
    """The parameters of a family's group."""
    is_cluster = {} if cluster_mode(settings) == "disabled" else {"cluster-enabled": "yes"}
    own = {name: value for name, value in settings.parameters.items() if name in supported(family)}
    return {**hardened(settings), **own, **is_cluster}


def group_name(context: Context, family: str) -> str:
    """Contains the family: the groups of several families exist."""
    ending = "" if cluster_mode(context.settings) == "disabled" else "-cluster"
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
    # The name from before there was one for each family.
    options = [
        pulumi.ResourceOptions(aliases=[pulumi.Alias(name=context.resource("parameters"))] if is_current else None)
    ]
    if is_current:
        options.append(check_updates(context.resource("checks of the parameter group"), fixed_changes))
    return ParameterGroup(
        context.resource(f"parameters-{family}"),
        name=group_name(context, family),
        family=family,
        description="The hardening of Valkey",
        parameters=[{"name": name, "value": value} for name, value in sorted(render(context.settings, family).items())],
        tags=context.tags,
        opts=context.options(*options),
    )


def fixed_changes(previous: Inputs, new: Inputs) -> Iterator[Obstacle]:
    """Parameters that AWS accepts only before a cache uses the group."""
    before, after = _values(previous), _values(new)
    for name in AT_CREATION:
        if before.get(name) != after.get(name):
            previous_value = before.get(name)
            key = f"parameters.{name}"
            revert = set_command(key, previous_value) if previous_value else remove_command(key)
            reason = f"{name} can only be set when the cache is created: create a new stack and migrate"
            yield Obstacle(reason, revert)


def _values(inputs: Inputs) -> dict[str, str]:
    return {parameter["name"]: parameter["value"] for parameter in inputs.get("parameters", ())}
