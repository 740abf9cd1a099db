"""Reads the configuration into Settings, or says everything that is wrong with it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from valkeykit.errors import ConfigurationError

from infra.settings import rules
from infra.settings.keys import Key, Mistake, ask, drop, is_secret, put
from infra.settings.stack import Settings

NAMESPACE = "valkey"


def load(config: Mapping[str, str]) -> Settings:
    """Read the whole configuration, whose keys read `valkey:memory`; other namespaces are left alone.

    Raises:
        ConfigurationError: names every key at fault, its value, what is allowed and the mend.
    """
    prefix = f"{NAMESPACE}:"
    given = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    try:
        values = {key: _section(key, value) for key, value in given.items()}
        settings = Settings.model_validate(values)
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
        mistakes = [_describe(tuple(error["loc"]), error.get("input")) for error in errors]
    else:
        mistakes = list(rules.mistakes(settings))
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        text = [f"{count} in the configuration, nothing was touched:", *map(str, mistakes)]
        raise ConfigurationError("\n".join(text)) from None
    return settings


def _section(key: str, value: str) -> object:
    """A section arrives as JSON; what isn't JSON stays text, for the model to refuse."""
    if key not in Settings.model_fields or _model(Settings, key) is None:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _describe(location: tuple[int | str, ...], value: object) -> Mistake:
    model: type[BaseModel] = Settings
    path, *rest = location
    name = str(path)
    if (section := _model(Settings, name)) and rest:
        model, name = section, str(rest[0])
    key = f"{path}.{name}" if model is not Settings else name
    if name not in model.model_fields:  # its value isn't shown: it may be a secret under a mistyped name
        return Mistake(key, f"is no key ({_near(name, model)}keys: {', '.join(model.model_fields)})", drop(key))
    described = _key(model, name)
    if described is None:
        return Mistake(key, "is a section, its keys are set one by one", f"pulumi config rm {key}")
    if is_secret(model, name):
        return Mistake(key, f"is something else than {described.allowed}", ask(key))
    return Mistake(key, f"is {value!r}, allowed is {described.allowed}", put(key, described.example))


def _near(name: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""


def _model(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The section that a field holds; None where it holds a value."""
    field = model.model_fields.get(name)
    annotation: Any = field.annotation if field else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _key(model: type[BaseModel], name: str) -> Key | None:
    return next((known for known in model.model_fields[name].metadata if isinstance(known, Key)), None)


def described(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Every key with its description, those of sections as paths."""
    for name in model.model_fields:
        if section := _model(model, name):
            yield from described(section, f"{prefix}{name}.")
        elif key := _key(model, name):
            yield f"{prefix}{name}", key
