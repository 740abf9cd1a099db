"""The arguments of the component: the keys of a stack's configuration, checked in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import pulumi
from valkeykit.errors import ValkeykitError
from valkeykit.vocabulary import Environment

from infra import output_arguments, settings
from infra.hardening import Target, Topology, Workload
from infra.section_arguments import AwsArgs, DockerArgs, GcpArgs
from infra.settings import StackSettings
from infra.settings.config_keys import COMMAND
from infra.targets.setting_inputs import SettingInputs


@dataclass(frozen=True, kw_only=True)
class ValkeyArgs:
    """Arguments that are None have the defaults of the configuration keys of the same names, such as `dataDir`.

    docker, aws, gcp: the keys of one target, as in the configuration, such as `{"vpcId": "vpc-0a1b"}`.
    Values that are only passed on to resources may be outputs (`infra.output_arguments`). All others are plain: they
    decide which resources exist.
    """

    target: Target | None = None
    topology: Topology | None = None
    shards: int | None = None
    replicas: int | None = None
    workload: Workload | None = None
    version: str | None = None
    memory: str | None = None
    environment: Environment | None = None
    port: int | None = None
    data_dir: str | None = None
    restore_from: str | None = None
    final_snapshot: bool | None = None
    password_rotation: str | None = None
    completed_rotation: str | None = None
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    allow_weaker: Sequence[str] = ()
    docker: DockerArgs = field(default_factory=DockerArgs)
    aws: AwsArgs = field(default_factory=AwsArgs)
    gcp: GcpArgs = field(default_factory=GcpArgs)

    def checked(self, as_error: Callable[[ValkeykitError], pulumi.RunError]) -> SettingInputs:
        """
        as_error: how errors in values that are known later end the program.

        Raises:
            ConfigurationError: lists every invalid argument whose value is known.
        """
        values = {_key(entry.name): getattr(self, entry.name) for entry in fields(self)}
        given = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in values.items()
            if value is not None and value not in ({}, ())
        }
        known, outputs = output_arguments.with_placeholders(given)
        checked = settings.check(known)
        if not outputs:
            return SettingInputs(checked)

        def check(complete: Mapping[str, Any]) -> StackSettings:
            try:
                result = settings.check(complete)
                output_arguments.check_decisions(result, outputs)
            except ValkeykitError as problem:
                raise as_error(problem) from None
            return result

        return SettingInputs(checked, outputs, pulumi.Output.from_input(given).apply(check), as_error)


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
