"""Parameters of the engine that a stack sets in addition to the hardening: the keys `parameters` and `allowWeaker`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from infra.engine_parameters import SELF_HOSTED, EngineParameter
from infra.hardening import POLICY_PREFIX, directives
from infra.settings.config_keys import ConfigProblem, remove_command, set_command
from infra.settings.values import pairs

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings


def _parameters(value: Any) -> Any:
    """Not from text: each error is fixed by the removal of one name."""
    return {} if value == "" else pairs(value) if isinstance(value, dict) else None


ParameterMap = Annotated[dict[str, str], BeforeValidator(_parameters)]


@dataclass(frozen=True)
class ParameterCatalogue:
    """What a target supports.

    owner: whose parameters, in words. supported: the values by name. hardened: the values that the program sets.
    """

    owner: str
    supported: Mapping[str, EngineParameter]
    hardened: Mapping[str, str]


def self_hosted_catalogue(settings: StackSettings) -> ParameterCatalogue:
    """Of a server that the program runs itself."""
    supported = {name: entry for name, entry in SELF_HOSTED.items() if entry.exists_in(settings.version)}
    hardened = directives(settings.workload, settings.maxmemory, settings.target)
    return ParameterCatalogue(f"Valkey {settings.version}", supported, hardened)


def find_problems(settings: StackSettings, catalogue: ParameterCatalogue) -> Iterator[ConfigProblem]:
    """Unknown names, invalid values, and values that undo the hardening."""
    for name, value in settings.parameters.items():
        key = f"parameters.{name}"
        if reason := _reason(settings, catalogue, name, value):
            yield ConfigProblem(key, reason, remove_command(key))
    unneeded = [name for name in settings.allowWeaker if name not in settings.parameters]
    if unneeded:
        rest = ",".join(name for name in settings.allowWeaker if name not in unneeded)
        reason = f"names {', '.join(unneeded)}, which parameters does not set"
        yield ConfigProblem(
            "allowWeaker", reason, set_command("allowWeaker", rest) if rest else remove_command("allowWeaker")
        )


def _reason(settings: StackSettings, catalogue: ParameterCatalogue, name: str, value: str) -> str | None:
    entry = catalogue.supported.get(name)
    if entry is None:
        return f"is not a parameter of {catalogue.owner} that can be set"
    if not entry.accepts(value):
        return f"is {value!r}, expected {entry.allowed}"
    if name == "maxmemory-policy":
        suits = value.startswith(POLICY_PREFIX[settings.workload])
        return None if suits else f"is {value}, which does not suit the workload {settings.workload}"
    hardened = catalogue.hardened.get(name, value)
    if value != hardened and name not in settings.allowWeaker:
        return f"is {value}, the hardening sets {hardened}; allow another value with: {_allow(settings, name)}"
    return None


def _allow(settings: StackSettings, name: str) -> str:
    return set_command("allowWeaker", ",".join((*settings.allowWeaker, name)))
