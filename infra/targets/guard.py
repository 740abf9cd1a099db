"""Guards of resources that hold data: nothing replaces one, or takes it back to an older version, by accident.

Pulumi tells a program about a resource's former inputs in two places. A state migration sees them before
anything is planned; ours changes nothing, it only remembers what exists below the component. A hook before a create
then knows a replacement from a first creation, whatever its cause, and a hook before an update compares.
Both run in a preview too. A hook before a delete would be simpler, but Pulumi then refuses to destroy a stack
without running its program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pulumi
from pulumi import ResourceHook, ResourceHookArgs, ResourceHookBinding, ResourceHookOptions

from infra.errors import ProvisioningError

Inputs = Mapping[str, Any]
"""A resource's inputs, by the names that the provider gives them."""

Objections = Callable[[Inputs, Inputs], Iterable[str]]
"""Given former and new inputs: what speaks against the update, a sentence each."""


class Guard:
    """Watches the one resource of a component that holds its data.

    holding: the type tokens that this resource may have.
    what: the resource, for people: "the replication group".
    allow: the command that lifts the guard.
    causes: inputs whose change replaces the resource; the message names those that changed.
    objections: rules for updates in place, and for replacements beside that they are refused.
    """

    def __init__(
        self, holding: Iterable[str], what: str, allow: str, causes: Iterable[str], objections: Objections
    ) -> None:
        self._holding = frozenset(holding)
        self._what = what
        self._allow = allow
        self._causes = frozenset(causes)
        self._objections = objections
        self._former: dict[str, Inputs] = {}

    def watch(self) -> pulumi.ResourceOptions:
        """What the component is registered with."""
        return pulumi.ResourceOptions(state_migrations=[self._remember])

    def keep(self) -> pulumi.ResourceOptions:
        """What the resource is registered with."""
        on_preview = ResourceHookOptions(on_dry_run=True)
        return pulumi.ResourceOptions(
            # The other order deletes before it asks.
            delete_before_replace=False,
            hooks=ResourceHookBinding(
                before_create=[ResourceHook(f"guard of {self._what}", self._before_create, on_preview)],
                before_update=[ResourceHook(f"guard of {self._what}, in place", self._before_update, on_preview)],
            ),
        )

    def _remember(self, prior: pulumi.StateMigrationArgs) -> None:
        held = (resource for resource in prior.old_state if resource["type"] in self._holding)
        self._former = {resource["type"]: resource.get("inputs", {}) for resource in held}

    def _before_create(self, planned: ResourceHookArgs) -> None:
        if not self._former:
            return
        former, new = self._former.get(planned.type), planned.new_inputs or {}
        if former is None:
            self._refuse([f"what holds the data now would be deleted with it, and {self._what} begin empty"])
        else:
            self._refuse(self._objections(former, new))
            self._refuse([f"{self._what} would be replaced and its data lost, because of {self._cause(former, new)}"])

    def _before_update(self, planned: ResourceHookArgs) -> None:
        self._refuse(self._objections(planned.old_inputs or {}, planned.new_inputs or {}))

    def _cause(self, former: Inputs, new: Inputs) -> str:
        changed = {name for name in {*former, *new} if former.get(name) != new.get(name)}
        return ", ".join(sorted(changed & self._causes or changed)) or "a forced replacement"

    def _refuse(self, reasons: Iterable[str]) -> None:
        if found := "; ".join(reasons):
            raise ProvisioningError(found, fix=f"put it back, or allow it: {self._allow}")


def is_older(version: str, than: str) -> bool:
    """Whether a version, such as 8.1, is older than another one."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
