"""The schema of the plugin, from which Pulumi generates SDKs."""

from __future__ import annotations

import json
import subprocess
import sys

from infra.settings import StackSettings
from stackctl.stack import PROJECT

FILE = PROJECT / "component" / "schema.json"

PRINT = "from infra.plugin import ValkeyProvider; print(ValkeyProvider().schema)"


def test_the_schema_in_the_repository_is_current() -> None:
    # In a process of its own: one that has loaded Google's SDK can't load Pulumi's server.
    done = subprocess.run([sys.executable, "-c", PRINT], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(FILE.read_text()) == json.loads(done.stdout), f'python -c "{PRINT}" > {FILE}'


def test_every_argument_is_plain_and_described() -> None:
    inputs = json.loads(FILE.read_text())["resources"]["valkey:index:Valkey"]["inputProperties"]
    assert inputs.keys() == set(StackSettings.model_fields) - {"contacts"}
    assert [key for key, entry in inputs.items() if not (entry["plain"] and entry["description"])] == []
