"""Configurations for property tests, and the application of the fixes in error messages."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies
from valkeykit.errors import ConfigurationError

from infra import settings
from infra.settings import StackSettings

Configuration = dict[str, str]
"""Of a stack, by the paths that the operator writes: `memory`, `aws.nodeType`."""

_FIX = re.compile(r"-> pulumi config (set|rm) (.*)$", re.MULTILINE)


def configurations(values: Mapping[str, Sequence[str]], **fixed: str) -> strategies.SearchStrategy[Configuration]:
    """Any subset of the keys, each with one of its values; `fixed` keys are always there."""
    optional = {key: strategies.sampled_from(choices) for key, choices in values.items()}
    chosen = strategies.fixed_dictionaries({}, optional=optional)
    return chosen.map(lambda configuration: {**configuration, **fixed})


def load(configuration: Configuration) -> StackSettings:
    """As Pulumi hands it over: a section's keys as one JSON object.

    Raises:
        ConfigurationError: as the program would.
    """
    given = nested(configuration)
    return settings.load({key: json.dumps(value) if isinstance(value, dict) else value for key, value in given.items()})


def nested(configuration: Configuration) -> dict[str, Any]:
    """As a stack's file has it, a section's keys below the section's name."""
    result: dict[str, Any] = {}
    for path, value in configuration.items():
        section, *names = path.split(".")
        if not names:
            result[f"valkey:{section}"] = value
            continue
        holder = result.setdefault(f"valkey:{section}", {})
        for name in names[:-1]:
            holder = holder.setdefault(name, {})
        holder[names[-1]] = _typed(value)
    return result


def refusal(configuration: Configuration) -> list[str]:
    """A line for each error."""
    try:
        load(configuration)
    except ConfigurationError as problem:
        return str(problem).splitlines()[1:]
    return []


def apply_fixes(configuration: Configuration, problem: ConfigurationError) -> Configuration:
    """The configuration after every command in the error."""
    result = dict(configuration)
    fixes = _FIX.findall(str(problem))
    assert fixes, f"an error without a fix: {problem}"
    for action, rest in fixes:
        words = [word.removeprefix("valkey:") for word in shlex.split(rest) if word != "--path"]
        if action == "set":
            key, value = words
            result[key] = value
        else:
            (key,) = words
            result = {name: value for name, value in result.items() if name != key and not name.startswith(f"{key}.")}
    return result


def converge(configuration: Configuration, rounds: int = 6) -> Configuration:
    """An accepted configuration: while it is rejected, its fixes are applied.

    Raises:
        AssertionError: after so many rounds it is still rejected.
    """
    problem = None
    for _ in range(rounds):
        try:
            load(configuration)
        except ConfigurationError as refusal:
            problem = refusal
            configuration = apply_fixes(configuration, refusal)
        else:
            return configuration
    raise AssertionError(f"the fixes are not accepted: {problem}")


def accepted(configuration: Configuration) -> StackSettings:
    """The settings of a configuration after its fixes."""
    return load(converge(configuration))


def _typed(value: str) -> object:
    """`pulumi config set --path` stores true, false and whole numbers as such."""
    return json.loads(value) if re.fullmatch(r"true|false|0|-?[1-9]\d*", value) else value
