"""Guards of resources that hold data: nothing replaces one, or takes it back to an older version, by accident.

Pulumi tells a program about a resource's former inputs in two places. A state migration sees them before
anything is planned; ours changes nothing, it only remembers what exists below the component. A hook before a create
then knows a replacement from a first creation, whatever its cause, and a hook before an update compares.
Both run in a preview too. A hook before a delete would be simpler, but Pulumi then refuses to destroy a stack
without running its program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

from infra.errors import ProvisioningError

Inputs = Mapping[str, Any]
"""A resource's inputs, by the names that the provider gives them."""

Objections = Callable[[Inputs, Inputs], Iterable[str]]
"""Given former and new inputs: what speaks against the update, a sentence each."""


def no_objections(_former: Inputs, _new: Inputs) -> Iterable[str]:
    return ()


class Guard:
    """Watches a component, and keeps those of its resources that its data hangs on.

    holding: the type tokens that the resource with the data may have.
    allow: the command that lifts the guard.
    """

    def __init__(self, holding: Iterable[str], allow: str) -> None:
        self._holding = frozenset(holding)
        self._allow = allow
        self._former: dict[str, Mapping[str, Any]] = {}

    def watch(self) -> pulumi.ResourceOptions:
        """What the component is registered with."""
        return pulumi.ResourceOptions(state_migrations=[self._remember])

    def keep(self, what: str, causes: Iterable[str], objections: Objections = no_objections) -> pulumi.ResourceOptions:
        """What a resource is registered with that may not be replaced.

        what: the resource, for people: "the replication group".
        causes: inputs whose change replaces it; the message names those that changed.
        objections: rules for updates in place, and for replacements beside that they are refused.
        """
        because = frozenset(causes)

        def before_create(planned: ResourceHookArgs) -> None:
            self._refuse(self._of_creation(planned, what, because, objections))

        def before_update(planned: ResourceHookArgs) -> None:
            self._refuse(objections(planned.old_inputs or {}, planned.new_inputs or {}))

        on_preview = ResourceHookOptions(on_dry_run=True)
        return pulumi.ResourceOptions(
            # The other order deletes before it asks.
            delete_before_replace=False,
            hooks=ResourceHookBinding(
                before_create=[ResourceHook(f"guard of {what}", before_create, on_preview)],
                before_update=[ResourceHook(f"guard of {what}, in place", before_update, on_preview)],
            ),
        )

    def _remember(self, prior: pulumi.StateMigrationArgs) -> None:
        self._former = {resource["urn"]: resource for resource in prior.old_state}

    def _of_creation(
        self, planned: ResourceHookArgs, what: str, causes: frozenset[str], objections: Objections
    ) -> Iterator[str]:
        """What speaks against a creation: nothing where nothing was there before."""
        kinds = {resource["type"] for resource in self._former.values()}
        if planned.type in self._holding and kinds & self._holding - {planned.type}:
            yield f"what holds the data now would be deleted with it, and {what} begin empty"
        elif planned.urn in self._former:
            former, new = self._former[planned.urn].get("inputs", {}), planned.new_inputs or {}
            yield from objections(former, new)
            yield f"{what} would be replaced and its data lost, because of {_cause(former, new, causes)}"

    def _refuse(self, reasons: Iterable[str]) -> None:
        if found := "; ".join(reasons):
            raise ProvisioningError(found, fix=f"put it back, or allow it: {self._allow}")


def _cause(former: Inputs, new: Inputs, causes: frozenset[str]) -> str:
    changed = {name for name in {*former, *new} if former.get(name) != new.get(name)}
    return ", ".join(sorted(changed & causes or changed)) or "a forced replacement"


def is_older(version: str, than: str) -> bool:
    """Whether a version, such as 8.1, is older than another one."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
