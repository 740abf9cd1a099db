"""The aws target: its parts, in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import Provider
from pulumi_aws.get_region import get_region
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError

from infra.outputs import AWS, USER_URLS
from infra.settings import StackSettings
from infra.settings.aws import sizing
from infra.settings.config_keys import set_command
from infra.targets.aws import access, alarms, dashboard, dns, network, replication, secrets, serverless
from infra.targets.aws.elasticache import CacheDependencies, ManagedCache, backup_days, create_guard
from infra.targets.aws.existing_group import look_up_existing
from infra.targets.aws.grants import AwsGrants
from infra.targets.aws.names import safe_name, tags
from infra.targets.context import Context, protection
from infra.targets.deployment import Login, TargetDeployment
from infra.targets.identity import Identity
from infra.targets.previous_resources import PreviousResources
from infra.targets.provider_configuration import provider_arguments
from infra.targets.setting_inputs import SettingInputs


class AwsDeployment(TargetDeployment):
    """ElastiCache for Valkey with network, users, backups, logs, alarms and a connection record."""

    def __init__(
        self, inputs: SettingInputs, identity: Identity, provider: pulumi.ProviderResource | None = None
    ) -> None:
        """
        Raises:
            ConfigurationError: the network, an existing group, the hosted zone, the provider's region or its
                configuration does not fit; no resource was registered.
        """
        settings = inputs.settings
        self._inputs, self._identity = inputs, identity
        if provider:
            _check_region(settings, provider)
        self._provider = provider or _provider(settings, identity)
        self._existing = network.look_up_once_known(inputs, self._provider)
        self._imported = look_up_existing(settings, self._provider)
        self._previous = PreviousResources()
        self._guard = create_guard(settings, identity, self._previous)
        self.component_options = self._previous.watch()
        lookups = (self._existing, dns.check_zone_once_known(inputs, self._provider))
        self.checks = [lookup for lookup in lookups if isinstance(lookup, pulumi.Output)]

    def deploy(self, component: pulumi.Resource) -> None:
        settings, provider, owner = self._inputs.settings, self._provider, self._identity.owner
        child_options = pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(parent=component, provider=provider), protection(component)
        )
        unchecked = Context(
            self._inputs, self._identity, safe_name(owner), tags(settings, owner), child_options, self._guard
        )
        # Nothing is registered after a failed update, which could pass for a success.
        completed = self._previous.once_known(component, self._previous.check_completed)
        context = unchecked.after([completed.apply(lambda _: provider)])
        topic = alarms.create_topic(context)  # first, since most resources wait for it
        users = access.create_users(context)
        key = secrets.create_encryption_key(context)
        placement = network.create_network(context, self._existing)
        cache = _create_cache(context, CacheDependencies(placement, users, key, topic, self._imported))
        watched = _create_alarms(context, cache, topic)
        uses_iam = settings.aws.auth == "iam"
        policies = access.create_connect_policies(context, users, cache.arn) if uses_iam else {}
        self.grants = AwsGrants(context, placement.servers, policies)
        dns.create_record(context, cache.nodes)
        self.logins: Mapping[str, Login] = users.logins
        self.endpoint = _endpoint(settings, cache, users.logins)
        self.outputs: Mapping[str, pulumi.Input[Any]] = {
            AWS: {
                "region": settings.aws.region,
                "cache": cache.name,
                "serverless": settings.topology == "serverless",
                "auth": settings.aws.auth,
                "backupDays": backup_days(settings),
                "vpcId": placement.vpc_id,
                "subnetIds": placement.subnet_ids,
                "securityGroupId": placement.servers,
                "clientSecurityGroupId": placement.clients,
                "topicArn": topic,
                "dashboard": dashboard.create_dashboard(context, watched),
                "secretArn": secrets.create_connection_secret(context, self.endpoint, users.logins, key),
                **({"dnsName": settings.aws.dnsName} if settings.aws.dnsName else {}),
                **({"configurationEndpoint": cache.configuration_endpoint} if cache.configuration_endpoint else {}),
                **({"connectPolicies": policies} if uses_iam else {}),
            }
        }
        if users.others:
            self.outputs = {**self.outputs, USER_URLS: access.user_urls(users.others, self.endpoint)}


def _provider(settings: StackSettings, identity: Identity) -> Provider:
    """Another region is another provider, and all resources would be created again there."""
    given = provider_arguments("aws", Provider, owned=("region",))
    previous = PreviousResources()
    guard = create_guard(settings, identity, previous)
    guarded = guard.protect("the region and all its resources", ("region",)) if guard else None
    options = pulumi.ResourceOptions.merge(previous.watch(), guarded) if guard else None
    return Provider(identity.resource("aws"), region=settings.aws.region, **given, opts=options)


def _check_region(settings: StackSettings, provider: pulumi.ProviderResource) -> None:
    """Of the caller's provider: names and ARNs are built from the configured region, resources are created in its own.

    Raises:
        ConfigurationError: they differ.
    """
    region = get_region(opts=pulumi.InvokeOptions(provider=provider)).region  # None if it is not known in a preview
    if region and region != settings.aws.region:
        raise ConfigurationError(
            f"aws.region is {settings.aws.region}, the region of the provider is {region}",
            fix=set_command("aws.region", region),
        )


def _create_cache(context: Context, deps: CacheDependencies) -> ManagedCache:
    if context.settings.topology != "serverless":
        return replication.create_replication_group(context, deps)
    for note in serverless.NOTES:
        pulumi.log.info(f"aws: {note}")
    return serverless.create_serverless_cache(context, deps)


def _create_alarms(context: Context, cache: ManagedCache, topic: pulumi.Output[str]) -> alarms.WatchedCache:
    """Create the alarms; returns the cache as CloudWatch knows it."""
    settings = context.settings
    if cache.members is None:
        watched = alarms.WatchedCache(alarms.SERVERLESS_DIMENSION, pulumi.Output.from_input([cache.name]), 1)
        rules = list(alarms.rules_of_serverless(settings))
    else:
        count = settings.shard_count * (1 + settings.replica_count)
        watched = alarms.WatchedCache(alarms.NODE_DIMENSION, cache.members, count)
        rules = list(alarms.rules_of_nodes(settings, sizing.node_type(settings)))
    if unused := settings.aws.alarmThresholds.keys() - {rule.metric for rule in rules}:
        pulumi.log.warn(f"aws.alarmThresholds: this cache has no alarm for {', '.join(sorted(unused))}")
    if settings.aws.alarms:
        alarms.create_alarms(context, rules, watched, topic)
    return watched


def _endpoint(settings: StackSettings, cache: ManagedCache, logins: Mapping[str, Login]) -> pulumi.Output[Endpoint]:
    return pulumi.Output.all(nodes=cache.nodes, version=cache.version).apply(
        lambda parts: Endpoint(
            target="aws",
            topology=settings.topology,
            nodes=tuple(parts["nodes"]),
            tls=True,
            version=parts["version"],
            workload=settings.workload,
            maxmemory=cache.maxmemory,
            users=tuple(login.user for login in logins.values()),
        )
    )
