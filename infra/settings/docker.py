"""What only the docker target has."""

from __future__ import annotations

from infra.settings.keys import Section


class DockerSettings(Section):
    """Containers on a Docker engine: this machine's, or the one that DOCKER_HOST or the context names."""
