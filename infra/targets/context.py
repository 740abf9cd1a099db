"""What every part of a cloud target is made with, and the names of its resources."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import pulumi

from infra.settings import Settings
from infra.targets.guard import Guard

SHORTEST_NAME = 4
"""Characters; some services take no shorter name."""


@dataclass(frozen=True)
class Context:
    """name: what the names of all resources begin with. tags: of every resource that can have some.
    child: the options of each of them. guard: keeps what the data hangs on; None where replacements are allowed.
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
        """The options of a resource that the data can't do without."""
        return self.options(self.guard.keep(what, causes)) if self.guard else self.options()


def safe_name(stack: str, length: int) -> str:
    """A name for a cloud from project/stack: lower-case letters, digits and single hyphens, a letter first.

    One that had to be shortened ends with a digest, so that it stays unique.
    """
    words = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    is_name = words[:1].isalpha() and len(words) >= SHORTEST_NAME
    name = words if is_name else f"valkey-{words}".rstrip("-")
    if len(name) <= length:
        return name
    digest = hashlib.sha256(stack.encode()).hexdigest()[:6]
    return f"{name[: length - 7].rstrip('-')}-{digest}"
