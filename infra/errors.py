"""Errors of the infrastructure; their base class is `valkeykit.errors.ValkeykitError`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from valkeykit.errors import ValkeykitError


class ProvisioningError(ValkeykitError):
    """A server can't be brought into the desired state. No data is lost."""


class PreflightError(ProvisioningError):
    """A check rejects a change before it begins, so nothing was changed. stackctl recognizes the class by its name."""


@contextlib.contextmanager
def as_preflight_error() -> Iterator[None]:
    """Raise the errors of checks before a change as `PreflightError`."""
    try:
        yield
    except ProvisioningError as problem:
        raise PreflightError(problem.args[0], fix=problem.fix) from None
