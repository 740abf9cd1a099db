"""The interface of a target: its endpoint, its logins and its outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from valkeykit.endpoint import Endpoint

from infra.providers.credentials import Rotation
from infra.settings import StackSettings


@dataclass(frozen=True)
class Login:
    """user: the name on the server. password: None if the client signs each login."""

    user: str
    password: pulumi.Output[str] | None = None


class Grants(ABC):
    """Access for resources of the caller's program."""

    @abstractmethod
    def allow_security_group(self, name: str, group: pulumi.Input[str]) -> None:
        """Let the members of a security group connect."""

    @abstractmethod
    def attach_connect_policy(self, name: str, role: pulumi.Input[str], user: str) -> None:
        """Let an IAM role log in as a user."""


class TargetDeployment(ABC):
    """A deployment in two steps: the constructor checks everything that it can, `deploy` creates the resources.

    component_options: of the component that the resources belong to.
    checks: outputs that must succeed before any resource is registered. The following are set by `deploy`:
    logins: of the roles app, admin and monitor, whose users may have other names on the server.
    outputs: outputs that only this target has, by name.
    grants: None if the target has none.
    """

    component_options: pulumi.ResourceOptions | None = None
    checks: Sequence[pulumi.Output[Any]] = ()
    endpoint: pulumi.Output[Endpoint]
    logins: Mapping[str, Login]
    outputs: Mapping[str, pulumi.Input[Any]]
    grants: Grants | None = None

    @abstractmethod
    def deploy(self, component: pulumi.Resource) -> None:
        """Create the resources below a component."""


def password_logins(passwords: Mapping[str, pulumi.Output[str]]) -> dict[str, Login]:
    """The logins of roles whose users have the role's name."""
    return {name: Login(name, password) for name, password in passwords.items()}


def record_rotation(component: pulumi.Resource, logins: Mapping[str, Login], settings: StackSettings) -> None:
    """Store in the state which password rotation was carried out, after everything that uses the passwords."""
    if any(login.password for login in logins.values()):
        after = pulumi.ResourceOptions(depends_on=[component])
        Rotation("rotation", settings.passwordRotation, settings.completedRotation, after)
