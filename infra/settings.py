"""Settings: the stack's configuration, strict and typed, read once.

Every mistake is reported at once, before any resource is registered. The defaults stand in
Pulumi.yaml too, where `pulumi config` shows them; a test holds the two together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from valkeykit.errors import ConfigurationError

from infra.hardening import Workload

NAMESPACE = "valkey"

_SIZE = re.compile(r"(?P<number>[1-9][0-9]*)(?P<unit>mb|gb)")
_UNITS = {"mb": 1024**2, "gb": 1024**3}
MINIMUM_MEMORY = 16 * 1024**2
"""Bytes. An empty server and a few connections take about 3 MB."""


def _boolean(text: object) -> object:
    """Pulumi passes every value as text; only its own two words count."""
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


class Settings(BaseModel):
    """One attribute a key of the configuration; Pulumi.yaml describes each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Literal["embedded"] = "embedded"
    topology: Literal["single"] = "single"
    workload: Workload = "cache"
    version: Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")] = "9.1"
    memory: Annotated[str, Field(pattern=f"^{_SIZE.pattern}$")] = "256mb"
    environment: Literal["dev", "prod"] = "dev"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    dataDir: str = ""  # noqa: N815 — the key as the operator writes it
    restoreFrom: str = ""  # noqa: N815
    finalSnapshot: Annotated[bool, Field(strict=True), BeforeValidator(_boolean)] = True  # noqa: N815

    @field_validator("memory")
    @classmethod
    def _not_tiny(cls, memory: str) -> str:
        if _bytes(memory) < MINIMUM_MEMORY:
            raise ValueError("too small")
        return memory

    @field_validator("port")
    @classmethod
    def _not_privileged(cls, port: int) -> int:
        if 0 < port < 1024:
            raise ValueError("privileged")
        return port

    @property
    def maxmemory(self) -> int:
        """`memory` in bytes; as in valkey.conf, 1mb is 1024 · 1024."""
        return _bytes(self.memory)


_ALLOWED = {
    "target": "embedded",
    "topology": "single",
    "workload": "cache, queue or mixed",
    "version": 'major.minor or major.minor.patch, in quotes in a file, such as "9.1"',
    "memory": "a whole number with mb or gb, 16mb or more, such as 512mb",
    "environment": "dev or prod",
    "port": "1024 to 65535, or 0 for the first free one from 6379",
    "dataDir": "a folder",
    "restoreFrom": "an RDB file",
    "finalSnapshot": "true or false",
}
_EXAMPLE = {
    "target": "embedded",
    "topology": "single",
    "workload": "queue",
    "version": "9.1",
    "memory": "512mb",
    "environment": "dev",
    "port": "6380",
    "dataDir": "/srv/valkey",
    "restoreFrom": "dump.rdb",
    "finalSnapshot": "true",
}


def load(config: Mapping[str, str]) -> Settings:
    """Read the whole configuration, whose keys read `valkey:memory`; other namespaces are left alone.

    Raises:
        ConfigurationError: names every key at fault, its value, what is allowed and the mend.
    """
    prefix = f"{NAMESPACE}:"
    ours = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    try:
        return Settings.model_validate(ours)
    except ValidationError as problem:
        mistakes = [_describe(error["loc"][0], ours) for error in problem.errors(include_url=False)]
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    raise ConfigurationError("\n".join([f"{count} in the configuration, nothing was touched:", *mistakes])) from None


def _describe(location: int | str, values: Mapping[str, Any]) -> str:
    key = str(location)
    if key not in _ALLOWED:  # its value isn't shown: it may be a secret under a mistyped name
        near = difflib.get_close_matches(key, _ALLOWED, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"  {NAMESPACE}:{key} is no key ({hint}keys: {', '.join(_ALLOWED)}) -> pulumi config rm {key}"
    return (
        f"  {NAMESPACE}:{key} is {values[key]!r}, allowed is {_ALLOWED[key]} -> pulumi config set {key} {_EXAMPLE[key]}"
    )


def _bytes(size: str) -> int:
    match = _SIZE.fullmatch(size)
    if match is None:  # the pattern of the field was broken; pydantic reports that
        return MINIMUM_MEMORY
    return int(match["number"]) * _UNITS[match["unit"]]
