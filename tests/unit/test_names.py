"""Names and words: public class names are unique, and the text of the program uses the field's terms."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from stackctl.stack import PROJECT

WORDED = (
    *("infra/drivers", "infra/providers", "infra/settings", "infra/targets", "infra/policy", "infra/hardening.py"),
    *("infra/outputs.py", "infra/__main__.py", "stackctl", "compose", "packaging", "Makefile"),
    *("client/valkeykit", "client/ops/valkeykit_ops"),
)
"""Files whose words are checked."""

UNIDIOMATIC = re.compile(
    r"\b(anew|mend(s|ed|ing)?|rehears\w*|strangers?|whom|hands? over|goes on|nobody)\b", re.IGNORECASE
)

PACKAGES = ("infra", "stackctl", "client/valkeykit", "client/ops/valkeykit_ops", "bench")


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


def test_no_unidiomatic_word_comes_back() -> None:
    paths = [path for name in WORDED for path in (PROJECT / name, *(PROJECT / name).rglob("*")) if path.is_file()]
    texts = {path: path.read_text() for path in paths if path.suffix in {".py", ""}}
    assert [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path, text in texts.items()
        for match in UNIDIOMATIC.finditer(text)
    ] == []
