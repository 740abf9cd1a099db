"""Errors raised inside `Output.apply`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import pulumi
from valkeykit.errors import ValkeykitError

Value = TypeVar("Value")
Result = TypeVar("Result")


def as_run_error(function: Callable[[Value], Result]) -> Callable[[Value], Result]:
    """For `Output.apply`: our errors end the program with one line, as they do outside of it.

    Raises:
        RunError: instead of ours, for which Pulumi would print a traceback.
    """

    @wraps(function)
    def wrapped(value: Value) -> Result:
        try:
            return function(value)
        except ValkeykitError as problem:
            raise pulumi.RunError(str(problem)) from None

    return wrapped
