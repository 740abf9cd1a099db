"""What only the gcp target has."""

from infra.settings.gcp.section import GcpSettings

__all__ = ["GcpSettings"]
