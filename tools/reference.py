"""Generator of docs/reference.md: `python -m tools.reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml

from infra.hardening import DEFAULT_USER, RULES, USERS, Workload
from infra.settings import loading
from tools.stack import PROJECT

FILE = PROJECT / "docs" / "reference.md"


def render(project: Path = PROJECT) -> str:
    schema: dict[str, Any] = yaml.safe_load((project / "Pulumi.yaml").read_text())["config"]
    return "\n".join(
        [
            "# Reference",
            "",
            "Generated from the code by `python -m tools.reference`; a test compares them.",
            *_section("Configuration", "`pulumi config set KEY VALUE`; the keys are in the namespace `valkey`."),
            *_table(
                ("key", "default", "meaning"),
                [(f"`{key}`", f"`{_plain(entry['default'])}`", entry["description"]) for key, entry in schema.items()],
            ),
            *_sections(),
            *_section("Hardening", "Directives of every server, by workload, with reasons."),
            *_table(
                ("directive", *get_args(Workload), "why"),
                [
                    (f"`{rule.directive}`", *(f"`{rule.for_workload(w)}`" for w in get_args(Workload)), rule.why)
                    for rule in RULES
                ],
            ),
            *_section("Users", f"In addition, the default user can't log in: `{DEFAULT_USER}`."),
            *_table(("user", "rules", "for"), [(f"`{user.name}`", f"`{user.rules}`", user.why) for user in USERS]),
            *_section("Outputs", "Of the stack; `pulumi stack output --show-secrets`, or a StackReference."),
            *_table(
                ("output", "secret", "meaning"),
                [
                    (
                        "`endpoint`",
                        "no",
                        "target, topology, nodes, sentinels, tls, ca, version, workload, maxmemory, users",
                    ),
                    ("`url`", "yes", "the application's URL, user `app`"),
                    ("`adminUrl`, `monitorUrl`", "yes", "the other users' URLs"),
                    (
                        "`env`",
                        "yes",
                        "an application's variables: `VALKEY_URL`, `REDIS_URL`, and settings that a URL can't carry",
                    ),
                    (
                        "`prometheusTargets`",
                        "no",
                        "with `docker.exporter`: targets for the `file_sd_configs` of Prometheus",
                    ),
                    (
                        "`sentinels`",
                        "no",
                        "of a replicated docker stack, for the smoke tests; clients outside query the nodes",
                    ),
                    ("`aws`, `gcp`", "no", "details of that target: names, network, dashboard, secret"),
                    ("`schemaVersion`", "no", "1; it increases when names or shapes change"),
                ],
            ),
            "",
        ]
    )


def _sections() -> list[str]:
    """The keys of single targets."""
    keys = [(path, key) for path, key in loading.described() if "." in path]
    if not keys:
        return []
    return [
        *_section("Configuration of one target", "`pulumi config set --path valkey:KEY VALUE`."),
        *_table(
            ("key", "allowed", "such as", "meaning"),
            [(f"`{path}`", key.allowed, f"`{key.example}`", key.meaning) for path, key in keys],
        ),
    ]


def _section(title: str, text: str) -> list[str]:
    return ["", f"## {title}", "", text, ""]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, ("---",) * len(head), *rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or " "


if __name__ == "__main__":
    FILE.write_text(render())
