"""What every part of the target is made with."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import pulumi

from infra.settings import Settings
from infra.targets.guard import Guard

NAME_LENGTH = 28
"""Of the name that all others begin with: with the longest ending, `-iam-monitor`, it makes 40, a user id's limit."""


@dataclass(frozen=True)
class Context:
    """name: what the names of all resources begin with. child: the options of each of them.

    guard: keeps what the data hangs on; None where replacements are allowed.
    """

    settings: Settings
    name: str
    tags: dict[str, str]
    child: pulumi.ResourceOptions
    guard: Guard | None

    @property
    def is_production(self) -> bool:
        return self.settings.environment == "prod"

    def options(self, *more: pulumi.ResourceOptions, holds_data: bool = False) -> pulumi.ResourceOptions:
        """The options of a resource; one that holds data is protected in production."""
        merged = pulumi.ResourceOptions.merge(
            self.child, pulumi.ResourceOptions(protect=holds_data and self.is_production)
        )
        for options in more:
            merged = pulumi.ResourceOptions.merge(merged, options)
        return merged

    def kept(self, what: str, *causes: str) -> pulumi.ResourceOptions:
        """The options of a resource that the cache can't do without."""
        return self.options(self.guard.keep(what, causes)) if self.guard else self.options()


def safe_name(stack: str) -> str:
    """A name for AWS from project/stack: lower-case letters, digits and single hyphens, a letter first.

    One that had to be shortened ends with a digest, so that it stays unique.
    """
    words = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    name = words if words[:1].isalpha() else f"valkey-{words}".rstrip("-")
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(stack.encode()).hexdigest()[:6]
    return f"{name[: NAME_LENGTH - 7].rstrip('-')}-{digest}"


def labels(settings: Settings, stack: str) -> dict[str, str]:
    """The tags of every resource that can have some."""
    project, _, name = stack.partition("/")
    return {"Project": project, "Stack": name, "ManagedBy": "pulumi", **settings.aws.tags}
