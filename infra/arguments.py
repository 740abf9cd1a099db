"""The arguments of the component: the keys of a stack's configuration, checked in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import pulumi
from valkeykit.errors import ConfigurationError

from infra import settings
from infra.hardening import Target, Topology, Workload
from infra.settings import StackSettings
from infra.settings.config_keys import COMMAND


@dataclass(frozen=True, kw_only=True)
class ValkeyArgs:
    """Arguments that are None have the defaults of the configuration keys of the same names, such as `dataDir`.

    docker, aws, gcp: the keys of one target, as in the configuration, such as `{"vpcId": "vpc-0a1b"}`.
    All values are plain: they decide which resources exist.
    """

    target: Target | None = None
    topology: Topology | None = None
    shards: int | None = None
    replicas: int | None = None
    workload: Workload | None = None
    version: str | None = None
    memory: str | None = None
    environment: Literal["dev", "prod"] | None = None
    port: int | None = None
    data_dir: str | None = None
    restore_from: str | None = None
    final_snapshot: bool | None = None
    password_rotation: str | None = None
    completed_rotation: str | None = None
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    allow_weaker: Sequence[str] = ()
    docker: Mapping[str, Any] = field(default_factory=dict)
    aws: Mapping[str, Any] = field(default_factory=dict)
    gcp: Mapping[str, Any] = field(default_factory=dict)

    def checked(self) -> StackSettings:
        """
        Raises:
            ConfigurationError: lists every invalid argument.
        """
        values = {_key(entry.name): getattr(self, entry.name) for entry in fields(self)}
        given = {key: value for key, value in values.items() if value is not None and value not in ({}, ())}
        if outputs := sorted(_outputs(given)):
            raise ConfigurationError(
                f"{', '.join(outputs)}: an Output, expected a plain value, which decides which resources exist",
                fix="pass the value itself",
            )
        return settings.check(given)


def name_arguments(text: str) -> str:
    """A text with commands of this project, in terms of arguments and packages."""
    return _INSTALLATION.sub(r"pip install pulumi-\1", COMMAND.sub(_as_argument, text))


_INSTALLATION = re.compile(r"make sdk CLOUD=(aws|gcp)")


def _as_argument(command: re.Match[str]) -> str:
    words = command[0].split(maxsplit=3)[2:]
    verb, rest = words[0], words[1]
    rest = re.sub(r"(--path|--secret) ?", "", rest)
    if verb == "rm":
        return f"leave out {rest}"
    key, _, value = rest.partition(" ")
    return f"set {key} to {value}" if value else f"set {key}"


def _key(argument: str) -> str:
    """The configuration key of an argument: `data_dir` is `dataDir`."""
    first, *words = argument.split("_")
    return first + "".join(word.capitalize() for word in words)


def _outputs(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys whose values are not known yet."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _outputs(value, f"{prefix}{key}.")
        elif isinstance(value, pulumi.Output) or (
            isinstance(value, (list, tuple)) and any(isinstance(item, pulumi.Output) for item in value)
        ):
            yield f"{prefix}{key}"
