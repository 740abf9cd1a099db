"""The configuration reader: typed settings, or all configuration errors at once."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from valkeykit.errors import ConfigurationError

from infra.settings import validation
from infra.settings.config_keys import ConfigProblem, Key, is_secret, remove_command, set_command, set_secret_command
from infra.settings.stack_settings import StackSettings

NAMESPACE = "valkey"

MAPS = ("contacts", "parameters")
"""Keys whose values are maps."""

RENAMED_KEYS = {
    "rotation": "passwordRotation",
    "retired": "completedRotation",
    "docker.allow": "docker.allowedCidrs",
    "aws.alarmEmails": "aws.alertEmails",
}
"""The current name by the previous one, which is rejected."""


def load(config: Mapping[str, str], project: str = NAMESPACE) -> StackSettings:
    """Read the whole configuration of a stack.

    Args:
        config: Values by key, such as `valkey:memory`.
        project: Name of the Pulumi project, which is the namespace of its keys. Providers' namespaces are ignored.

    Raises:
        ConfigurationError: lists every invalid key with its value, the accepted values and the command that fixes it.
    """
    if project != NAMESPACE:
        _reject_previous_namespace(config, project)
    prefix = f"{project}:"
    config = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    return check({key: _parsed(key, value) for key, value in config.items()})


def check(values: Mapping[str, object]) -> StackSettings:
    """Check values by key, which are maps for the keys of one target.

    Raises:
        ConfigurationError: as `load`.
    """
    try:
        settings = StackSettings.model_validate(values)
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
        problems = [_describe(tuple(error["loc"]), error.get("input")) for error in errors]
    else:
        problems = list(validation.find_problems(settings))
    if problems:
        raise _as_error(problems) from None
    return settings


def _reject_previous_namespace(config: Mapping[str, str], project: str) -> None:
    """Reject the keys from before the project was renamed: without them a stack would get other settings."""
    prefix = f"{NAMESPACE}:"
    problems = [
        ConfigProblem(
            key.removeprefix(prefix),
            f"is not read, since the project is called {project}",
            f"rename {prefix} to {project}: in Pulumi.<stack>.yaml",
        )
        for key in config
        if key.startswith(prefix)
    ]
    if problems:
        raise _as_error(problems)


def _as_error(problems: Sequence[ConfigProblem]) -> ConfigurationError:
    count = "1 configuration error" if len(problems) == 1 else f"{len(problems)} configuration errors"
    return ConfigurationError("\n".join([f"{count}; nothing was changed:", *map(str, problems)]))


def _parsed(key: str, value: str) -> object:
    """A map arrives as JSON; text that isn't JSON is left for the model to reject."""
    if key not in StackSettings.model_fields or (key not in MAPS and _model(StackSettings, key) is None):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _describe(location: tuple[int | str, ...], value: object) -> ConfigProblem:
    model: type[BaseModel] = StackSettings
    path, *rest = location
    name = str(path)
    if (section := _model(StackSettings, name)) and rest:
        model, name = section, str(rest[0])
    key = f"{path}.{name}" if model is not StackSettings else name
    if key in RENAMED_KEYS:
        return _renamed(key, RENAMED_KEYS[key], value)
    if name not in model.model_fields:  # the value isn't shown: it may be a secret under a mistyped name
        reason = f"is an unknown key ({_suggestion(name, model)}keys: {', '.join(model.model_fields)})"
        return ConfigProblem(key, reason, remove_command(key))
    description = _description(model, name)
    if description is None:
        return ConfigProblem(key, "is a map whose keys are set one by one", f"pulumi config rm {key}")
    if is_secret(model, name):
        return ConfigProblem(key, f"is invalid, expected {description.allowed}", set_secret_command(key))
    fix = set_command(key, description.example)
    if key in MAPS:
        fix = _contact_commands(value) if key == "contacts" else remove_command(key)
    return ConfigProblem(key, f"is {value!r}, expected {description.allowed}", fix)


def _renamed(previous: str, current: str, value: object) -> ConfigProblem:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    fix = f"{set_command(current, shlex.quote(text))} && {remove_command(previous)}"
    return ConfigProblem(previous, f"was renamed to {current}", fix)


def _contact_commands(value: object) -> str:
    """The commands that replace the previous form, `what: contact; what: contact`."""
    text = value if isinstance(value, str) else ""
    entries = [entry.partition(":") for entry in text.split(";") if ":" in entry]
    contacts = [(what.strip(), contact.strip()) for what, _, contact in entries] or [("down", "#oncall")]
    commands = [
        f"pulumi config set --path {shlex.quote(contact_path(what))} {shlex.quote(who)}" for what, who in contacts
    ]
    return " && ".join([remove_command("contacts"), *commands])


def contact_path(what: str) -> str:
    """The path of one contact, as `pulumi config set --path` expects it."""
    return f"contacts.{what}" if what.isidentifier() else f'contacts["{what}"]'


def _suggestion(name: str, model: type[BaseModel]) -> str:
    matches = difflib.get_close_matches(name, model.model_fields, n=1, cutoff=0.6)
    return f"did you mean {matches[0]}? " if matches else ""


def _model(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model that a field holds; None if it holds a value."""
    field = model.model_fields.get(name)
    annotation: Any = field.annotation if field else None
    is_class = isinstance(annotation, type) and get_origin(annotation) is None
    return annotation if is_class and issubclass(annotation, BaseModel) else None


def _description(model: type[BaseModel], name: str) -> Key | None:
    return next((entry for entry in model.model_fields[name].metadata if isinstance(entry, Key)), None)


def describe_keys(model: type[BaseModel] = StackSettings, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Every key with its description; the keys of one target as paths."""
    for name in model.model_fields:
        if section := _model(model, name):
            yield from describe_keys(section, f"{prefix}{name}.")
        elif key := _description(model, name):
            yield f"{prefix}{name}", key
