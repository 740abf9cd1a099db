"""Errors in what is done with an output once it is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import pulumi
from valkeykit.errors import ValkeykitError

Known = TypeVar("Known")
Made = TypeVar("Made")


def in_one_line(function: Callable[[Known], Made]) -> Callable[[Known], Made]:
    """For `Output.apply`: our errors end the program with their own line, as they do outside of one.

    Raises:
        RunError: instead of ours, of which Pulumi would print a traceback.
    """

    @wraps(function)
    def told(known: Known) -> Made:
        try:
            return function(known)
        except ValkeykitError as problem:
            raise pulumi.RunError(str(problem)) from None

    return told
