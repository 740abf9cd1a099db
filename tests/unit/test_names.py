"""Names and words: every public class has a name of its own, and the operator's side speaks the field's language."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Mapping

from tools.stack import PROJECT

WORDED = (
    *("infra/drivers", "infra/providers", "infra/settings", "infra/targets", "infra/policy", "infra/hardening.py"),
    *("infra/outputs.py", "infra/__main__.py", "tools", "compose/bin", "Makefile"),
)
"""Files whose words are checked."""

UNIDIOMATIC = re.compile(
    r"\b(anew|mend(s|ed|ing)?|rehears\w*|strangers?|whom|hands? over|goes on|nobody)\b", re.IGNORECASE
)

PACKAGES = ("infra", "tools", "client/valkeykit", "client/ops/valkeykit_ops", "bench", "harness", "tests")


@functools.cache
def modules() -> Mapping[str, ast.Module]:
    paths = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
    names = {path.relative_to(PROJECT).as_posix(): path for path in paths if ".venv" not in path.parts}
    return {name: ast.parse(path.read_text(), name) for name, path in names.items()}


def test_no_two_public_classes_share_a_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in modules().items():
        for node in module.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_public_function_is_called_make() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert [
        f"{name}:{node.lineno}"
        for name, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, functions) and node.name == "make"
    ] == []


def test_no_unidiomatic_word_comes_back() -> None:
    paths = [path for name in WORDED for path in (PROJECT / name, *(PROJECT / name).rglob("*")) if path.is_file()]
    texts = {path: path.read_text() for path in paths if path.suffix in {".py", ""}}
    assert [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path, text in texts.items()
        for match in UNIDIOMATIC.finditer(text)
    ] == []
