"""Cleanup of containers that the state doesn't have, as after a killed creation, when a stack is destroyed.

As in infra/providers/processes.py, this module's path and its class names are part of every stack's state.
"""

from __future__ import annotations

import uuid

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
