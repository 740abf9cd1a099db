"""The aws target: all its parts, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import Provider
from valkeykit.endpoint import Endpoint

from infra.settings import Settings
from infra.targets import Deployment, Login
from infra.targets.aws import access, alarms, dashboard, encryption, network, policies, replication, secret, serverless
from infra.targets.aws.cache import Cache, Surroundings, guard
from infra.targets.aws.context import Context, labels, safe_name


class Aws(Deployment):
    """ElastiCache for Valkey with network, users, backups, logs, alarms and a connection record."""

    def __init__(self, name: str, settings: Settings, stack: str) -> None:
        """
        stack: project/stack; the names of all resources follow from it.

        Raises:
            ConfigurationError: the network can't hold what is asked for; nothing was registered.
        """
        provider = _provider(settings)
        place = network.look_up(settings, provider)
        keeper = guard(settings)
        super().__init__("valkey:target:Aws", name, None, keeper.watch() if keeper else None)
        child = pulumi.ResourceOptions(parent=self, provider=provider)
        context = Context(settings, safe_name(stack), labels(settings, stack), child, keeper)
        topic = alarms.topic(context)  # first, since most resources wait for it
        users = access.make(context)
        key = encryption.make(context)
        placed = network.make(context, place)
        around = Surroundings(placed, users, key, topic)
        cache = _cache(context, around)
        dimensions = _watch(context, cache, topic)
        self.logins: Mapping[str, Login] = users.logins
        self.endpoint = _endpoint(settings, cache, users.logins)
        self.outputs: Mapping[str, pulumi.Input[Any]] = {
            "aws": {
                "region": settings.aws.region,
                "cache": cache.name,
                "serverless": settings.topology == "serverless",
                "auth": settings.aws.auth,
                "vpcId": placed.vpc_id,
                "subnetIds": list(placed.subnet_ids),
                "securityGroupId": placed.servers,
                "clientSecurityGroupId": placed.clients,
                "topicArn": topic,
                "dashboard": dashboard.make(context, dimensions),
                "secretArn": secret.make(context, self.endpoint, users.logins, key),
                **({"connectPolicies": policies.make(context, users, cache)} if settings.aws.auth == "iam" else {}),
            }
        }
        self.register_outputs({})


def _provider(settings: Settings) -> Provider:
    """Another region is another provider, and everything that it made would be made again there."""
    keeper = guard(settings)
    kept = keeper.keep("the region with all that is there", ("region",)) if keeper else None
    options = pulumi.ResourceOptions.merge(keeper.watch(), kept) if keeper else None
    return Provider("aws", region=settings.aws.region, opts=options)


def _cache(context: Context, around: Surroundings) -> Cache:
    if context.settings.topology != "serverless":
        return replication.make(context, around)
    for note in serverless.NOTES:
        pulumi.log.info(f"aws: {note}")
    return serverless.make(context, around)


def _watch(context: Context, cache: Cache, topic: pulumi.Output[str]) -> list[alarms.Dimension]:
    """Make the alarms; returns what CloudWatch knows the cache by."""
    settings = context.settings
    if settings.topology == "serverless":
        dimensions = [(dimension, cache.name) for dimension in alarms.SERVERLESS_DIMENSIONS]
        rules = list(alarms.rules_of_serverless(settings))
    else:
        dimensions = [("CacheClusterId", node) for node in replication.node_ids(cache.name, settings)]
        rules = list(alarms.rules_of_nodes(settings, replication.node_type(settings)))
    alarms.make(context, rules, dimensions, topic)
    return dimensions


def _endpoint(settings: Settings, cache: Cache, logins: Mapping[str, Login]) -> pulumi.Output[Endpoint]:
    return pulumi.Output.all(nodes=cache.nodes, version=cache.version).apply(
        lambda known: Endpoint(
            target="aws",
            topology=settings.topology,
            nodes=tuple(known["nodes"]),
            tls=True,
            version=known["version"],
            workload=settings.workload,
            maxmemory=cache.maxmemory,
            users=tuple(login.user for login in logins.values()),
        )
    )
