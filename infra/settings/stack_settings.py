"""The configuration of a stack: the keys that all targets share, and a map for the keys of each target."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from valkeykit.vocabulary import Environment

from infra.hardening import Target, Topology, Workload
from infra.settings.aws import AwsSettings
from infra.settings.config_keys import EmptyAsNone, Key, SettingsModel, Size, StrictBool, size_in_bytes
from infra.settings.docker import DockerSettings
from infra.settings.gcp import GcpSettings
from infra.settings.parameters import ParameterMap
from infra.settings.values import NameList

MIN_MEMORY_BYTES = 16 * 1024**2
"""An empty server with a few connections takes about 3 MB."""

DEFAULT_SHARDS = {"single": 1, "replicated": 1, "cluster": 3, "serverless": 1}
DEFAULT_REPLICAS = {"single": 0, "replicated": 2, "cluster": 1, "serverless": 0}
"""Of each primary. Two for a single primary: while one is down, a write still has two copies."""


def _map(value: object) -> object:
    return {} if value == "" else value


class StackSettings(SettingsModel):
    """One attribute for each configuration key. Pulumi.yaml describes the shared ones."""

    target: Annotated[Target, Key("embedded, docker, aws or gcp", "embedded")] = "embedded"
    topology: Annotated[Topology, Key("single, replicated, cluster, or serverless on aws", "single")] = "single"
    shards: Annotated[
        Annotated[int, Field(ge=1)] | None,
        EmptyAsNone,
        Key("3 or more (on aws 1 or more), or empty for the topology's default", "3"),
    ] = None
    replicas: Annotated[
        Annotated[int, Field(ge=0, le=5)] | None, EmptyAsNone, Key("0 to 5, or empty for the topology's default", "1")
    ] = None
    workload: Annotated[Workload, Key("cache, queue or mixed", "queue")] = "mixed"
    version: Annotated[
        str,
        Field(pattern=r"^\d+\.\d+(\.\d+)?$"),
        Key('major.minor or major.minor.patch, quoted in a YAML file, such as "9.1"', "9.1"),
    ] = "9.1"
    memory: Annotated[Size, Key("a whole number with mb or gb, 16mb or more, such as 512mb", "512mb")] = "256mb"
    environment: Annotated[Environment, Key("dev or prod", "dev")] = "dev"
    port: Annotated[
        int, Field(ge=0, le=65535), Key("1024 to 65535, or 0 for the first free port from 6379", "6380")
    ] = 0
    dataDir: Annotated[str, Key("a folder", "/srv/valkey")] = ""  # noqa: N815 — the key as the operator writes it
    restoreFrom: Annotated[  # noqa: N815
        str,
        Key(
            "an RDB file; on aws a snapshot's name or an RDB file's ARN in S3; on gcp RDB files in Cloud Storage, "
            "gs://…, separated by commas, or a backup's name",
            "dump.rdb",
        ),
    ] = ""
    finalSnapshot: Annotated[StrictBool, Key("true or false", "true")] = True  # noqa: N815
    passwordRotation: Annotated[str, Key("any label", "2026-12")] = ""  # noqa: N815
    completedRotation: Annotated[str, Key("the value of passwordRotation", "2026-12")] = ""  # noqa: N815
    parameters: Annotated[
        ParameterMap,
        Key("a map whose names are set one by one: pulumi config set --path parameters.timeout 300", ""),
    ] = Field(default_factory=dict)
    allowWeaker: Annotated[  # noqa: N815
        NameList, Key("names of parameters, separated by commas", "slowlog-max-len")
    ] = ()
    contacts: Annotated[
        dict[str, str],
        BeforeValidator(_map),
        Key("a map from a situation to a contact", "down=#oncall"),
    ] = Field(default_factory=dict)
    docker: DockerSettings = DockerSettings()
    aws: AwsSettings = AwsSettings()
    gcp: GcpSettings = GcpSettings()

    @field_validator("memory")
    @classmethod
    def _has_minimum_size(cls, memory: str) -> str:
        if size_in_bytes(memory) < MIN_MEMORY_BYTES:
            raise ValueError("too small")
        return memory

    @field_validator("port")
    @classmethod
    def _is_unprivileged(cls, port: int) -> int:
        if 0 < port < 1024:
            raise ValueError("privileged")
        return port

    @property
    def previous_passwords_valid(self) -> bool:
        """Whether the passwords from before the last rotation are still valid."""
        return self.passwordRotation != self.completedRotation

    @property
    def maxmemory(self) -> int:
        """`memory` in bytes, of each shard."""
        return size_in_bytes(self.memory)

    @property
    def shard_count(self) -> int:
        return self.shards or DEFAULT_SHARDS[self.topology]

    @property
    def replica_count(self) -> int:
        """Replicas of each primary."""
        return DEFAULT_REPLICAS[self.topology] if self.replicas is None else self.replicas
