"""Names and words: one meaning for each name, and the field's terms in the text of the program."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from stackctl.stack import PROJECT

WORDED = (
    *("infra/drivers", "infra/providers", "infra/settings", "infra/targets", "infra/policy", "infra/hardening.py"),
    *(
        "infra/outputs.py",
        "infra/__main__.py",
        "infra/component.py",
        "infra/arguments.py",
        "infra/output_arguments.py",
        "infra/section_arguments.py",
        "infra/plugin.py",
        "component",
        "stackctl",
        "compose",
        "packaging",
        "Makefile",
    ),
    *("client/valkeykit", "client/ops/valkeykit_ops", "harness", "bench"),
)
"""Files whose words are checked."""

WORDED_SUFFIXES = {".py", "", ".sh", ".lua", ".yaml", ".json", ".conf"}
"""Modules, scripts, alert rules, dashboards and configuration files."""

TEXTS = ("*.md", "docs/**/*.md", "client/**/*.md", "compose/*.md", "tests/*.md", "examples/*.md", "examples/*/*.*")
"""Pages and examples, which are checked too."""

UNIDIOMATIC = re.compile(
    r"\b(anew|mend(s|ed|ing)?|rehears\w*|strangers?|whom|hands? over|goes on|nobody|somebody|head room|beside|told"
    r"|bears?|brings? back|takes writes|again and again|what there is|isn't (there|whole)|objections?)\b",
    re.IGNORECASE,
)

PACKAGES = ("infra", "stackctl", "client/valkeykit", "client/ops/valkeykit_ops", "bench", "harness", "tests")

PRODUCT = ("infra/", "stackctl/", "client/valkeykit/", "client/ops/valkeykit_ops/")
"""Packages in which a constant's name has one value."""

SHARED_MODULE_NAMES = {
    "alerts": "alerts of monitoring",
    "base": "what the synchronous and the asyncio class of a package share",
    "cache": "the cache",
    "cli": "a command line",
    "cluster": "a cluster of Valkey",
    "compose": "the compose file",
    "credentials": "what a client or a server authenticates with",
    "docker": "deployments of the docker target",
    "doctor": "the command `valkeykit doctor`",
    "effects": "requests of I/O that an operation yields, for synchronous and asyncio code",
    "endpoints": "where servers are reached",
    "errors": "the errors of a package",
    "harness": "what the tests of a suite run",
    "images": "Docker images",
    "latency": "measured latency",
    "migrate": "the command `valkeykit migrate`",
    "operations": "the operations of a class, as effects",
    "page": "a generated page of the docs",
    "parameters": "parameters of the engine",
    "permissions": "permissions of an ACL user",
    "persistence": "persistence of data",
    "ports": "ports of servers on this machine",
    "preflight": "checks before anything changes",
    "progress": "progress of a long command",
    "project": "the folder of a Pulumi project",
    "queue": "the job queue",
    "queues": "all queues of a server",
    "repair": "repair of a damaged node",
    "replication": "replication of a primary's data",
    "report": "the results of a run, for people and programs",
    "requests": "requests to a cloud's API",
    "restore": "restore of a backup",
    "section_arguments": "arguments of the component for one target",
    "settings": "validated settings",
    "stack": "a stack of Pulumi, and commands on it",
    "totals": "totals that a test run prints at its end",
    "up": "the command `make up`",
    "validation": "validation of what the user passes",
    "waiting": "waiting for a condition, with a time limit",
    "worker": "the worker of a queue",
}
"""Names of modules in more than one folder, and the one meaning that each has in all of them.

For another meaning choose another name. What a module does for one target has the same name for the others, so those
are not listed.
"""

TARGETS = {"aws", "gcp", "docker", "embedded"}

PUBLIC_CLASS = re.compile(r"^class ([A-Za-z]\w*)", re.MULTILINE)

FUNCTION_MAKE = re.compile(r"^ *(?:async )?def make\(", re.MULTILINE)


def modules() -> Iterator[tuple[str, str]]:
    """Name and text of each."""
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if ".venv" not in path.parts:
                yield path.relative_to(PROJECT).as_posix(), path.read_text()


def test_no_two_public_classes_share_a_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for module, text in modules():
        for name in PUBLIC_CLASS.findall(text):
            places[name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_modules_of_one_name_have_one_meaning() -> None:
    """Test modules are named after what they test, once in each suite."""
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for module, _ in modules():
        *folder, name = module.removesuffix(".py").split("/")
        if not name.startswith(("__", "test_")) and name != "conftest":
            folders[name].add("/".join(part for part in folder if part not in TARGETS))
    shared = {name: where for name, where in folders.items() if len(where) > 1}
    assert {name: where for name, where in shared.items() if name not in SHARED_MODULE_NAMES} == {}
    assert sorted(shared) == list(SHARED_MODULE_NAMES), "the table is sorted and has no other names"


def constants(text: str) -> Iterator[tuple[str, float]]:
    """Name and value of each public constant of a module that is a number."""
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value:
            targets, value = statement.target, statement.value
        else:
            continue
        pairs = [(targets, value)]
        if isinstance(targets, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(targets.elts, value.elts, strict=True))
        for target, expression in pairs:
            if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][A-Z0-9_]*", target.id) and is_number(expression):
                yield target.id, eval(ast.unparse(expression))  # noqa: S307  (numbers and operators only)


def is_number(expression: ast.expr) -> bool:
    """Whether it consists of numbers and operators alone."""
    parts = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return all(
        isinstance(part, parts) and isinstance(getattr(part, "value", 0), int | float) for part in ast.walk(expression)
    )


def test_a_constant_has_one_value() -> None:
    values: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for module, text in modules():
        for name, value in constants(text) if module.startswith(PRODUCT) else ():
            values[name][module] = value
    assert len(values) > 200
    assert {name: where for name, where in values.items() if len(set(where.values())) > 1} == {}


def test_no_function_is_called_make() -> None:
    assert [module for module, text in modules() if FUNCTION_MAKE.search(text)] == []


def test_no_unidiomatic_word_comes_back() -> None:
    paths = [path for name in WORDED for path in (PROJECT / name, *(PROJECT / name).rglob("*")) if path.is_file()]
    paths = [path for path in paths if path.suffix in WORDED_SUFFIXES and ".venv" not in path.parts]
    paths += [path for name in TEXTS for path in PROJECT.glob(name) if path.name != "CHANGELOG.md"]
    texts = {path: path.read_text() for path in paths}
    assert len(texts) > 300
    assert [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path, text in texts.items()
        for match in UNIDIOMATIC.finditer(text)
    ] == []
