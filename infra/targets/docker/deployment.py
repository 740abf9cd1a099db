"""The docker target: passwords, certificate, containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
from valkeykit.version_numbers import minor_version, parse_version

from infra import hardening
from infra.drivers.docker import deployment_files, exporter
from infra.drivers.docker.plan import DeploymentPlan
from infra.outputs import FIREWALL, PROMETHEUS_TARGETS, SENTINELS
from infra.providers.cleanup import Cleanup
from infra.providers.credentials import Authority, Certificate, Password
from infra.providers.docker import Containers
from infra.settings import StackSettings
from infra.settings.config_keys import set_command
from infra.targets.context import protection
from infra.targets.deployment import Login, TargetDeployment, password_logins
from infra.targets.docker import preflight
from infra.targets.docker.planning import (
    PATCH_RELEASES,
    certificate_names,
    create_endpoint,
    create_plan,
    firewall_rules,
    image_for,
    sentinel_addresses,
)
from infra.targets.identity import Identity
from infra.targets.setting_inputs import SettingInputs


class DockerDeployment(TargetDeployment):
    """Users with random passwords, an authority with a certificate, and the containers that use them."""

    def __init__(self, inputs: SettingInputs, identity: Identity) -> None:
        """
        Raises:
            ConfigurationError: lists every problem of the engine or of a configured file.
        """
        preflight.check(inputs.settings)
        self._inputs, self._identity = inputs, identity

    def deploy(self, component: pulumi.Resource) -> None:
        inputs, identity = self._inputs, self._identity
        settings = inputs.settings
        plan, child_options = create_plan(settings, identity.owner), pulumi.ResourceOptions(parent=component)
        passwords = _create_passwords(settings, plan, identity, child_options)
        certificate, key, ca = _create_certificate(settings, plan, identity, child_options)
        common = {
            "stack": identity.owner,
            "project": plan.project,
            "context": settings.docker.context,
            "keepIn": identity.folder,
            "finalSnapshot": settings.finalSnapshot,
        }
        # Both: if the cleanup alone were deleted, as by a program without it, the containers would be removed.
        protected = pulumi.ResourceOptions.merge(
            child_options, protection(component, needed=settings.environment == "prod")
        )
        cleanup = Cleanup(identity.resource("cleanup"), common, protected)
        self.logins: Mapping[str, Login] = password_logins(
            {user.name: passwords[user.name].value for user in hardening.USERS}
        )
        running = Containers(
            identity.resource("containers"),
            {
                **common,
                **plan.to_props(),
                **_image_properties(inputs),
                **_password_properties(settings, passwords),
                "certificate": certificate,
                "key": key,
                "authority": ca,
                "backupAccessKey": inputs.of("docker.backupAccessKey"),
                "backupSecretKey": pulumi.Output.secret(inputs.of("docker.backupSecretKey")),
                "port": settings.port,
                "files": deployment_files.digest(plan),
                "restoreFrom": settings.restoreFrom,
            },
            pulumi.ResourceOptions.merge(protected, pulumi.ResourceOptions(depends_on=[cleanup])),
        )
        self.endpoint = pulumi.Output.all(running.listens, running.primaries, running.runs, ca).apply(
            lambda parts: create_endpoint(settings, _integers(parts[0]), _integers(parts[1]), parts[2], parts[3])
        )
        running.runs.apply(_warn_if_outdated)
        ports = running.listens.apply(_integers)
        outputs: dict[str, pulumi.Input[Any]] = {}
        if settings.docker.allowedCidrs:
            outputs[FIREWALL] = ports.apply(lambda published: firewall_rules(settings, published))
        if settings.docker.exporter:
            outputs[PROMETHEUS_TARGETS] = ports.apply(
                lambda published: exporter.targets(replace(plan, ports=published))
            )
        if settings.topology == "replicated":
            outputs[SENTINELS] = ports.apply(lambda published: sentinel_addresses(replace(plan, ports=published)))
        self.outputs: Mapping[str, pulumi.Input[Any]] = outputs


def _create_passwords(
    settings: StackSettings, plan: DeploymentPlan, identity: Identity, child_options: pulumi.ResourceOptions
) -> dict[str, Password]:
    """By user."""
    rotation = (settings.passwordRotation, settings.completedRotation)
    return {user.name: Password(identity.resource(user.name), *rotation, child_options) for user in plan.users}


def _create_certificate(
    settings: StackSettings, plan: DeploymentPlan, identity: Identity, child_options: pulumi.ResourceOptions
) -> tuple[pulumi.Input[str], pulumi.Input[str], pulumi.Input[str]]:
    """Certificate, key and authority: the operator's own, or the stack's."""
    if settings.docker.certificate:
        pair, ca = preflight.read_certificate(settings)
        return pair.certificate, pulumi.Output.secret(pair.key), ca
    authority = Authority(identity.resource("authority"), f"Valkey {identity.owner}", child_options)
    leaf = Certificate(identity.resource("certificate"), authority, certificate_names(settings, plan), child_options)
    return leaf.certificate, leaf.key, authority.bundle


def _image_properties(inputs: SettingInputs) -> dict[str, Any]:
    settings, docker = inputs.settings, inputs.settings.docker
    return {
        "image": docker.image or image_for(settings.version),
        "digest": docker.digest,
        "imageFile": docker.imageFile,
        "registryUser": docker.registryUser,
        "registryPassword": pulumi.Output.secret(inputs.of("docker.registryPassword")),
        "version": settings.version,
    }


def _password_properties(settings: StackSettings, passwords: Mapping[str, Password]) -> dict[str, Any]:
    current = {user: password.value for user, password in passwords.items()}
    previous = {user: password.previous for user, password in passwords.items() if settings.previous_passwords_valid}
    return {
        "passwords": pulumi.Output.secret(pulumi.Output.all(**current)),
        "previous": pulumi.Output.secret(pulumi.Output.all(**previous)),
    }


def _integers(numbers: Sequence[float]) -> tuple[int, ...]:
    """Pulumi passes numbers as floats."""
    return tuple(int(number) for number in numbers)


def _warn_if_outdated(version: str) -> None:
    minimum = PATCH_RELEASES.get(minor_version(version))
    if minimum and parse_version(version) < parse_version(minimum):
        pulumi.log.warn(
            f"Valkey {version} lacks fixes of {minimum} (CVE-2026-56684 and others); your distribution may have "
            f"backported them -> {set_command('docker.image', '<a newer one>')}"
        )
