"""What several keys may not say together."""

from __future__ import annotations

from collections.abc import Iterator

from infra.settings import docker
from infra.settings.aws import rules as aws
from infra.settings.gcp import rules as gcp
from infra.settings.keys import Mistake, drop, put
from infra.settings.stack import Settings

SECTIONS = ("docker", "aws", "gcp")
"""Each bears its target's name."""

MOST_NODES = 100
"""Fixed addresses of data nodes in the deployment's network."""

ONLY = {"dataDir": ("embedded",)}
"""Keys of the common words that only some targets have."""


def mistakes(settings: Settings) -> Iterator[Mistake]:
    """Everything that contradicts itself."""
    for section in SECTIONS:
        if settings.target != section and getattr(settings, section).model_fields_set:
            yield Mistake(section, f"is set, but the target is {settings.target}", f"pulumi config rm {section}")
    for key, targets in ONLY.items():
        if settings.target not in targets and getattr(settings, key):
            yield Mistake(key, f"is set, but the target {settings.target} has no such thing", drop(key))
    if settings.topology == "serverless" and settings.target != "aws":
        yield Mistake("topology", f"is serverless, which {settings.target} has not", put("topology", "single"))
    yield from _shape(settings)
    if settings.target == "docker":
        yield from docker.mistakes(settings.docker)
        yield from _ports(settings)
    if settings.target == "aws":
        yield from aws.mistakes(settings)
    if settings.target == "gcp":
        yield from gcp.mistakes(settings)


def _shape(settings: Settings) -> Iterator[Mistake]:
    if settings.topology != "cluster" and settings.shards not in (None, 1):
        yield Mistake("shards", f"is {settings.shards}, but only a cluster has several", put("topology", "cluster"))
    if settings.topology == "cluster" and settings.shard_count < 3:
        yield Mistake("shards", f"is {settings.shards}, but a cluster needs 3 to agree", put("shards", "3"))
    if settings.topology in ("single", "serverless") and settings.replicas:
        reason = f"is {settings.replicas}, but the topology is {settings.topology}"
        yield Mistake("replicas", reason, put("topology", "replicated"))
    if settings.topology == "replicated" and settings.replicas == 0:
        yield Mistake("replicas", "is 0, but the topology is replicated", put("replicas", "2"))


def _ports(settings: Settings) -> Iterator[Mistake]:
    """The cluster's bus is 10,000 above a node's port."""
    highest = 55_000 if settings.topology == "cluster" else 65_000
    if settings.port > highest:
        yield Mistake("port", f"is {settings.port}, and the nodes' ports follow it", put("port", "6379"))
    if settings.shard_count * (1 + settings.replica_count) > MOST_NODES:
        yield Mistake("shards", f"and replicas make more than {MOST_NODES} nodes on one engine", put("shards", "3"))
