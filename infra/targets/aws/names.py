"""Names and tags of the aws target's resources."""

from __future__ import annotations

from infra.settings import StackSettings
from infra.targets import context

MAX_CACHE_NAME_LENGTH = 28
"""Of the common prefix of all names: with the longest suffix, `-iam-monitor`, it makes 40, the limit of a user id."""


def safe_name(stack: str) -> str:
    """A name that AWS accepts, from project/stack."""
    return context.safe_name(stack, MAX_CACHE_NAME_LENGTH)


def tags(settings: StackSettings, stack: str) -> dict[str, str]:
    """The tags of every resource that supports them."""
    project, _, name = stack.partition("/")
    return {"Project": project, "Stack": name, "ManagedBy": "pulumi", **settings.aws.tags}
