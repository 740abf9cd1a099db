"""Protection of resources with data: no accidental replacement, and no downgrade.

A hook before a create distinguishes a replacement from a first creation, whatever its cause, by what existed before
(`previous_resources`), and a hook before an update compares. Both run in previews too. A hook before a delete would be
simpler, but then Pulumi does not destroy a stack without running its program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions
from valkeykit.version_numbers import parse_version

from infra.errors import ProvisioningError
from infra.targets.previous_resources import Inputs, PreviousResources

__all__ = ["FindProblems", "Inputs", "ReplacementGuard", "is_older", "no_problems"]

_ON_PREVIEW = ResourceHookOptions(on_dry_run=True)

FindProblems = Callable[[Inputs, Inputs], Iterable[str]]
"""Reasons against an update, given the previous and the new inputs."""


def no_problems(_previous: Inputs, _new: Inputs) -> Iterable[str]:
    return ()


class ReplacementGuard:
    """Protects those resources of a component that the data depends on.

    holding: the type tokens that the resource with the data can have.
    allow: the command that turns the protection off. previous: what watches the component.
    prefix: of the names of hooks, which are unique in a stack.
    """

    def __init__(self, holding: Iterable[str], allow: str, previous: PreviousResources, prefix: str = "") -> None:
        self._holding = frozenset(holding)
        self._allow = allow
        self._prefix = prefix
        self._previous = previous

    def protect(
        self, what: str, replacing: Iterable[str], find_problems: FindProblems = no_problems
    ) -> pulumi.ResourceOptions:
        """The options of a resource that must not be replaced.

        Args:
            what: the resource in messages, such as "the replication group".
            replacing: inputs whose change replaces it; messages name those that changed.
            find_problems: reasons against updates in place, and additional ones against replacements.
        """
        replacing_inputs = frozenset(replacing)

        def before_create(planned: ResourceHookArgs) -> None:
            self._reject(self._creation_problems(planned, what, replacing_inputs, find_problems))

        def before_update(planned: ResourceHookArgs) -> None:
            self._reject(find_problems(planned.old_inputs or {}, planned.new_inputs or {}))

        return pulumi.ResourceOptions(
            # With the opposite order Pulumi deletes before the hook runs.
            delete_before_replace=False,
            hooks=ResourceHookBinding(
                before_create=[ResourceHook(f"{self._prefix}guard of {what}", before_create, _ON_PREVIEW)],
                before_update=[ResourceHook(f"{self._prefix}guard of {what}, in place", before_update, _ON_PREVIEW)],
            ),
        )

    def _creation_problems(
        self, planned: ResourceHookArgs, what: str, replacing: frozenset[str], find_problems: FindProblems
    ) -> Iterator[str]:
        """None for a first creation."""
        previous, new = self._previous.inputs(planned.urn), planned.new_inputs or {}
        if planned.type in self._holding and self._previous.types() & self._holding - {planned.type}:
            yield f"the resource that has the data now would be deleted, and {what} would start empty"
        elif previous is not None:
            yield from find_problems(previous, new)
            yield f"{what} would be replaced and its data lost, because of {_cause(previous, new, replacing)}"

    def _reject(self, problems: Iterable[str]) -> None:
        if reasons := "; ".join(problems):
            raise ProvisioningError(reasons, fix=f"revert the change, or allow it with: {self._allow}")


def _cause(previous: Inputs, new: Inputs, replacing: frozenset[str]) -> str:
    changed = {name for name in {*previous, *new} if previous.get(name) != new.get(name)}
    return ", ".join(sorted(changed & replacing or changed)) or "a forced replacement"


def is_older(version: str, than: str) -> bool:
    """Whether a version, such as 8.1, is older than another."""
    return parse_version(version) < parse_version(than)
