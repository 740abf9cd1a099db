"""YAML that a parser of another version of the standard reads alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from infra.yaml_writer import to_yaml
from stackctl import export
from stackctl.render import render

NUMBERS_OF_YAML_1_2 = ("0123456789012389", "7301234567890e12", "0899", "0o17", "1e5", "+12e3", ".5e1")


@pytest.mark.parametrize("text", NUMBERS_OF_YAML_1_2)
def test_text_that_looks_like_a_number_is_quoted(text: str) -> None:
    assert yaml.safe_dump({"label": text}) == f"label: {text}\n"  # what this is for
    assert to_yaml({"label": text}) == f"label: '{text}'\n"
    assert yaml.safe_load(to_yaml({text: text})) == {text: text}


def test_numbers_and_other_text_stay_plain() -> None:
    assert to_yaml({"b": 64, "a": ["text", -1, 0.5, True, None]}) == "b: 64\na:\n- text\n- -1\n- 0.5\n- true\n- null\n"


def test_a_secret_of_kubernetes_and_a_rendered_folder_are_written_so(tmp_path: Path) -> None:
    secret = export.write(tmp_path, "web", {"VALKEY_DATABASE": "0899"}, "k8s", tmp_path / "secret.yaml")
    assert "  VALKEY_DATABASE: '0899'\n" in secret.read_text()
    render("compose", tmp_path / "v", ["memory=64mb", "port=17000", "docker.project=12e3"])
    assert "name: '12e3'\n" in (tmp_path / "v" / "compose.yaml").read_text()
