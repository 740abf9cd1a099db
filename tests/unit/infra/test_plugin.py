"""The schema of the plugin, from which Pulumi generates SDKs, and a YAML program that uses it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import yaml

from infra.settings import StackSettings
from stackctl.stack import PROJECT
from tests.support import checkout

FILE = PROJECT / "component" / "schema.json"

EXAMPLE = PROJECT / "examples" / "component-yaml" / "Pulumi.yaml"

PRINT = "from infra.plugin import ValkeyProvider; print(ValkeyProvider().schema)"


def test_the_schema_in_the_repository_is_current() -> None:
    # In a process of its own: one that has loaded Google's SDK can't load Pulumi's server.
    done = subprocess.run([sys.executable, "-c", PRINT], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(FILE.read_text()) == json.loads(done.stdout), f'python -c "{PRINT}" > {FILE}'


def test_every_argument_is_plain_and_described() -> None:
    inputs = json.loads(FILE.read_text())["resources"]["valkey:index:Valkey"]["inputProperties"]
    assert inputs.keys() == set(StackSettings.model_fields) - {"contacts"}
    assert [key for key, entry in inputs.items() if not (entry["plain"] and entry["description"])] == []


def test_the_example_in_yaml_suits_the_schema() -> None:
    schema = json.loads(FILE.read_text())["resources"]["valkey:index:Valkey"]
    program = yaml.safe_load(EXAMPLE.read_text())
    for resource in program["resources"].values():
        assert resource["type"] == "valkey:index:Valkey"
        assert resource["properties"].keys() <= schema["inputProperties"].keys()
    for value in program["outputs"].values():
        name, output = re.fullmatch(r"\$\{(\w+)\.(\w+)\}", value).groups()  # type: ignore[union-attr]
        assert name in program["resources"]
        assert output in schema["properties"]
    assert ("yaml", EXAMPLE.read_text()) in checkout.blocks(PROJECT / "docs" / "component.md")
