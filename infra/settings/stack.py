"""The words that all targets share; what only one of them has is a section of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from infra.hardening import Topology, Workload
from infra.settings.aws import AwsSettings
from infra.settings.docker import DockerSettings
from infra.settings.gcp import GcpSettings
from infra.settings.keys import Blank, Flag, Key, Section, Size, size_in_bytes

MINIMUM_MEMORY = 16 * 1024**2
"""Bytes. An empty server and a few connections take about 3 MB."""


class Settings(Section):
    """One attribute a key of the configuration; Pulumi.yaml describes each."""

    target: Annotated[Literal["embedded", "docker", "aws", "gcp"], Key("embedded, docker, aws or gcp", "embedded")] = (
        "embedded"
    )
    topology: Annotated[Topology, Key("single, replicated, cluster, or serverless on aws", "single")] = "single"
    shards: Annotated[
        Annotated[int, Field(ge=1)] | None, Blank, Key("3 or more, or empty for the topology's own", "3")
    ] = None
    replicas: Annotated[
        Annotated[int, Field(ge=0, le=5)] | None, Blank, Key("0 to 5, or empty for the topology's own", "1")
    ] = None
    workload: Annotated[Workload, Key("cache, queue or mixed", "queue")] = "cache"
    version: Annotated[
        str,
        Field(pattern=r"^\d+\.\d+(\.\d+)?$"),
        Key('major.minor or major.minor.patch, in quotes in a file, such as "9.1"', "9.1"),
    ] = "9.1"
    memory: Annotated[Size, Key("a whole number with mb or gb, 16mb or more, such as 512mb", "512mb")] = "256mb"
    environment: Annotated[Literal["dev", "prod"], Key("dev or prod", "dev")] = "dev"
    port: Annotated[int, Field(ge=0, le=65535), Key("1024 to 65535, or 0 for the first free one from 6379", "6380")] = 0
    dataDir: Annotated[str, Key("a folder", "/srv/valkey")] = ""  # noqa: N815 — the key as the operator writes it
    restoreFrom: Annotated[  # noqa: N815
        str,
        Key(
            "an RDB file; on aws a snapshot's name or an RDB file's ARN in S3; on gcp RDB files in Cloud Storage, "
            "gs://… with commas between, or a backup's name",
            "dump.rdb",
        ),
    ] = ""
    finalSnapshot: Annotated[Flag, Key("true or false", "true")] = True  # noqa: N815
    rotation: Annotated[str, Key("any word", "2026-12")] = ""
    retired: Annotated[str, Key("the word of the rotation", "2026-12")] = ""
    contacts: Annotated[str, Key("what: whom; what: whom", "down: #oncall; full: data team")] = ""
    docker: DockerSettings = DockerSettings()
    aws: AwsSettings = AwsSettings()
    gcp: GcpSettings = GcpSettings()

    @field_validator("memory")
    @classmethod
    def _not_tiny(cls, memory: str) -> str:
        if size_in_bytes(memory) < MINIMUM_MEMORY:
            raise ValueError("too small")
        return memory

    @field_validator("port")
    @classmethod
    def _not_privileged(cls, port: int) -> int:
        if 0 < port < 1024:
            raise ValueError("privileged")
        return port

    @property
    def keeps_old_passwords(self) -> bool:
        """Whether the passwords before the last rotation are still valid."""
        return self.rotation != self.retired

    @property
    def maxmemory(self) -> int:
        """`memory` in bytes."""
        return size_in_bytes(self.memory)

    @property
    def shard_count(self) -> int:
        return self.shards or (3 if self.topology == "cluster" else 1)

    @property
    def replica_count(self) -> int:
        """Replicas of each primary. Two beside one primary: with one gone, a write still has two copies."""
        usual = {"single": 0, "replicated": 2, "cluster": 1, "serverless": 0}[self.topology]
        return usual if self.replicas is None else self.replicas
