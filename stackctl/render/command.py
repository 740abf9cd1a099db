"""The render command: it takes the configuration keys of a stack, checks them and writes a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from valkeykit.errors import ConfigurationError

from infra.settings import StackSettings, load
from stackctl.errors import StackError
from stackctl.render import compose, native
from stackctl.render.rendered_folder import RenderedFolder


class RenderFormat(Protocol):
    """A format of the folder.

    UNSUPPORTED_KEYS: configuration keys, or their first parts, that it doesn't support.
    SERVER_KEYS: keys of the docker target that it takes without `docker.`.
    """

    UNSUPPORTED_KEYS: set[str]
    SERVER_KEYS: tuple[str, ...]

    def write(self, settings: StackSettings, folder: RenderedFolder) -> str:
        """Write the folder; return the next steps."""
        ...


FORMATS: dict[str, RenderFormat] = {"compose": compose, "native": native}

_PATHS = r"(?:--path )?"
_FIX_REPLACEMENTS = (
    (re.compile(rf"pulumi config set {_PATHS}(\S+) "), r"--set \1="),
    (re.compile(rf"pulumi config rm {_PATHS}(\S+)"), r"leave out --set \1"),
)
"""Replacements that turn a fix for Pulumi into one for this command."""


def render(form: str, out: Path, given: Sequence[str]) -> str:
    """Write or update the folder; return the next steps.

    given: KEY=VALUE each; a value that begins with @ is the name of a file with the value.

    Raises:
        StackError: a key or value is invalid, or the folder has other files.
    """
    writer = FORMATS[form]
    settings = _settings(given, writer)
    keys = [pair.partition("=")[0] for pair in given]
    if unknown := [key for key in keys if {key, key.partition(".")[0]} & writer.UNSUPPORTED_KEYS]:
        name = unknown[0].removeprefix("docker.")
        fix = f"--set {name}=…" if name in writer.SERVER_KEYS else f"leave out --set {unknown[0]}"
        raise StackError(f"{', '.join(unknown)} is not supported in a folder for {form}", fix=fix)
    return writer.write(settings, RenderedFolder.open(out, form))


def _settings(given: Sequence[str], writer: RenderFormat) -> StackSettings:
    config, sections = {"valkey:target": "docker"}, {"docker": {"host": ""}}
    for pair in given:
        key, sign, value = pair.partition("=")
        if not sign or key == "target":
            raise StackError(f"--set {pair} is invalid", fix="--set KEY=VALUE, such as --set memory=1gb")
        section, dot, name = (f"docker.{key}" if key in writer.SERVER_KEYS else key).partition(".")
        if dot:
            sections.setdefault(section, {})[name] = _value(value)
        else:
            config[f"valkey:{key}"] = _value(value)
    config |= {f"valkey:{section}": json.dumps(values) for section, values in sections.items()}
    try:
        return load(config)
    except ConfigurationError as problem:
        raise StackError(_translated(str(problem), writer)) from None


def _value(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().strip()
    except OSError as problem:
        raise StackError(f"{text[1:]} can't be read: {problem.strerror}", fix="--set KEY=@<file>") from None


def _translated(text: str, writer: RenderFormat) -> str:
    """An error of the configuration in terms of this command."""
    for pattern, replacement in _FIX_REPLACEMENTS:
        text = pattern.sub(replacement, text)
    for key in writer.SERVER_KEYS:
        text = text.replace(f"docker.{key}", key)
    return text
