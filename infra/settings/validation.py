"""Cross-key validation: keys whose values contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from infra.hardening import SELF_HOSTED
from infra.settings import parameters
from infra.settings.aws import validation as aws
from infra.settings.config_keys import ConfigProblem, remove_command, set_command
from infra.settings.docker import validation as docker
from infra.settings.gcp import validation as gcp
from infra.settings.stack_settings import StackSettings

TARGET_KEYS = ("docker", "aws", "gcp")
"""Maps with the keys of one target, under the target's name."""

MAX_ENGINE_NODES = 100
"""Of a docker deployment: data nodes have fixed addresses in its network."""

EMBEDDED_KEYS = ("dataDir",)
"""Shared keys that only the embedded target supports."""


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    """All contradictions."""
    for section in TARGET_KEYS:
        if settings.target != section and getattr(settings, section).model_fields_set:
            yield ConfigProblem(section, f"is set, but the target is {settings.target}", f"pulumi config rm {section}")
    for key in EMBEDDED_KEYS:
        if settings.target != "embedded" and getattr(settings, key):
            yield ConfigProblem(key, f"is not supported by target {settings.target}", remove_command(key))
    if settings.topology == "serverless" and settings.target != "aws":
        reason = f"is serverless, which {settings.target} does not support"
        yield ConfigProblem("topology", reason, set_command("topology", "single"))
    yield from _topology(settings)
    if settings.target in SELF_HOSTED:
        yield from parameters.find_problems(settings, parameters.self_hosted_catalogue(settings))
    if settings.target == "docker":
        yield from docker.find_problems(settings.docker)
        yield from _ports(settings)
    if settings.target == "aws":
        yield from aws.find_problems(settings)
    if settings.target == "gcp":
        yield from gcp.find_problems(settings)


def _topology(settings: StackSettings) -> Iterator[ConfigProblem]:
    if settings.topology != "cluster" and settings.shards not in (None, 1):
        reason = f"is {settings.shards}, but only a cluster has several shards"
        yield ConfigProblem("shards", reason, set_command("topology", "cluster"))
    if settings.topology == "cluster" and settings.shard_count < 3 and settings.target != "aws":
        reason = f"is {settings.shards}, but a cluster needs at least 3 for a majority"
        yield ConfigProblem("shards", reason, set_command("shards", "3"))
    if settings.topology in ("single", "serverless") and settings.replicas:
        reason = f"is {settings.replicas}, but the topology is {settings.topology}"
        yield ConfigProblem("replicas", reason, set_command("topology", "replicated"))
    if settings.topology == "replicated" and settings.replicas == 0:
        yield ConfigProblem("replicas", "is 0, but the topology is replicated", set_command("replicas", "2"))


def _ports(settings: StackSettings) -> Iterator[ConfigProblem]:
    """The cluster bus of a node is 10,000 above its port."""
    highest = 55_000 if settings.topology == "cluster" else 65_000
    if settings.port > highest:
        reason = f"is {settings.port}, too high: the other nodes use the ports after it"
        yield ConfigProblem("port", reason, set_command("port", "6379"))
    if settings.shard_count * (1 + settings.replica_count) > MAX_ENGINE_NODES:
        reason = f"and replicas add up to more than {MAX_ENGINE_NODES} nodes on one engine"
        yield ConfigProblem("shards", reason, set_command("shards", "3"))
