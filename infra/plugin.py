"""The component as a plugin, for programs in other languages."""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult
from pulumi.provider import main as serve
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from infra.arguments import ValkeyArgs
from infra.component import Valkey
from infra.settings.loading import describe_keys

NAME = "valkey"


def _schema_type(hint: Any) -> Any:
    """A type that Pulumi's schemas have; the values themselves are checked by the settings."""
    kind, parts = get_origin(hint), get_args(hint)
    if type(None) in parts:
        return _schema_type(parts[0])
    if is_typeddict(hint):
        return dict[str, Any]
    return {Literal: str, Mapping: dict[str, Any], Sequence: list[str], None: hint}[kind]


PluginArgs = TypedDict(  # type: ignore[misc]  # its keys are those of the arguments
    "PluginArgs", {name: _schema_type(hint) for name, hint in get_type_hints(ValkeyArgs).items()}, total=False
)


class PluginValkey(Valkey):
    __doc__ = Valkey.__doc__

    def __init__(self, name: str, args: PluginArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, ValkeyArgs(**_integers(args)), opts)


PluginValkey.__name__ = "Valkey"  # the component's name in the schema


class ValkeyProvider(ComponentProvider):
    """Creates components for the engine."""

    def __init__(self) -> None:
        super().__init__([PluginValkey], NAME, version=_version())
        self.schema = json.dumps(_described(json.loads(self.schema or "{}")), indent=2)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Mapping[str, pulumi.Input[Any]],
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """
        Raises:
            InputPropertiesError: the arguments are invalid; the engine attributes it to the component.
        """
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as problem:
            if isinstance(problem.inner, pulumi.RunError):
                raise InputPropertiesError(str(problem.inner), []) from None  # None fails in the SDK
            raise


def main() -> None:
    """The command `pulumi-resource-valkey`."""
    serve(ValkeyProvider(), sys.argv[1:])


def _integers(value: Any) -> Any:
    """The engine passes numbers as floats."""
    if isinstance(value, Mapping):
        return {name: _integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the accepted values of each argument."""
    allowed = {key: description.allowed for key, description in describe_keys()}
    allowed["parameters"] = "parameters of the engine in addition to the hardening, a map such as {timeout: 300}"
    for key, entry in schema["resources"][f"{NAME}:index:Valkey"]["inputProperties"].items():
        entry["description"] = allowed.get(key, f"the keys of the target {key}, as in its configuration")
    return schema


def _version() -> str:
    try:
        return metadata.version("pulumi-valkey")
    except metadata.PackageNotFoundError:
        return "0.1.0"
