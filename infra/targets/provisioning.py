"""The choice of the target; only its own dependencies are imported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from valkeykit.errors import ConfigurationError

from infra.settings import StackSettings
from infra.targets.deployment import TargetDeployment


def provision(settings: StackSettings, stack: str) -> TargetDeployment:
    """Create the component of the configured target.

    Args:
        settings: of the stack.
        stack: project/stack.

    Raises:
        ConfigurationError: the target cannot run this configuration; no resource was registered.
    """
    if settings.target == "aws":
        with _required_sdk("pulumi-aws"):
            from infra.targets.aws import AwsDeployment

        return AwsDeployment("valkey", settings, stack)
    if settings.target == "gcp":
        with _required_sdk("pulumi-gcp"):
            from infra.targets.gcp import GcpDeployment

        return GcpDeployment("valkey", settings, stack)
    if settings.target == "docker":
        from infra.targets.docker.component import DockerDeployment

        return DockerDeployment("valkey", settings, stack)
    from infra.targets.embedded import EmbeddedDeployment

    return EmbeddedDeployment("valkey", settings, stack)


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
