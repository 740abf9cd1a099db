"""Arguments that may be outputs of other resources, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from valkeykit.errors import ConfigurationError

from infra.settings import StackSettings
from infra.settings.aws.catalogue import partition

_ARN = "arn:{partition}:{service}:{region}:000000000000:"
_KEY = _ARN.replace("{service}", "kms") + "key/0badc0de"

PLACEHOLDERS: Mapping[str, str] = {
    "aws.vpcId": "vpc-0badc0de",
    "aws.subnetIds": "subnet-0badc0de{number}",
    "aws.subnetGroup": "unknown-0badc0de",
    "aws.securityGroups": "sg-0badc0de{number}",
    "aws.kmsKey": _KEY,
    "aws.logKmsKey": _KEY,
    "aws.topicKmsKey": _KEY,
    "aws.topicArn": _ARN.replace("{service}", "sns") + "unknown-0badc0de",
    "aws.hostedZone": "Z0BADC0DE",
    "docker.registryPassword": "unknown-0badc0de",
    "docker.backupAccessKey": "unknown-0badc0de",
    "docker.backupSecretKey": "unknown-0badc0de",
}
"""A valid value of each key that may be an output: it is passed on to resources and decides nothing else.

Until the value is known, the settings have the placeholder, which no resource receives.
"""

DECISIONS = ("", "own")
"""Values of those keys that decide which resources exist."""


def with_placeholders(values: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Values by key with a placeholder for each output, and the keys that have one.

    Raises:
        ConfigurationError: a key that decides which resources exist is an output.
    """
    outputs = frozenset(_keys_of_outputs(values))
    if rejected := sorted(outputs - PLACEHOLDERS.keys()):
        raise ConfigurationError(
            f"{', '.join(rejected)}: an Output, expected a plain value, which decides which resources exist",
            fix="pass the value itself",
        )
    known = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    region = known.get("aws", {}).get("region") or "eu-central-1"
    for key in outputs:
        section, name = key.split(".")
        known[section][name] = _placeholder(PLACEHOLDERS[key], known[section][name], str(region))
    return known, outputs


def check_decisions(settings: StackSettings, outputs: frozenset[str]) -> None:
    """
    Raises:
        ConfigurationError: an output has a value that decides which resources exist.
    """
    for key in sorted(outputs):
        section, name = key.split(".")
        value = getattr(getattr(settings, section), name)
        if not value or value in DECISIONS:
            raise ConfigurationError(
                f"{key} is {value!r}, which decides which resources exist, and was an Output",
                fix="pass the value itself",
            )


def _placeholder(template: str, value: Any, region: str) -> Any:
    """A list of outputs has one placeholder for each, the output of a list has two."""

    def create(number: int) -> str:
        return template.format(number=number, region=region, partition=partition(region))

    if isinstance(value, (list, tuple)):
        return [create(number) if isinstance(item, pulumi.Output) else item for number, item in enumerate(value)]
    return [create(number) for number in range(2)] if "{number}" in template else create(0)


def _keys_of_outputs(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _keys_of_outputs(value, f"{prefix}{key}.")
        elif isinstance(value, pulumi.Output) or (
            isinstance(value, (list, tuple)) and any(isinstance(item, pulumi.Output) for item in value)
        ):
            yield f"{prefix}{key}"
