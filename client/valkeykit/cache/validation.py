"""Validation of the arguments of a cache, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from valkeykit.errors import ConfigurationError, shown
from valkeykit.settings import is_number

MAX_TEXT_CHARACTERS = 1024


def check_text(what: str, value: Any) -> str:
    """Check a key, a tag or a name.

    Raises:
        ConfigurationError: Not a text of 1 to 1024 characters.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT_CHARACTERS:
        raise ConfigurationError(
            f"the {what} is {shown(value)}, expected a text of 1 to {MAX_TEXT_CHARACTERS} characters",
            fix='use a text such as "user:5"',
        )
    return value


def check_texts(what: str, values: Iterable[str]) -> list[str]:
    """Check several keys or tags; returns them in order, without duplicates.

    Raises:
        ConfigurationError: Not a list of texts. A single text would count as a list of its letters.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ConfigurationError(f"the {what}s are {shown(values)}, expected a list of texts", fix='use ["user:5"]')
    return list(dict.fromkeys([check_text(what, value) for value in values]))


def check_number(name: str, value: float, most: float, example: str) -> float:
    """Check a number from 0 to `most`.

    Raises:
        ConfigurationError: Not a number (bool and text included), NaN, or out of range.
    """
    if not is_number(value) or not 0 <= value <= most:
        raise ConfigurationError(
            f"{name} is {shown(value)}, expected a number from 0 to {most:g}", fix=f"pass {name}={example}"
        )
    return value


def check_count(name: str, value: int) -> int:
    """Check a whole number, 0 or more.

    Raises:
        ConfigurationError: Anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"{name} is {shown(value)}, expected a whole number from 0", fix=f"pass {name}=10")
    return value
