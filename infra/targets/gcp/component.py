"""The gcp target: all its parts, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
from pulumi_gcp.memorystore.instance import Instance
from pulumi_gcp.provider import Provider
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra.settings import Settings
from infra.settings.gcp.catalogue import PREVIEW_VERSIONS
from infra.targets import Deployment, Login
from infra.targets.applied import in_one_line
from infra.targets.context import Context
from infra.targets.gcp import access, agent, alerts, apis, changes, dashboard, endpoints, names, network, secret
from infra.targets.gcp import instance as instances


class Gcp(Deployment):
    """Memorystore for Valkey with network, members, backups, alerts and a connection record."""

    def __init__(self, name: str, settings: Settings, stack: str) -> None:
        """
        stack: project/stack; the names of all resources follow from it.

        Raises:
            ConfigurationError: a file that is named can't be used; nothing was registered.
        """
        authority = endpoints.read_authority(settings)
        guard = changes.guard(settings)
        provider = Provider("gcp", project=settings.gcp.project, region=settings.gcp.location)
        super().__init__("valkey:target:Gcp", name, None, guard.watch() if guard else None)
        child = pulumi.ResourceOptions(parent=self, provider=provider)
        context = Context(settings, names.safe_name(stack), names.labels(settings, stack), child, guard)
        for note in notes(settings):
            pulumi.log.info(f"gcp: {note}")
        enabled = apis.make(context)
        policy = network.make(context, enabled)
        members = access.make(context, enabled)
        needs = [*enabled, policy, *agent.make(context, enabled), *members.needs]
        instance = instances.make(context, needs, members.policy)
        access.bind(context)
        alerts.make(context, alerts.channels(context))
        self.logins: Mapping[str, Login] = members.logins
        self.endpoint = _endpoint(settings, instance, members.logins, authority)
        self.outputs: Mapping[str, pulumi.Input[Any]] = {
            "gcp": {
                "project": settings.gcp.project,
                "location": settings.gcp.location,
                "instance": names.instance(context),
                "network": names.network(context),
                "auth": settings.gcp.auth,
                "aclPolicy": members.policy,
                "firewall": instance.endpoints.apply(lambda found: network.firewall(endpoints.addresses(found))),
                "dashboard": dashboard.make(context),
                "secret": secret.make(context, self.endpoint, members.logins, enabled),
                **({"readerUrl": _reader_url(self.endpoint, members.logins)} if _has_reader(settings) else {}),
            }
        }
        self.register_outputs({})


def notes(settings: Settings) -> list[str]:
    """What the operator is told."""
    found = ["no final snapshot is left by `pulumi destroy`: the daily backups are what there is"]
    if settings.version in PREVIEW_VERSIONS:
        found.append(f"Valkey {settings.version} is a preview on Memorystore, without a service level agreement")
    if settings.gcp.auth == "iam" and not any(access.members(settings).values()):
        found.append("no members are named, so only who may connect already, such as the project's owners, gets in")
    return found


def _has_reader(settings: Settings) -> bool:
    return endpoints.READER in endpoints.wanted(settings)


def _endpoint(
    settings: Settings, instance: Instance, logins: Mapping[str, Login], authority: str | None
) -> pulumi.Output[Endpoint]:
    """Unknown in a preview of a new instance, as its addresses are."""
    wanted = endpoints.wanted(settings)

    @in_one_line
    def nodes(found: Sequence[Any] | None) -> list[Node]:
        return list(endpoints.nodes(found, wanted))

    ca = instance.managed_server_cas.apply(lambda found: endpoints.authority(found, authority))
    return pulumi.Output.all(nodes=instance.endpoints.apply(nodes), ca=ca, version=instance.engine_version).apply(
        lambda found: Endpoint(
            target="gcp",
            topology=settings.topology,
            nodes=tuple(found["nodes"]),
            tls=settings.gcp.tls,
            version=found["version"].removeprefix("VALKEY_").replace("_", "."),
            workload=settings.workload,
            maxmemory=instances.nodes_of(settings).node.maxmemory,
            users=tuple(sorted({login.user for login in logins.values()} - {""})),
            ca=found["ca"] if settings.gcp.tls else None,
            check_hostname=settings.gcp.checkHostname,
        )
    )


def _reader_url(endpoint: pulumi.Output[Endpoint], logins: Mapping[str, Login]) -> pulumi.Output[str]:
    """An application's, of the replicas: it reads what may be a moment old, and writes nothing."""
    user = logins["app"].user

    def render(known: Endpoint) -> str:
        _, reader = known.nodes
        return replace(known.address(user, None), host=reader.host, port=reader.port).url

    return endpoint.apply(render)
