"""The component: Valkey on any target, in any Pulumi program."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.settings import get_monitor
from valkeykit.endpoint import Endpoint
from valkeykit.errors import ConfigurationError, ValkeykitError

from infra import outputs
from infra.arguments import ValkeyArgs, name_arguments
from infra.settings import StackSettings
from infra.targets.deployment import Grants, Login, TargetDeployment
from infra.targets.identity import Identity
from infra.targets.provisioning import create_deployment
from infra.targets.setting_inputs import SettingInputs, after

COMPONENT_TYPE = "valkey:index:Valkey"

NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")
"""Folders, containers and cloud resources are named after it."""

_instances: WeakKeyDictionary[object, dict[str, "Valkey"]] = WeakKeyDictionary()
"""Of each program, by name. They must live until it ends, and with them the hooks of resources."""


class Valkey(pulumi.ComponentResource):
    """A hardened Valkey: servers, users with passwords, and what they need on their target.

    Attributes:
        endpoint: The connection record: nodes, TLS, users and version.
        url: The URL of the user app, for applications.
        admin_url: The URL of the user admin, for operators.
        monitor_url: The URL of the user monitor, for metrics.
        env: Environment variables for an application.
        details: What only this target has, such as the names and addresses of its resources in a cloud.
    """

    # The schema of the plugin is made from these annotations.

    endpoint: pulumi.Output[dict[str, Any]]
    url: pulumi.Output[str]
    admin_url: pulumi.Output[str]
    monitor_url: pulumi.Output[str]
    env: pulumi.Output[dict[str, str]]
    details: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: ValkeyArgs | None = None, opts: pulumi.ResourceOptions | None = None) -> None:
        """
        Args:
            name: Unique in the stack. All resources, folders and cloud resources are named after it.
            args: The configuration; without it, a single server on this machine.
            opts: The options of the component, which its resources inherit as Pulumi defines it.

        Raises:
            RunError: The arguments are invalid, or the target cannot run them. Nothing was registered.
        """
        as_error = partial(_as_run_error, name)
        try:
            if not NAME.fullmatch(name):
                raise ConfigurationError("the name is invalid", fix="use up to 40 letters, digits and hyphens")
            inputs = (args or ValkeyArgs()).checked(as_error)
            _reject_conflicts(name, inputs.settings)
            identity = Identity.of_instance(pulumi.get_project(), pulumi.get_stack(), name)
            deployment = create_deployment(inputs, identity, _provider(opts, inputs.settings.target))
        except ValkeykitError as problem:
            raise as_error(problem) from None
        # Resources are registered after the component, and so after these checks.
        checks = [inputs.complete, *deployment.checks] if inputs.complete else []
        self._deploy(
            COMPONENT_TYPE,
            name,
            deployment,
            inputs.settings,
            pulumi.ResourceOptions.merge(opts, after(checks)) if checks else opts,
        )
        self.register_outputs(
            {
                outputs.ENDPOINT: self.endpoint,
                outputs.URL: self.url,
                outputs.ADMIN_URL: self.admin_url,
                outputs.MONITOR_URL: self.monitor_url,
                outputs.ENV: self.env,
                outputs.DETAILS: self.details,
            }
        )

    def allow_security_group(self, name: str, group: pulumi.Input[str]) -> None:
        """Let the members of a security group connect, on aws.

        Args:
            name: Of the grant, unique in the component.
            group: The id of the security group.

        Raises:
            RunError: The target is not aws.
        """
        self._grant(lambda grants: grants.allow_security_group(name, group))

    def attach_connect_policy(self, name: str, role: pulumi.Input[str], user: str = "app") -> None:
        """Let an IAM role log in, on aws with IAM authentication.

        Args:
            name: Of the grant, unique in the component.
            role: The name of the role.
            user: Whose permissions it has on the server.

        Raises:
            RunError: The target is not aws, it does not use IAM authentication, or there is no such user.
        """
        self._grant(lambda grants: grants.attach_connect_policy(name, role, user))

    def _grant(self, create: Callable[[Grants], None]) -> None:
        try:
            if self._grants is None:
                raise ConfigurationError("only the target aws has grants", fix="remove the grant")
            create(self._grants)
        except ValkeykitError as problem:
            raise _as_run_error(self._name, problem) from None

    def _deploy(
        self,
        kind: str,
        name: str,
        deployment: TargetDeployment,
        settings: StackSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        options = pulumi.ResourceOptions.merge(opts, deployment.component_options)
        super().__init__(kind, name, None, options)
        deployment.deploy(self)
        self.settings = settings
        self._grants = deployment.grants
        self.logins: Mapping[str, Login] = deployment.logins
        self.target_outputs: Mapping[str, pulumi.Input[Any]] = deployment.outputs
        urls = {role: _url(deployment.endpoint, login) for role, login in deployment.logins.items()}
        self.url, self.admin_url, self.monitor_url = (urls[role] for role in outputs.URLS)
        self.endpoint = deployment.endpoint.apply(Endpoint.to_dict)
        self.details = pulumi.Output.from_input(dict(deployment.outputs))
        self.env = pulumi.Output.all(deployment.endpoint, self.url).apply(lambda parts: parts[0].variables(parts[1]))
        _instances.setdefault(get_monitor(), {})[name] = self


class StackValkey(Valkey):
    """The only Valkey of a stack of this project.

    Its resources have the types and names that they had before the component could be used in other programs.
    """

    def __init__(self, settings: StackSettings) -> None:
        """
        Raises:
            ConfigurationError: the target cannot run these settings; nothing was registered.
        """
        identity = Identity.of_stack(pulumi.get_project(), pulumi.get_stack())
        deployment = create_deployment(SettingInputs(settings), identity)
        self._deploy(f"valkey:target:{settings.target.capitalize()}", "valkey", deployment, settings)
        self.register_outputs({})


def _as_run_error(name: str, problem: ValkeykitError) -> pulumi.RunError:
    return pulumi.RunError(f"Valkey {name!r}: {name_arguments(str(problem))}")


def _provider(opts: pulumi.ResourceOptions | None, cloud: str) -> pulumi.ProviderResource | None:
    """The caller's provider of a cloud, which the component's parent may have too."""
    if opts is None:
        return None
    given = opts.providers or []
    providers = [
        *(given.values() if isinstance(given, Mapping) else given),
        *([opts.provider] if opts.provider else []),
    ]
    own = next((provider for provider in providers if provider.package == cloud), None)
    return own or (opts.parent.get_provider(f"{cloud}:index:Any") if opts.parent else None)


def _url(endpoint: pulumi.Output[Endpoint], login: Login) -> pulumi.Output[str]:
    return pulumi.Output.all(endpoint, login.password).apply(lambda parts: parts[0].url(login.user, parts[1]))


def _reject_conflicts(name: str, settings: StackSettings) -> None:
    """
    Raises:
        ConfigurationError: another instance of the program has this name, folder or port.
    """
    others = _instances.get(get_monitor(), {})
    if name in others:
        raise ConfigurationError("another Valkey of this stack has this name", fix="choose another name")
    for other, valkey in others.items():
        if valkey.settings.target != settings.target or settings.target not in ("embedded", "docker"):
            continue
        for key in ("port", "dataDir"):
            value = getattr(settings, key)
            if value and value == getattr(valkey.settings, key):
                raise ConfigurationError(f"{key} is {value}, as that of Valkey {other!r}", fix=f"set another {key}")
