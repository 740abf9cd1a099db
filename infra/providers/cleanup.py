"""Cleanup of containers and processes that the state doesn't have, as after a killed creation, with their stack.

As in infra/providers/processes.py, this module's path and its class names are part of every stack's state.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.providers import Props, without_traceback

_SETTINGS = ("context", "keepIn", "finalSnapshot")


class CleanupProvider(ResourceProvider):
    serialize_as_secret_always = False

    @without_traceback
    def create(self, props: Props) -> CreateResult:
        from infra.drivers.docker.engine import Engine

        return CreateResult(uuid.uuid4().hex, {**props, "engine": Engine(props["context"]).check()})

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        return DiffResult(changes=any(olds.get(key) != news[key] for key in _SETTINGS))

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult({**olds, **{key: news[key] for key in _SETTINGS}})

    @without_traceback
    def delete(self, _id: str, props: Props) -> None:
        from infra.drivers.docker import driver
        from infra.drivers.docker.engine import Engine
        from infra.drivers.docker.objects import DockerObjects
        from infra.project import root

        left = DockerObjects(Engine(props["context"]), props["stack"], props["project"])
        driver.clean_up(left, props["engine"], root() / props["keepIn"] if props["finalSnapshot"] else None)


class Cleanup(Resource, module="valkey", name="Cleanup"):
    """A resource that is created before the containers and deleted after them."""

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(CleanupProvider(), name, {**props, "engine": None}, opts)


class ProcessCleanupProvider(ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        return CreateResult(uuid.uuid4().hex, props)

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        return DiffResult(changes=olds["finalSnapshot"] != news["finalSnapshot"])

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult({**olds, "finalSnapshot": news["finalSnapshot"]})

    @without_traceback
    def delete(self, _id: str, props: Props) -> None:
        from infra.providers.processes import remove_leftovers

        remove_leftovers(props)


class ProcessCleanup(Resource, module="valkey", name="ProcessCleanup"):
    """A resource that is created before the servers and deleted after them.

    props: the inputs with which the servers are created.
    """

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["acl", "sentinelAcl", "password", "passwords"])
        super().__init__(ProcessCleanupProvider(), name, dict(props), pulumi.ResourceOptions.merge(opts, secret))
