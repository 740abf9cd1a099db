"""Every error that this project raises on purpose.

ValkeykitError
├── ConfigurationError   a URL, a variable or a setting can't be used as given
└── UnreachableError     nothing that speaks the protocol answered, or it refused the login
"""

from __future__ import annotations


class ValkeykitError(Exception):
    """What is wrong and why, in one sentence; `fix` is the step that mends it."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} -> {self.fix}" if self.fix else message


class ConfigurationError(ValkeykitError):
    """A URL, an environment variable or a setting can't be used as given."""


class UnreachableError(ValkeykitError):
    """No server answered, or what answered is no Valkey or refused the login."""
