"""Configurations for the provider: each topology, each choice, and random combinations."""

from __future__ import annotations

import functools
import random

from valkeykit.errors import ConfigurationError

from harness.cloud.aws.configurations import MINIMAL, NAMED, TOPOLOGIES
from harness.cloud.config_strategies import Configuration, apply_fixes, converge, load
from tests.aws.recorded import DeployedAws
from tests.aws.test_requests import VALUES

RANDOM = 60
"""How many random configurations."""

_KEY = {"aws.kmsKey": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
_SUBNETS = {"aws.vpcId": "vpc-0a1b2c3d", "aws.subnetIds": "subnet-0,subnet-1"}

SOURCES: tuple[Configuration, ...] = (
    {"restoreFrom": "nightly"} | _KEY,
    {"restoreFrom": "arn:aws:s3:::dumps/a.rdb"},
    {"topology": "serverless", "restoreFrom": "arn:aws:s3:::dumps/a.rdb"} | _KEY,
    {"topology": "serverless"} | _SUBNETS,
    {"aws.kmsKey": "own"},
    NAMED,
)
"""Where the data, the key and the network come from."""

BASES: dict[str, Configuration] = {
    "single": {"version": "9.0", "aws.applyImmediately": "false"},
    "replicated": {"topology": "replicated", "version": "8.1", "memory": "2gb"},
    "cluster": {"topology": "cluster", "shards": "4", "aws.nodeType": "cache.r7g.large"},
    "serverless": {"topology": "serverless", "version": "8.1"},
}
"""From which one key is changed at a time."""


@functools.cache
def deployments() -> list[DeployedAws]:
    """Of all configurations."""
    choose = random.Random(19)
    drawn = [
        {key: choose.choice(values) for key, values in VALUES.items() if choose.random() < 0.35} for _ in range(RANDOM)
    ]
    fixed = [MINIMAL | configuration for configuration in (*TOPOLOGIES.values(), *SOURCES)]
    return [deployed(configuration) for configuration in (*fixed, *(MINIMAL | one for one in drawn))]


def deployed(configuration: Configuration) -> DeployedAws:
    """Of a configuration with its fixes, also those that need AWS's answers."""
    known = converge({**configuration, "target": "aws"})
    for _ in range(3):
        try:
            return DeployedAws.of(known)
        except ConfigurationError as refusal:
            known = converge(apply_fixes(known, refusal))
    return DeployedAws.of(known)


def changes_of_one_key() -> dict[str, tuple[DeployedAws, DeployedAws]]:
    """Each value of each key that is accepted as it is, from each base."""
    found = {}
    for name, base in BASES.items():
        for key, values in VALUES.items():
            for value in values:
                try:
                    load(MINIMAL | base | {key: value})
                    after = DeployedAws.of(base | {key: value})
                except ConfigurationError:
                    continue
                found[f"{name}: {key} {value}"] = (DeployedAws.of(base), after)
    return found
