"""Errors of stackctl; their base class is `valkeykit.errors.ValkeykitError`."""

from __future__ import annotations

from valkeykit.errors import ValkeykitError


class StackError(ValkeykitError):
    """A command failed before it changed anything."""


class UpdateError(StackError):
    """Pulumi failed or was interrupted. has_begun: the change of a resource had begun."""

    def __init__(self, message: str, *, fix: str = "", has_begun: bool) -> None:
        super().__init__(message, fix=fix)
        self.has_begun = has_begun
