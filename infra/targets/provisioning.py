"""The choice of the target; only its own dependencies are imported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pulumi
from valkeykit.errors import ConfigurationError

from infra.targets.deployment import TargetDeployment
from infra.targets.identity import Identity
from infra.targets.setting_inputs import SettingInputs


def create_deployment(
    inputs: SettingInputs, identity: Identity, provider: pulumi.ProviderResource | None = None
) -> TargetDeployment:
    """The deployment of the configured target, checked; nothing is registered but a cloud's provider.

    Args:
        inputs: the settings of the deployment.
        identity: from which its names are derived.
        provider: of the cloud; without one, the target creates its own.

    Raises:
        ConfigurationError: the target cannot run this configuration; no resource was registered.
    """
    target = inputs.settings.target
    if target == "aws":
        with _required_sdk("pulumi-aws"):
            from infra.targets.aws import AwsDeployment

        return AwsDeployment(inputs, identity, provider)
    if target == "gcp":
        with _required_sdk("pulumi-gcp"):
            from infra.targets.gcp import GcpDeployment

        return GcpDeployment(inputs.settings, identity, provider)
    if target == "docker":
        from infra.targets.docker.deployment import DockerDeployment

        return DockerDeployment(inputs, identity)
    from infra.targets.embedded import EmbeddedDeployment

    return EmbeddedDeployment(inputs.settings, identity)


@contextlib.contextmanager
def _required_sdk(package: str) -> Iterator[None]:
    """The SDK of a cloud takes hundreds of megabytes, so it is installed only for that cloud."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != package.replace("-", "_"):
            raise
        cloud = package.removeprefix("pulumi-")
        raise ConfigurationError(
            f"the target {cloud} needs {package}, which is not installed", fix=f"make sdk CLOUD={cloud}"
        ) from None
