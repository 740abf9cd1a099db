"""Inline code of the pages: commands, their options, targets and variables of make, and configuration keys exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from valkeykit import commands

from infra.outputs import CLOUDS, PENDING_UPDATES
from infra.settings import loading
from stackctl import cli
from stackctl.stack import PROJECT

PAGES = [
    *(PROJECT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING")),
    *(PROJECT / name / "README.md" for name in ("", "client", "compose", "examples", "tests")),
    *sorted((PROJECT / "docs").rglob("*.md")),
]
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")

SMOKE = {"--disruptive", "--within", "--stack"}
"""Options of pytest in tests/smoke."""

OF_OTHERS = {
    "--expect-no-changes": "pulumi preview",
    "--follow": "pulumi logs",
    "--maxmemory": "valkey-server, in compose.yaml",
    "--non-interactive": "pulumi",
    "--offline": "systemd-analyze security",
    "--policy-pack": "pulumi up",
    "--preload": "gunicorn",
    "--refresh": "pulumi up",
    "--replace": "pulumi up",
    "--rdb": "redis-cli",
}
"""Options of other programs that a page names without the program."""


def options(command: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each command by its name, such as `migrate run`, with its options."""
    yield path, {option for parameter in command.params for option in parameter.opts}
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from options(command.get_command(None, name), f"{path} {name}".strip())


TREES: Mapping[str, dict[str, set[str]]] = {
    "valkeykit": dict(options(typer.main.get_command(commands.app))),
    "stackctl": dict(options(typer.main.get_command(cli.app))),
}
OPTIONS = {"--help", *SMOKE}.union(*(known for tree in TREES.values() for known in tree.values()))
MAKEFILE = (PROJECT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"[($ ]([A-Z_]{2,})\b", MAKEFILE)) | {"PULUMI_HOME", "SEED"}
OUTPUTS = {
    f"{cloud}.{name}"
    for cloud in CLOUDS
    for file in (PROJECT / "infra" / "targets" / cloud).glob("*.py")
    for name in [*re.findall(r'"([a-zA-Z]+)"', file.read_text()), PENDING_UPDATES]
}
"""Names of a cloud's outputs, among other words of its component."""

KEYS = {key for key, _ in loading.describe_keys()}


def inline(page: Path) -> list[str]:
    return _INLINE.findall(_BLOCK.sub("", page.read_text()))


def errors(code: str) -> Iterator[str]:
    """What is wrong with a piece of inline code."""
    program, *words = code.removeprefix(".venv/bin/").split() or [""]
    if program == "make" and words:
        yield from (
            f"no target {words[0]}" for _ in [0] if re.fullmatch("[a-z-]+", words[0]) and words[0] not in TARGETS
        )
        yield from (f"no variable {name}" for name in re.findall(r"\b([A-Z]+)=", code) if name not in VARIABLES)
    elif program in TREES:
        tree, path = TREES[program], ""
        for word in words:
            if f"{path} {word}".strip() in tree:
                path = f"{path} {word}".strip()
        if words and not path and re.fullmatch("[a-z]+", words[0]):
            yield f"no command {words[0]}"
        yield from (f"no option {name}" for name in _OPTION.findall(code) if name not in {*tree[path], "--help"})
    elif program.startswith("--"):
        yield from (f"no option {name}" for name in _OPTION.findall(code) if name not in {*OPTIONS, *OF_OTHERS})
    elif re.fullmatch(r"(?:aws|gcp|docker)\.[a-zA-Z]+", code) and code not in {*KEYS, *OUTPUTS}:
        yield f"no key {code}"
    yield from (
        f"no key {key}"
        for key in re.findall(r"pulumi config (?:set|rm) (?:--path |--secret )*(?:valkey:)?([a-zA-Z.]+)(?= |$)", code)
        if key not in {*KEYS, "KEY"} and key.rpartition(".")[0] not in KEYS  # an entry of a map
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_inline_code_names_what_exists(page: Path) -> None:
    assert [f"`{code}`: {error}" for code in inline(page) for error in errors(code)] == []


@pytest.mark.parametrize(
    "code",
    [
        "make rotates", "make up STAK=x", "valkeykit migrate run --pattern", "valkeykit querying", "--invented",
        "stackctl up --x", "docker.invented", "pulumi config set memry 1gb",
    ],
)  # fmt: skip
def test_an_invented_name_is_found(code: str) -> None:
    assert list(errors(code))
