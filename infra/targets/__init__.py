"""The targets: one component each, named after where it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError

from infra.providers.credentials import Rotation
from infra.settings import Settings


@dataclass(frozen=True)
class Login:
    """user: its name on the server. password: None where the client signs each login."""

    user: str
    password: pulumi.Output[str] | None = None


def by_password(passwords: Mapping[str, pulumi.Output[str]]) -> dict[str, Login]:
    """Roles that log in under their own names."""
    return {name: Login(name, password) for name, password in passwords.items()}


class Deployment(pulumi.ComponentResource):
    """What every target is, and has to offer when it is up.

    logins: of app, admin and monitor, which may have other names on the server.
    outputs: what only this target can tell, by the stack output's name.
    """

    endpoint: pulumi.Output[Endpoint]
    logins: Mapping[str, Login]
    outputs: Mapping[str, pulumi.Input[Any]]


def provision(settings: Settings, stack: str) -> Deployment:
    """Make the target that the settings name; only its own dependencies are imported.

    Raises:
        ConfigurationError: what is asked for can't be had; nothing was registered.
    """
    if settings.target == "aws":
        with _sdk("pulumi-aws"):
            from infra.targets.aws import Aws

        return Aws("valkey", settings, stack)
    if settings.target == "gcp":
        with _sdk("pulumi-gcp"):
            from infra.targets.gcp import Gcp

        return Gcp("valkey", settings, stack)
    if settings.target == "docker":
        from infra.targets.docker import Docker

        return Docker("valkey", settings, stack)
    from infra.targets.embedded import Embedded

    return Embedded("valkey", settings, stack)


def record_rotation(deployed: Deployment, settings: Settings) -> None:
    """Keep in the state which rotation was carried out, after all that knows the passwords."""
    if any(login.password for login in deployed.logins.values()):
        after = pulumi.ResourceOptions(depends_on=[deployed])
        Rotation("rotation", settings.rotation, settings.retired, after)


@contextlib.contextmanager
def _sdk(package: str) -> Iterator[None]:
    """A cloud's SDK takes hundreds of megabytes, so only who uses the cloud installs it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != package.replace("-", "_"):
            raise
        cloud = package.removeprefix("pulumi-")
        raise ConfigurationError(
            f"the target {cloud} needs {package}, which isn't installed", fix=f"make sdk CLOUD={cloud}"
        ) from None
