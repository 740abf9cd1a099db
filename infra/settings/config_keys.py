"""Configuration keys: their descriptions, their problems, and the commands that change them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


@dataclass(frozen=True)
class Key:
    """The description of a key, in its field's annotation.

    allowed: the accepted values, in words. example: an accepted value.
    meaning: for the keys of one target; Pulumi.yaml describes the keys that all targets share.
    """

    allowed: str
    example: str
    meaning: str = ""


@dataclass(frozen=True)
class ConfigProblem:
    """A key with an invalid value, and the command that fixes it.

    key: as the operator writes it, such as `memory` or `docker.bind`.
    """

    key: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"  {self.key} {self.reason} -> {self.fix}"


def set_command(key: str, value: str) -> str:
    """The command that sets a key."""
    return f"pulumi config set {_argument(key)} {value}"


def set_secret_command(key: str) -> str:
    """The command that sets a secret key; it prompts for the value, which keeps it out of the shell's history."""
    return f"pulumi config set --secret {_argument(key)}"


def remove_command(key: str) -> str:
    """The command that removes a key."""
    return f"pulumi config rm {_argument(key)}"


SHELL_WORD = r"""(?:'[^']*'|"[^"]*"|<[^>]*>|[^\s;)]*[^\s;),])"""
"""One argument of a command within a sentence."""

COMMAND = re.compile(
    rf"pulumi config (?:rm (?:--path )?{SHELL_WORD}"
    rf"|set (?:--path )?--secret (?:--path )?{SHELL_WORD}"
    rf"|set (?:--path )?(?!--){SHELL_WORD} {SHELL_WORD})"
)
"""A command within a sentence that sets or removes a key."""


def name_stack(text: str, stack: str) -> str:
    """Let each `pulumi config` command of a text name the stack, since another one may be selected."""
    return COMMAND.sub(lambda match: f"{match[0]} --stack {stack}", text)


def is_secret(model: type[BaseModel], name: str) -> bool:
    """Whether a field's value must not be shown."""
    return not model.model_fields[name].repr


def _argument(key: str) -> str:
    """The key as `pulumi config` expects it; a key of one target is a path."""
    return f"--path {key}" if "." in key else key


def _boolean(text: object) -> object:
    """Pulumi passes values as text."""
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


def _empty(text: object) -> object:
    return None if text == "" else text


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


EmptyAsNone = BeforeValidator(_empty)
"""An empty value selects the key's own default."""

StrictBool = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]
"""true or false, and no other word."""

CommaSeparated = BeforeValidator(_split)
"""A list, or text with commas between the values."""

SIZE = re.compile(r"(?P<number>[1-9][0-9]*)(?P<unit>mb|gb)")
_UNIT_BYTES = {"mb": 1024**2, "gb": 1024**3}
Size = Annotated[str, Field(pattern=f"^{SIZE.pattern}$")]


def size_in_bytes(size: str) -> int:
    """As in valkey.conf, 1mb is 1024 · 1024."""
    match = SIZE.fullmatch(size)
    if match is None:
        raise ValueError("not a size")
    return int(match["number"]) * _UNIT_BYTES[match["unit"]]


class SettingsModel(BaseModel):
    """Configuration keys that belong together: unknown keys are rejected, and values never change.

    `pulumi config set --path` turns text of digits into a number, so numbers are accepted as text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
