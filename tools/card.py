"""A page for the team's wiki: what runs where, what it is called, what to do. It holds no secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from valkeykit.endpoint import Endpoint
from valkeykit.url import parse

from infra.drivers import drill
from infra.hardening import DIRECTIVES, USERS
from infra.outputs import CLOUDS, ENDPOINT, PROMETHEUS_TARGETS, URLS
from infra.settings.loading import contact_path
from tools import backup
from tools.errors import ToolError
from tools.stack import Stack

RUNBOOKS = (
    ("it doesn't answer, or is slow", "diagnose.md"),
    ("new passwords", "rotate.md"),
    ("a backup, a restore, a drill", "restore.md"),
    ("a failover", "failover.md"),
    ("another version", "upgrade.md"),
    ("more or less memory, shards or replicas", "scale.md"),
)


def render(stack: Stack) -> str:
    """The card, in Markdown.

    Raises:
        ToolError: there is no such stack, or it isn't up.
    """
    outputs = stack.outputs()
    endpoint = Endpoint.from_dict(outputs[ENDPOINT])
    configuration = stack.configuration()
    return "\n".join(
        [
            f"# Valkey: {stack.name}",
            "",
            f"Made by `make card STACK={stack.name}`; last changed {stack.last_change()}.",
            *_table("What runs where", _what(endpoint, configuration)),
            *_table("URLs, without their passwords", _urls(outputs)),
            *_table("Secrets", _secrets(stack, outputs)),
            *_table("Limits", _limits(endpoint)),
            *_table("Backups", _backups(stack, endpoint, configuration)),
            *_table("Alarms", _alarms(outputs)),
            *_table("Contacts", _contacts(stack, configuration)),
            *_table("What to do", [(case, f"docs/operations/{page}") for case, page in RUNBOOKS]),
            "",
        ]
    )


def _what(endpoint: Endpoint, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "target", f"{endpoint.target}, {endpoint.topology}"
    yield "version", f"Valkey {endpoint.version}"
    yield "for", f"{endpoint.workload}, {configuration.get('environment', 'dev')}"
    yield "nodes", _addresses(endpoint.nodes)
    if endpoint.sentinels:
        yield "Sentinels", _addresses(endpoint.sentinels)
    yield "TLS", "yes" + (", by the stack's own authority" if endpoint.ca else "") if endpoint.tls else "no"


def _urls(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for user, output in URLS.items():
        address = parse(outputs[output])
        masked = replace(address, password=None if address.password is None else "PASSWORD")
        yield user, f"`{masked.url}`"


def _secrets(stack: Stack, outputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "an application's", f"`make env STACK={stack.name}`"
    yield "all", f"`pulumi stack output --show-secrets --stack {stack.name}`"
    for target in CLOUDS:
        for name, value in (outputs.get(target) or {}).items():
            if name.lower().startswith("secret"):
                yield "in the cloud's store", str(value)


def _limits(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    workload = endpoint.workload
    yield "memory for data, of a shard", f"{endpoint.maxmemory / 1024**2:.0f} MiB"
    wanted = ("maxmemory-policy", "maxclients", "maxmemory-clients")
    yield from (
        (directive.name, directive.for_workload(workload)) for directive in DIRECTIVES if directive.name in wanted
    )
    yield from ((f"user {user.name}", user.purpose) for user in USERS)


def _backups(stack: Stack, endpoint: Endpoint, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if endpoint.target not in backup.TARGETS:
        yield "by the cloud", f"see docs/{endpoint.target}.md"
        return
    every = configuration.get("docker", {}).get("backupEvery")
    yield "scheduled", f"every {every} hours" if every else "no"
    try:
        newest = backup.newest(stack)
    except ToolError as problem:
        yield "by hand", str(problem.args[0])
        return
    hours = min(drill.age(dump) for dump in newest.glob("*.rdb")) / 3600
    yield "the newest by hand", f"{_within(stack, newest)}, {hours:.0f} hours old"


def _alarms(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if PROMETHEUS_TARGETS in outputs:
        yield "Prometheus", f"rules in compose/monitoring, targets in the output `{PROMETHEUS_TARGETS}`"
    for target in CLOUDS:
        for name in ("topicArn", "dashboard"):
            if value := (outputs.get(target) or {}).get(name):
                yield name, str(value)


def _contacts(stack: Stack, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    contacts: Mapping[str, str] = configuration.get("contacts") or {}
    if not contacts:
        path = contact_path("down")
        yield "no contacts", f"`pulumi config set --path {path} <a contact> --stack {stack.name}`"
    yield from contacts.items()


def _addresses(nodes: Sequence[object]) -> str:
    return ", ".join(str(node) for node in nodes)


def _within(stack: Stack, path: Path) -> str:
    return str(path.relative_to(stack.root)) if path.is_relative_to(stack.root) else str(path)


def _table(title: str, rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> list[str]:
    """Nothing where there are no rows."""
    lines = [f"| {name} | {value} |" for name, value in rows]
    return ["", f"## {title}", "", "| | |", "|---|---|", *lines] if lines else []
