"""Settings: the stack's configuration, strict and typed, read once.

Every mistake is reported at once, before any resource is registered. The defaults stand in
Pulumi.yaml too, where `pulumi config` shows them; a test holds the two together.
"""

from infra.settings.keys import Mistake
from infra.settings.loading import load
from infra.settings.stack import Settings

__all__ = ["Mistake", "Settings", "load"]
