"""What existed below a component before the update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pulumi

from infra.errors import ProvisioningError
from infra.targets.output_errors import as_run_error

Result = TypeVar("Result")

Inputs = Mapping[str, Any]
"""A resource's inputs, with the provider's names."""


class PreviousResources:
    """Filled by the engine when it registers the component, before it plans what is below.

    A state migration receives the previous state. This one changes nothing, it only remembers.
    """

    def __init__(self) -> None:
        self._by_urn: dict[str, Mapping[str, Any]] = {}

    def watch(self) -> pulumi.ResourceOptions:
        """The options of the component."""
        return pulumi.ResourceOptions(state_migrations=[self._remember])

    def once_known(self, component: pulumi.Resource, use: Callable[[], Result]) -> pulumi.Output[Result]:
        """What `use` returns once the component is registered. The component's children can depend on it."""

        @as_run_error
        def result(_urn: str | None) -> Result:
            return use()

        async def after_registration() -> Result:
            return result(await component.urn.future())

        return pulumi.Output.from_input(after_registration())

    def inputs(self, urn: str) -> Inputs | None:
        """The previous inputs of a resource; None if it did not exist."""
        return self._inputs(self._by_urn[urn]) if urn in self._by_urn else None

    def of(self, kind: str) -> Inputs | None:
        """The previous inputs of the only resource of a type; None if there was none."""
        return next((self._inputs(known) for known in self._by_urn.values() if known["type"] == kind), None)

    def all_of(self, kind: str) -> list[Inputs]:
        """The previous inputs of every resource of a type."""
        return [self._inputs(known) for known in self._by_urn.values() if known["type"] == kind]

    def check_completed(self) -> None:
        """
        Raises:
            ProvisioningError: an update failed, and its new values are in the state as if it had succeeded. Another
                update would send nothing.
        """
        failed = sorted(urn.rpartition("::")[2] for urn, known in self._by_urn.items() if known.get("initErrors"))
        if failed:
            raise ProvisioningError(
                f"the previous update of {', '.join(failed)} failed, so the state may differ from the cloud",
                fix="pulumi up --refresh",
            )

    def types(self) -> set[str]:
        return {resource["type"] for resource in self._by_urn.values()}

    @staticmethod
    def _inputs(known: Mapping[str, Any]) -> Inputs:
        inputs: Inputs = known.get("inputs", {})
        return inputs

    def _remember(self, prior: pulumi.StateMigrationArgs) -> None:
        self._by_urn = {resource["urn"]: resource for resource in prior.old_state if not resource.get("delete")}
