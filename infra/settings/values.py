"""Validators for values that the settings of several targets share."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from infra.settings.config_keys import CommaSeparated

NameList = Annotated[tuple[str, ...], CommaSeparated]

EMAIL = r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+"


_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def one_of(allowed: Any) -> AfterValidator:
    """One of these values, or empty."""

    def check(value: Any) -> Any:
        if value not in ("", *allowed):
            raise ValueError("unknown")
        return value

    return AfterValidator(check)


def each_matches(pattern: str) -> AfterValidator:
    """A list whose values all match the pattern."""

    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(pattern, value) for value in values):
            raise ValueError("a value doesn't match")
        return values

    return AfterValidator(check)


def private_network(largest: int, smallest: int) -> AfterValidator:
    """A private IPv4 network whose prefix has `largest` to `smallest` bits."""

    def check(text: str) -> str:
        network = ipaddress.IPv4Network(text)
        is_usable = network.is_private and not (
            network.is_loopback or network.is_link_local or network.overlaps(_THIS_NETWORK)
        )
        if not (is_usable and largest <= network.prefixlen <= smallest):
            raise ValueError("not a private network of that size")
        return text

    return AfterValidator(check)


def pairs(value: object) -> object:
    """A map, from a map or from text such as team=web,cost=12."""
    if isinstance(value, str):
        given = [part.partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): text.strip() for name, _, text in given}
    if isinstance(value, dict):
        return {name: str(text).lower() if isinstance(text, bool) else text for name, text in value.items()}
    return value


KeyValuePairs = BeforeValidator(pairs)
"""A map, or text such as team=web,cost=12. Pulumi passes values such as true as booleans."""
