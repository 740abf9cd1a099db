"""The commands' branch of the error tree whose root is `valkeykit.errors.ValkeykitError`."""

from __future__ import annotations

from valkeykit.errors import ValkeykitError


class ToolError(ValkeykitError):
    """A command can't be carried out; nothing was changed."""
