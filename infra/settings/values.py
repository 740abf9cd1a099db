"""Values that the sections of several targets share, checked the same way."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from infra.settings.keys import Listed

Names = Annotated[tuple[str, ...], Listed]

EMAIL = r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+"


def one_of(known: Any) -> AfterValidator:
    """One of these, or empty."""

    def check(value: Any) -> Any:
        if value not in ("", *known):
            raise ValueError("unknown")
        return value

    return AfterValidator(check)


def each_fits(pattern: str) -> AfterValidator:
    """A list whose every value matches."""

    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(pattern, value) for value in values):
            raise ValueError("not such a list")
        return values

    return AfterValidator(check)


def private_network(largest: int, smallest: int) -> AfterValidator:
    """A private IPv4 network whose prefix has from `largest` to `smallest` bits."""

    def check(text: str) -> str:
        network = ipaddress.IPv4Network(text)
        if not (network.is_private and largest <= network.prefixlen <= smallest):
            raise ValueError("no private network of that size")
        return text

    return AfterValidator(check)


def _pairs(value: object) -> object:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): text.strip() for name, _, text in pairs}
    if isinstance(value, dict):
        return {name: str(text).lower() if isinstance(text, bool) else text for name, text in value.items()}
    return value


Pairs = BeforeValidator(_pairs)
"""Names and values, or one text such as team=web,cost=12. A value such as true arrives as no text."""
