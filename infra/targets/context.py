"""The context of a cloud target's resources: settings, names, tags and options."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi

from infra.settings import StackSettings
from infra.targets.identity import Identity
from infra.targets.replacement_guard import ReplacementGuard
from infra.targets.setting_inputs import SettingInputs

MIN_NAME_LENGTH = 4
"""Some services reject shorter names."""


@dataclass(frozen=True)
class Context:
    """inputs: the settings. name: the common prefix of all names in the cloud.
    tags: of every resource that supports them.
    child_options: of every resource. guard: protects resources with data; None if replacement is allowed.
    """

    inputs: SettingInputs
    identity: Identity
    name: str
    tags: dict[str, str]
    child_options: pulumi.ResourceOptions
    guard: ReplacementGuard | None

    @property
    def settings(self) -> StackSettings:
        return self.inputs.settings

    def after(self, resources: Sequence[pulumi.Input[pulumi.Resource]]) -> Context:
        """The context of resources that need others first."""
        later = pulumi.ResourceOptions.merge(self.child_options, pulumi.ResourceOptions(depends_on=list(resources)))
        return replace(self, child_options=later)

    def resource(self, name: str) -> str:
        """The name of a resource in Pulumi."""
        return self.identity.resource(name)

    @property
    def is_production(self) -> bool:
        return self.settings.environment == "prod"

    def options(self, *more: pulumi.ResourceOptions, holds_data: bool = False) -> pulumi.ResourceOptions:
        """The options of a resource; in production, resources with data are protected from deletion."""
        protect = True if holds_data and self.is_production else None
        merged = pulumi.ResourceOptions.merge(self.child_options, pulumi.ResourceOptions(protect=protect))
        for options in more:
            merged = pulumi.ResourceOptions.merge(merged, options)
        return merged

    def protected_options(self, what: str, *inputs: str) -> pulumi.ResourceOptions:
        """The options of a resource that the data depends on. inputs: those whose change replaces it."""
        return self.options(self.guard.protect(what, inputs)) if self.guard else self.options()


def protection(component: pulumi.Resource, *, needed: bool = False) -> pulumi.ResourceOptions:
    """Protection from deletion, if it is needed or the component itself is protected."""
    return pulumi.ResourceOptions(protect=needed or bool(component._protect))


def safe_name(stack: str, length: int) -> str:
    """A name that clouds accept, from project/stack: lower-case letters, digits and single hyphens, a letter first.

    A shortened name ends with a digest, so that it stays unique.
    """
    words = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    is_name = words[:1].isalpha() and len(words) >= MIN_NAME_LENGTH
    name = words if is_name else f"valkey-{words}".rstrip("-")
    if len(name) <= length:
        return name
    digest = hashlib.sha256(stack.encode()).hexdigest()[:6]
    return f"{name[: length - 7].rstrip('-')}-{digest}"
