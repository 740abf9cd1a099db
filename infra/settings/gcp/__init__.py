"""Configuration of the gcp target."""

from infra.settings.gcp.settings import GcpSettings

__all__ = ["GcpSettings"]
