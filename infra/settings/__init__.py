"""Settings: the stack's configuration, strict and typed, read once.

All configuration errors are reported together, before any resource is registered. Pulumi.yaml repeats the
defaults, so that `pulumi config` shows them; a test compares the two.
"""

from infra.settings.config_keys import ConfigProblem, name_stack
from infra.settings.loading import check, load
from infra.settings.stack_settings import StackSettings

__all__ = ["ConfigProblem", "StackSettings", "check", "load", "name_stack"]
