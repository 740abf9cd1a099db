"""Settings as inputs of resources: values that are known, or outputs of other resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pulumi
from valkeykit.errors import ValkeykitError

from infra.settings import StackSettings


def _as_run_error(problem: ValkeykitError) -> pulumi.RunError:
    return pulumi.RunError(str(problem))


@dataclass(frozen=True)
class SettingInputs:
    """
    settings: with a placeholder for each value that is an output of another resource.
    outputs: the keys of those values, such as `aws.vpcId`.
    complete: the settings with all values, checked; unknown in a preview in which one of the outputs is.
    as_error: how errors end the program.
    """

    settings: StackSettings
    outputs: frozenset[str] = frozenset()
    complete: pulumi.Output[StackSettings] | None = None
    as_error: Callable[[ValkeykitError], pulumi.RunError] = _as_run_error

    def of(self, key: str) -> Any:
        """The value of a key, such as `aws.vpcId`."""

        def value(settings: StackSettings) -> Any:
            return reduce(getattr, key.split("."), settings)

        return self.derive(value, key)

    def derive(self, function: Callable[[StackSettings], Any], *keys: str) -> Any:
        """What a function of these keys returns; an output if the value of one of them is an output."""
        if self.complete is None or self.outputs.isdisjoint(keys):
            return function(self.settings)

        def later(settings: StackSettings) -> Any:
            try:
                return function(settings)
            except ValkeykitError as problem:
                raise self.as_error(problem) from None

        return self.complete.apply(later)


def after(outputs: list[pulumi.Output[Any]]) -> pulumi.ResourceOptions:
    """The options of a resource that is registered only after these outputs have a value or are known to have none."""
    waiting: list[Any] = [output.apply(lambda _: None) for output in outputs]
    return pulumi.ResourceOptions(depends_on=waiting)
