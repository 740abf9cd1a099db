"""The gcp target: its parts, in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
from pulumi_gcp.memorystore.instance import Instance
from pulumi_gcp.provider import Provider
from valkeykit.endpoint import Endpoint
from valkeykit.url import Node

from infra.errors import ProvisioningError
from infra.outputs import GCP, PENDING_UPDATES
from infra.settings import StackSettings
from infra.settings.gcp.catalogue import PORT, PREVIEW_VERSIONS
from infra.settings.gcp.persistence import backup_days
from infra.targets.context import Context, protection
from infra.targets.deployment import Login, TargetDeployment
from infra.targets.gcp import (
    access,
    agent,
    alerts,
    apis,
    dashboard,
    endpoints,
    existing_networks,
    instance_protection,
    names,
    network,
    retention,
    secrets,
    user_endpoints,
    vendor_errors,
    waiting_notes,
)
from infra.targets.gcp.instance import arguments as instance_request
from infra.targets.gcp.instance import create_instance
from infra.targets.gcp.updates import UpdatePlan, provider_names
from infra.targets.identity import Identity
from infra.targets.output_errors import as_run_error
from infra.targets.previous_resources import PreviousResources
from infra.targets.provider_configuration import provider_arguments
from infra.targets.setting_inputs import SettingInputs


class GcpDeployment(TargetDeployment):
    """Memorystore for Valkey with network, members, backups, alerts and a connection record."""

    def __init__(
        self, settings: StackSettings, identity: Identity, provider: pulumi.ProviderResource | None = None
    ) -> None:
        """
        Raises:
            ConfigurationError: a configured file or the provider's configuration cannot be used; no resource was
                registered.
        """
        self._settings, self._identity = settings, identity
        self._authority = endpoints.read_authority(settings)
        self._previous = PreviousResources()
        self._guard = instance_protection.create_guard(settings, self._previous, identity)
        self._provider = provider or _provider(settings, identity)
        self.component_options = self._previous.watch()

    def deploy(self, component: pulumi.Resource) -> None:
        settings, identity = self._settings, self._identity
        provider, previous = self._provider, self._previous
        child_options = pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(parent=component, provider=provider), protection(component)
        )
        name, labels = names.safe_name(identity.owner), names.labels(settings, identity.owner)
        unordered = Context(SettingInputs(settings), identity, name, labels, child_options, self._guard)
        explained = replace(unordered, child_options=unordered.options(vendor_errors.explaining(identity)))
        for note in notes(settings):
            pulumi.log.info(f"gcp: {note}")
        request = instance_request(unordered, access.acl_policy_name(unordered))
        plan = _plan(component, settings, previous, request, identity.stack)
        # Nothing is registered before the plan is accepted.
        accepted = pulumi.Output.all(plan, _check_networks(settings, provider))
        planned = explained.after([accepted.apply(lambda _: provider)])
        context = planned.after(apis.enable_apis(planned))
        kept = retention.retained(context)
        policy = (
            network.read_connection_policy(unordered)
            if settings.gcp.connectionPolicy
            else network.create_connection_policy(kept, previous)
        )
        members = access.create_acl_policy(kept)
        depends_on = [policy, *agent.grant_agent_access(kept), *members.depends_on]
        instance = create_instance(kept, request, plan, previous, depends_on)
        access.grant_connect(kept)
        further = user_endpoints.create_user_endpoints(kept, instance) if settings.gcp.endpointNetworks else None
        alerts.create_alerts(context, alerts.create_channels(context))
        self.logins: Mapping[str, Login] = members.logins
        self.endpoint = _endpoint(settings, instance, plan, members.logins, self._authority)
        self.outputs: Mapping[str, pulumi.Input[Any]] = {
            GCP: {
                "project": settings.gcp.project,
                "location": settings.gcp.location,
                "instance": names.instance(context),
                "network": names.network(context),
                "auth": settings.gcp.auth,
                "aclPolicy": members.policy,
                "firewall": instance.endpoints.apply(lambda created: network.firewall(endpoints.addresses(created))),
                "dashboard": dashboard.create_dashboard(context),
                "secret": secrets.create_connection_secret(context, self.endpoint, members.logins),
                "availableMaintenanceVersions": instance.available_maintenance_versions,
                PENDING_UPDATES: plan.apply(instance_protection.pending),
                **({"endpoints": _by_network(settings, self.endpoint, members.logins, further)} if further else {}),
                **({"readerUrl": _reader_url(self.endpoint, members.logins)} if _has_reader(settings) else {}),
            }
        }


def _plan(
    component: pulumi.Resource,
    settings: StackSettings,
    previous: PreviousResources,
    request: Mapping[str, Any],
    stack: str,
) -> pulumi.Output[UpdatePlan]:
    def plan() -> UpdatePlan:
        planned = instance_protection.plan_update(previous, provider_names(request), stack)
        retention.check_members(settings, previous)
        if note := waiting_notes.note(previous.of(instance_protection.INSTANCE), planned):
            pulumi.log.info(note)
        if later := instance_protection.pending(planned):
            pulumi.log.info(f"gcp: {len(later) + 1} updates: this one, then {'; then '.join(later)}")
        return planned

    return previous.once_known(component, plan)


def _check_networks(settings: StackSettings, provider: pulumi.ProviderResource) -> pulumi.Output[None]:
    async def check() -> None:
        try:
            await existing_networks.check_networks(settings, provider)
        except ProvisioningError as problem:
            raise pulumi.RunError(str(problem)) from None

    return pulumi.Output.from_input(check())


def _provider(settings: StackSettings, identity: Identity) -> Provider:
    given = provider_arguments("gcp", Provider, owned=("project", "region"))
    return Provider(identity.resource("gcp"), project=settings.gcp.project, region=settings.gcp.location, **given)


def notes(settings: StackSettings) -> list[str]:
    """Notes for the operator."""
    remains = "only the daily backups" if backup_days(settings) else "and there are no backups"
    if settings.gcp.deletionPolicy == "abandon":
        lines = ["`pulumi destroy` leaves the instance in Google, and what it needs"]
    else:
        lines = [f"`pulumi destroy` leaves no final snapshot, {remains}; `make backup` makes one"]
    if settings.version in PREVIEW_VERSIONS:
        lines.append(f"Valkey {settings.version} is a preview on Memorystore, without a service level agreement")
    if settings.gcp.auth == "iam" and not any(access.members(settings).values()):
        lines.append(
            "no members are configured: only those with access to the project, such as its owners, can connect"
        )
    return lines


def _has_reader(settings: StackSettings) -> bool:
    return endpoints.READER in endpoints.connection_types(settings)


def _endpoint(
    settings: StackSettings,
    instance: Instance,
    plan: pulumi.Output[UpdatePlan],
    logins: Mapping[str, Login],
    authority: str | None,
) -> pulumi.Output[Endpoint]:
    """Unknown in a preview of a new instance, like its addresses."""
    types = endpoints.connection_types(settings)

    @as_run_error
    def nodes(created: Sequence[Any] | None) -> list[Node]:
        return list(endpoints.nodes(created, types))

    @as_run_error
    def certificates(created: Sequence[Any] | None) -> str | None:
        found = endpoints.authority(created, authority)
        return endpoints.check_authority(settings, found)

    ca = instance.managed_server_cas.apply(certificates)
    maxmemory = plan.apply(lambda known: int(known.inputs["engineConfigs"]["maxmemory"]))
    return pulumi.Output.all(
        nodes=instance.endpoints.apply(nodes), ca=ca, version=instance.engine_version, maxmemory=maxmemory
    ).apply(
        lambda parts: Endpoint(
            target="gcp",
            topology=settings.topology,
            nodes=tuple(parts["nodes"]),
            tls=settings.gcp.tls,
            version=parts["version"].removeprefix("VALKEY_").replace("_", "."),
            workload=settings.workload,
            maxmemory=parts["maxmemory"],
            users=tuple(sorted({login.user for login in logins.values()} - {""})),
            ca=parts["ca"] if settings.gcp.tls else None,
            check_hostname=settings.gcp.checkHostname,
        )
    )


def _reader_url(endpoint: pulumi.Output[Endpoint], logins: Mapping[str, Login]) -> pulumi.Output[str]:
    """The URL of an application for reads from replicas, which can be slightly stale."""
    user = logins["app"].user
    return endpoint.apply(lambda known: _url_at(known, user, known.nodes[1].host))


def _url_at(endpoint: Endpoint, user: str, host: str) -> str:
    return replace(endpoint.address(user, None), host=host, port=PORT).url


def _by_network(
    settings: StackSettings,
    endpoint: pulumi.Output[Endpoint],
    logins: Mapping[str, Login],
    further: pulumi.Output[Mapping[str, Mapping[str, str]]],
) -> pulumi.Output[dict[str, Any]]:
    """By network of `gcp.endpointNetworks`: what a client in it needs."""
    user, types = logins["app"].user, endpoints.connection_types(settings)

    def render(known: Endpoint, addresses: Mapping[str, str]) -> dict[str, Any]:
        urls = zip(("url", "readerUrl"), types, strict=False)
        return {
            **{name: _url_at(known, user, addresses[kind]) for name, kind in urls},
            "firewall": network.firewall(sorted(addresses.values())),
        }

    found: pulumi.Output[dict[str, Any]] = pulumi.Output.all(endpoint, further).apply(
        lambda parts: {name: render(parts[0], addresses) for name, addresses in parts[1].items()}
    )
    return found
