"""Users of single applications on aws: the key `aws.users`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from infra.hardening import USERS, Topology
from infra.settings.config_keys import ConfigProblem, remove_command

if TYPE_CHECKING:
    from infra.settings.stack_settings import StackSettings

MAX_USERS = 90
"""AWS allows 100 in a group; the program adds its own, and the default user."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,19}")
_TAKEN = {"default", *(user.name for user in USERS)}
_RULE = re.compile(r"(~|%(R|W|RW)~|&)\S+|[+-]@?[a-z]+([|_-][a-z-]+)*|(all|reset)(keys|channels)")

_RESTRICTED = frozenset(
    (
        "bgrewriteaof",
        "bgsave",
        "config",
        "debug",
        "migrate",
        "psync",
        "replicaof",
        "save",
        "shutdown",
        "slaveof",
        "sync",
    )
)
_RESTRICTED_ON_SERVERLESS = _RESTRICTED | {"client|id", "client|info", "client|list", "latency", "memory", "slowlog"}


def restricted(topology: Topology) -> frozenset[str]:
    """Commands that an access string may not name (ElastiCache User Guide, "Restricted commands")."""
    return _RESTRICTED_ON_SERVERLESS if topology == "serverless" else _RESTRICTED


def names_restricted(rule: str, topology: Topology) -> bool:
    command = rule.removeprefix("+")
    return command != rule and bool({command, command.partition("|")[0]} & restricted(topology))


def _map(value: Any) -> Any:
    """Not from text: rules contain most separators."""
    return {} if value == "" else value


def _valid(users: dict[str, str]) -> dict[str, str]:
    for name, rules in users.items():
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ValueError("the name of a user")
        if not rules.split() or not all(_RULE.fullmatch(rule) for rule in rules.split()):
            raise ValueError("the rules of a user")
    return users


UserMap = Annotated[dict[str, str], BeforeValidator(_map), AfterValidator(_valid)]


def find_problems(settings: StackSettings) -> Iterator[ConfigProblem]:
    """Commands that AWS does not let a user have."""
    for name, rules in settings.aws.users.items():
        if forbidden := [rule for rule in rules.split() if names_restricted(rule, settings.topology)]:
            key = f"aws.users.{name}"
            yield ConfigProblem(key, f"has {' '.join(forbidden)}, which ElastiCache restricts", remove_command(key))
