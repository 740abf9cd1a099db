"""How a key of the configuration describes itself, and the values that several keys share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


@dataclass(frozen=True)
class Key:
    """Beside a field's type: what is allowed, in words, a value that is, and what it means.

    meaning: of a section's key; that of a common word stands in Pulumi.yaml.
    """

    allowed: str
    example: str
    meaning: str = ""


@dataclass(frozen=True)
class Mistake:
    """A key whose value can't be, with the command that mends it.

    key: as the operator writes it, such as `memory` or `docker.bind`.
    """

    key: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"  valkey:{self.key} {self.reason} -> {self.fix}"


def put(key: str, value: str) -> str:
    """The command that sets a key."""
    return f"pulumi config set {_named(key)} {value}"


def ask(key: str) -> str:
    """The command that sets a key whose value is a secret: it asks for it, so that no shell remembers it."""
    return f"pulumi config set --secret {_named(key)}"


def drop(key: str) -> str:
    """The command that removes a key."""
    return f"pulumi config rm {_named(key)}"


def is_secret(model: type[BaseModel], name: str) -> bool:
    """Whether a field's value is shown nowhere."""
    return not model.model_fields[name].repr


def _named(key: str) -> str:
    """As `pulumi config` wants it; one of a section is a path."""
    return f"--path valkey:{key}" if "." in key else key


def _boolean(text: object) -> object:
    """Pulumi passes a value as text; only its own two words count."""
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


def _empty(text: object) -> object:
    return None if text == "" else text


Blank = BeforeValidator(_empty)
"""Empty leaves the choice to what the key is for."""

Flag = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


Listed = BeforeValidator(_split)
"""A list; as text, with commas between."""

SIZE = re.compile(r"(?P<number>[1-9][0-9]*)(?P<unit>mb|gb)")
_UNITS = {"mb": 1024**2, "gb": 1024**3}
Size = Annotated[str, Field(pattern=f"^{SIZE.pattern}$")]


def size_in_bytes(size: str) -> int:
    """As in valkey.conf, 1mb is 1024 · 1024."""
    match = SIZE.fullmatch(size)
    if match is None:
        raise ValueError("no size")
    return int(match["number"]) * _UNITS[match["unit"]]


class Section(BaseModel):
    """Keys that belong together, none else, and not to be changed once read.

    A text of digits arrives as a number: `pulumi config set --path` makes it one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
