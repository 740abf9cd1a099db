"""A second update changes nothing, in each configuration, with and without a refresh."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError

from harness.cloud.config_strategies import load
from harness.cloud.gcp import answers
from harness.cloud.gcp.accepted import ACCEPTED, AUTHORITY, POLICY, REJECTED
from harness.cloud.gcp.configurations import MINIMAL
from harness.cloud.stack import CloudStack
from stackctl.stack import PROJECT
from tests.cloud.recording import Recorder
from tests.gcp.recorded import DeployedGcp
from tests.gcp.test_life import make_policy

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n"


def managed(recorder: Recorder) -> list[tuple[str, str, dict[str, Any]]]:
    """Without the provider, and without the policy that is only read."""
    return [
        (resource.kind, resource.name, resource.inputs)
        for resource in recorder.recorded
        if resource.kind in answers.KINDS and resource.name != "existing-policy"
    ]


def test_there_are_43_configurations_of_which_one_is_rejected() -> None:
    assert len(ACCEPTED) == 42
    with pytest.raises(ConfigurationError, match="replicas is 0"):
        load(MINIMAL | REJECTED)


def test_a_second_update_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider finds no difference between the program's requests and what Google has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / AUTHORITY).write_text(CERTIFICATE)
    asked = {}
    for name, configuration in ACCEPTED.items():
        make_policy(tmp_path / "others.json")
        others = json.loads((tmp_path / "others.json").read_text()) if POLICY in configuration.values() else {}
        asked[name] = (managed(DeployedGcp(load(MINIMAL | configuration)).recorder), others)
    monkeypatch.undo()
    command = [sys.executable, "-m", "tests.gcp.second_update"]
    done = subprocess.run(command, cwd=PROJECT, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [] for name in ACCEPTED}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ACCEPTED)
def test_the_engine_changes_nothing_in_a_second_update(stack: CloudStack, resources: Path, name: str) -> None:
    (stack.project.root / AUTHORITY).write_text(CERTIFICATE)
    if POLICY in ACCEPTED[name].values():
        make_policy(resources)
    stack.configure(MINIMAL | ACCEPTED[name])
    first = stack.up()
    assert first.succeeded, first.said
    for options in ((), ("--refresh",)):
        again = stack.up("--expect-no-changes", *options)
        assert again.succeeded, (options, again.steps, again.said)
