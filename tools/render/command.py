"""The command: the same configuration keys, the same checks, a folder as its result."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from valkeykit.errors import ConfigurationError

from infra.settings import StackSettings, load
from tools.errors import ToolError
from tools.render import compose, native
from tools.render.folder import Folder


class Form(Protocol):
    """What can be rendered. HAS_NOT: keys that mean nothing there."""

    HAS_NOT: set[str]

    def write(self, settings: StackSettings, folder: Folder) -> str:
        """Write the folder; return what to do with it."""
        ...


FORMS: dict[str, Form] = {"compose": compose, "native": native}

_PATHS = r"(?:--path )?(?:valkey:)?"
_WORDS = (
    (re.compile(rf"pulumi config set {_PATHS}(\S+) "), r"--set \1="),
    (re.compile(rf"pulumi config rm {_PATHS}(\S+)"), r"leave out --set \1"),
)
"""How a mend for Pulumi reads here."""


def render(form: str, out: Path, given: Sequence[str]) -> str:
    """Write the folder, or bring it up to date; return what to do with it.

    given: KEY=VALUE each; a value that begins with @ names a file that has it.

    Raises:
        ToolError: a mistake in what is given, or the folder has something else.
    """
    settings = _settings(given)
    writer = FORMS[form]
    if unknown := [key for key in _keys(given) if key in writer.HAS_NOT]:
        raise ToolError(
            f"{', '.join(unknown)}: there is no such thing in a folder for {form}",
            fix=f"leave out --set {unknown[0]}",
        )
    return writer.write(settings, Folder.open(out, form))


def _settings(given: Sequence[str]) -> StackSettings:
    config, sections = {"valkey:target": "docker"}, {"docker": {"host": ""}}
    for pair in given:
        key, sign, value = pair.partition("=")
        if not sign or key == "target":
            raise ToolError(f"--set {pair} says nothing", fix="--set KEY=VALUE, such as --set memory=1gb")
        section, dot, name = key.partition(".")
        if dot:
            sections.setdefault(section, {})[name] = _value(value)
        else:
            config[f"valkey:{key}"] = _value(value)
    config |= {f"valkey:{section}": json.dumps(values) for section, values in sections.items()}
    try:
        return load(config)
    except ConfigurationError as problem:
        raise ToolError(_in_our_words(str(problem))) from None


def _keys(given: Sequence[str]) -> list[str]:
    return [pair.partition("=")[0] for pair in given]


def _value(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().strip()
    except OSError as problem:
        raise ToolError(f"{text[1:]} can't be read: {problem.strerror}", fix="name a file after the @") from None


def _in_our_words(text: str) -> str:
    for pulumis, ours in _WORDS:
        text = pulumis.sub(ours, text)
    return text
