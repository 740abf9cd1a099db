"""Public names: every class of the repository has a name of its own, and a function says what it creates."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tools.stack import PROJECT

PACKAGES = ("infra", "tools", "client/valkeykit", "client/ops/valkeykit_ops", "bench")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            name = path.relative_to(PROJECT).as_posix()
            if ".venv" not in path.parts:
                yield name, ast.parse(path.read_text(), name)


def test_no_two_public_classes_share_a_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_public_function_is_called_make() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert [
        f"{name}:{node.lineno}"
        for name, module in modules()
        for node in ast.walk(module)
        if isinstance(node, functions) and node.name == "make"
    ] == []
