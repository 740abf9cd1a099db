"""A name in the operator's hosted zone that leads to the cache."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_aws.route53.get_zone import get_zone
from pulumi_aws.route53.record import Record
from valkeykit.errors import ConfigurationError
from valkeykit.url import Node

from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.targets.context import Context
from infra.targets.setting_inputs import SettingInputs

RECORD_TTL_SECONDS = 60
"""After a replacement, clients resolve the new cache a minute later."""


def check_zone_once_known(inputs: SettingInputs, provider: pulumi.ProviderResource) -> pulumi.Output[None] | None:
    """Check the name against its zone; an output if the zone is another resource.

    Raises:
        ConfigurationError: AWS does not find the zone, or the name is not in it; no resource was registered.
    """
    checked: pulumi.Output[None] | None = inputs.derive(
        lambda settings: _check_zone(settings, provider), "aws.hostedZone"
    )
    return checked


def _check_zone(settings: StackSettings, provider: pulumi.ProviderResource) -> None:
    """The provider would append the zone's name to a name of another zone."""
    aws = settings.aws
    if not aws.dnsName:
        return
    try:
        zone = get_zone(zone_id=aws.hostedZone, opts=pulumi.InvokeOptions(provider=provider)).name
    except Exception as problem:  # noqa: BLE001 — Pulumi's invokes raise nothing more precise
        reason = str(problem).strip().splitlines()[-1]
        raise ConfigurationError(
            f"AWS cannot look up the hosted zone {aws.hostedZone}: {reason}", fix="check aws.hostedZone"
        ) from None
    if zone and not aws.dnsName.endswith(f".{zone}"):  # None if the provider is not known in a preview
        raise ConfigurationError(
            f"aws.dnsName is {aws.dnsName}, names in the hosted zone {aws.hostedZone} end with .{zone}",
            fix=set_command("aws.dnsName", f"valkey.{zone}"),
        )


def create_record(context: Context, nodes: pulumi.Output[Sequence[Node]]) -> None:
    """A CNAME for the first endpoint: of the primary, the cluster or the serverless cache."""
    aws = context.settings.aws
    if aws.dnsName:
        Record(
            context.resource("dns"),
            zone_id=context.inputs.of("aws.hostedZone"),
            name=aws.dnsName,
            type="CNAME",
            ttl=RECORD_TTL_SECONDS,
            records=[nodes.apply(lambda endpoints: endpoints[0].host)],
            opts=context.options(),
        )
