"""Options that several sub-commands share: the fields of a dataclass, each of which becomes an option."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def with_option_groups(function: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter that is a dataclass with its fields, for typer, and call the function with its instances.

    Example:
        >>> @with_option_groups
        ... def command(limits: Limits, as_json: AsJson = False) -> None: ...
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        parameters += _of_group(groups[name]) if name in groups else [_option(name, parameter.default, hints[name])]

    def command(**given: Any) -> None:
        instances = {
            name: kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
            for name, kind in groups.items()
        }
        function(**instances, **given)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    # typer reads the options from these; a function type has no such attribute for mypy.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _of_group(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [_option(field.name, field.default, hints[field.name]) for field in dataclasses.fields(group)]


def _option(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
