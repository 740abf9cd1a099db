"""The infrastructure's branch of the error tree whose root is `valkeykit.errors.ValkeykitError`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from valkeykit.errors import ValkeykitError


class ProvisioningError(ValkeykitError):
    """A server can't be brought into the state that was asked for. Nothing is lost by it."""


class PreflightError(ProvisioningError):
    """A check rejects a change before it begins: nothing was changed. The tools recognize the class by its name."""


@contextlib.contextmanager
def as_preflight_error() -> Iterator[None]:
    """For checks before a change: what they find is a refusal."""
    try:
        yield
    except ProvisioningError as problem:
        raise PreflightError(problem.args[0], fix=problem.fix) from None
