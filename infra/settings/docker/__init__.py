"""Configuration of the docker target."""

from infra.settings.docker.settings import DockerSettings

__all__ = ["DockerSettings"]
