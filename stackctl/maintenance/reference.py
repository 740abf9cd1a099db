"""Generator of docs/reference.md: `python -m stackctl.maintenance.reference`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml

from infra.engine_parameters import SELF_HOSTED, EngineParameter
from infra.hardening import DEFAULT_USER, DIRECTIVES, USERS, Workload
from infra.outputs import (
    ADMIN_URL,
    CLOUDS,
    ENDPOINT,
    ENV,
    MONITOR_URL,
    PROMETHEUS_TARGETS,
    SCHEMA_VERSION,
    SENTINELS,
    URL,
    USER_URLS,
)
from infra.settings import loading
from infra.settings.aws.catalogue import FAMILIES
from infra.settings.aws.parameters import AT_CREATION, supported
from infra.settings.gcp.parameters import SUPPORTED as MEMORYSTORE
from stackctl.stack import PROJECT

FILE = PROJECT / "docs" / "reference.md"


def render(project: Path = PROJECT) -> str:
    schema: dict[str, Any] = yaml.safe_load((project / "Pulumi.yaml").read_text())["config"]
    return "\n".join(
        [
            "# Reference",
            "",
            "Generated from the code by `python -m stackctl.maintenance.reference`; a test compares them.",
            *_section(
                "Configuration",
                "`pulumi config set KEY VALUE`; the keys are in the namespace of the project, `valkey`.",
            ),
            *_table(
                ("key", "default", "meaning"),
                [(f"`{key}`", f"`{_plain(entry['default'])}`", entry["description"]) for key, entry in schema.items()],
            ),
            *_sections(),
            *_section("Hardening", "Directives of every server, by workload, with reasons."),
            *_table(
                ("directive", *get_args(Workload), "reason"),
                [
                    (f"`{entry.name}`", *(f"`{entry.for_workload(w)}`" for w in get_args(Workload)), entry.reason)
                    for entry in DIRECTIVES
                ],
            ),
            *_section("Parameters", _PARAMETERS),
            *_table(("parameter", "embedded, docker", "aws", "gcp"), list(_parameters())),
            *_section("Users", f"In addition to the default user, which cannot log in: `{DEFAULT_USER}`."),
            *_table(
                ("user", "rules", "purpose"), [(f"`{user.name}`", f"`{user.rules}`", user.purpose) for user in USERS]
            ),
            *_section("Outputs", "`pulumi stack output --show-secrets`, or a StackReference."),
            *_table(
                ("output", "secret", "meaning"),
                [
                    (
                        f"`{ENDPOINT}`",
                        "no",
                        "target, topology, nodes, sentinels, tls, ca, version, workload, maxmemory, users",
                    ),
                    (f"`{URL}`", "yes", "the application's URL, user `app`"),
                    (f"`{ADMIN_URL}`, `{MONITOR_URL}`", "yes", "the other users' URLs"),
                    (f"`{USER_URLS}`", "yes", "URLs of the users of `aws.users`, by name"),
                    (
                        f"`{ENV}`",
                        "yes",
                        "an application's variables: `VALKEY_URL`, `REDIS_URL`, and settings that a URL can't carry",
                    ),
                    (
                        f"`{PROMETHEUS_TARGETS}`",
                        "no",
                        "with `docker.exporter`: targets for the `file_sd_configs` of Prometheus",
                    ),
                    (
                        f"`{SENTINELS}`",
                        "no",
                        "of a replicated docker stack, for the smoke tests; clients outside query the nodes",
                    ),
                    (
                        ", ".join(f"`{cloud}`" for cloud in CLOUDS),
                        "no",
                        "details of that target: names, network, dashboard, secret",
                    ),
                    (f"`{SCHEMA_VERSION}`", "no", "1; it increases when names or shapes change"),
                ],
            ),
            "",
        ]
    )


def _sections() -> list[str]:
    """The keys of single targets, a table for each."""
    keys = [(path, key) for path, key in loading.describe_keys() if "." in path]
    if not keys:
        return []
    lines = _section("Configuration of one target", "`pulumi config set --path KEY VALUE`.")
    for target, entries in itertools.groupby(keys, lambda entry: entry[0].partition(".")[0]):
        rows: list[tuple[str, ...]] = [
            (f"`{path}`", key.meaning, key.allowed, f"`{key.example}`") for path, key in entries
        ]
        lines += [f"### {target}", "", *_table(("key", "meaning", "allowed", "example"), rows), ""]
    return lines[:-1]


_PARAMETERS = """\
`parameters` sets parameters of the engine in addition to the hardening, one by one:
`pulumi config set --path parameters.notify-keyspace-events Ex`.
Another value than that of the hardening is rejected unless `allowWeaker` names the parameter:
`pulumi config set allowWeaker slowlog-max-len`.
`maxmemory-policy` must suit the workload.
`make card` shows both keys.

On embedded and docker another value is applied live, except for `io-threads`.
A parameter that is removed restarts the servers, since its default is valid only after a start.
On docker one that is added does too; the nodes restart one at a time.
Clouds apply parameters without a restart."""


def _parameters() -> Iterator[tuple[str, ...]]:
    """Each parameter with its values on each target."""
    aws = {family: supported(family) for family in sorted(set(FAMILIES.values()))}
    columns = (SELF_HOSTED, {name: entry for entries in aws.values() for name, entry in entries.items()}, MEMORYSTORE)
    for name in sorted({name for column in columns for name in column}):
        self_hosted, managed, memorystore = (_values(column.get(name)) for column in columns)
        having = [family for family, entries in aws.items() if name in entries]
        only = f", {' and '.join(having)}" if having and len(having) < len(aws) else ""
        fixed = ", only at creation" if name in AT_CREATION else ""
        yield f"`{name}`", self_hosted, f"{managed}{only}{fixed}", memorystore


def _values(entry: EngineParameter | None) -> str:
    if entry is None:
        return ""
    return f"{entry.allowed}, from {entry.since} on" if entry.since else entry.allowed


def _section(title: str, text: str) -> list[str]:
    return ["", f"## {title}", "", text, ""]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, ("---",) * len(head), *rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or " "


if __name__ == "__main__":
    FILE.write_text(render())
