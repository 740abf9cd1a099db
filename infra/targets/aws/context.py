"""What every part of the target is made with."""

from __future__ import annotations

from infra.settings import Settings
from infra.targets import context
from infra.targets.context import Context

__all__ = ["Context", "labels", "safe_name"]

NAME_LENGTH = 28
"""Of the name that all others begin with: with the longest ending, `-iam-monitor`, it makes 40, a user id's limit."""


def safe_name(stack: str) -> str:
    """A name for AWS from project/stack."""
    return context.safe_name(stack, NAME_LENGTH)


def labels(settings: Settings, stack: str) -> dict[str, str]:
    """The tags of every resource that can have some."""
    project, _, name = stack.partition("/")
    return {"Project": project, "Stack": name, "ManagedBy": "pulumi", **settings.aws.tags}
