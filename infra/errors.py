"""The infrastructure's branch of the error tree whose root is `valkeykit.errors.ValkeykitError`."""

from __future__ import annotations

from valkeykit.errors import ValkeykitError


class ProvisioningError(ValkeykitError):
    """A server can't be brought into the state that was asked for. Nothing is lost by it."""


class RefusalError(ProvisioningError):
    """A check before a change says no: nothing was touched. The class's name is what the tools recognize it by."""
