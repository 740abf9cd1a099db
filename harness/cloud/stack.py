"""A separate project with a fake provider, driven by the real CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.cloud.changes import Step, steps
from harness.cloud.config_strategies import Configuration, nested
from harness.project import Project


def plugin(folder: Path, package: str, module: str, project: Path) -> Path:
    """Write pulumi-resource-<package>, which runs a module of the project; returns the folder for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"pulumi-resource-{package}"
    file.write_text(f"#!/bin/sh\ncd '{project}' && exec '{sys.executable}' -m {module} \"$@\"\n")
    file.chmod(0o700)
    return folder


@contextmanager
def running(package: str, module: str, project: Path, variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A fake provider for many runs of the engine; yields the environment variables that they need."""
    command = [sys.executable, "-m", module]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield {"PULUMI_DEBUG_PROVIDERS": f"{package}:{port}"}
        finally:
            process.terminate()


@dataclass(frozen=True)
class CommandOutcome:
    """What a command did, and all that it said."""

    succeeded: bool
    steps: list[Step]
    said: str


@dataclass
class CloudStack:
    project: Project

    @classmethod
    def create(cls, folder: Path, plugins: Path, variables: Mapping[str, str]) -> CloudStack:
        """plugins: the folder of the fake provider's executable. variables: for the fake provider."""
        made = cls(Project.create(folder))
        environment = made.project.stack.environment
        environment.update(variables)
        environment["PATH"] = os.pathsep.join([str(plugins), environment["PATH"]])
        made.project.stack.query("stack", "select", "--create", made.project.stack.name)
        return made

    @property
    def settings_file(self) -> Path:
        return self.project.root / f"Pulumi.{self.project.stack.name}.yaml"

    def configure(self, configuration: Configuration) -> None:
        """Replace the whole configuration; faster than a command for each key."""
        known = yaml.safe_load(self.settings_file.read_text())
        known["config"] = nested(configuration)
        self.settings_file.write_text(yaml.safe_dump(known))

    def up(self, *options: str) -> CommandOutcome:
        return self._run("up", "--yes", "--skip-preview", *options)

    def preview(self) -> CommandOutcome:
        """Without its steps, which a preview tells in another form."""
        done = self.project.pulumi("preview")
        return CommandOutcome(done.returncode == 0, [], done.stdout + done.stderr)

    def destroy(self) -> CommandOutcome:
        return self._run("destroy", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        return self.project.stack.outputs()

    def _run(self, *command: str) -> CommandOutcome:
        done = self.project.pulumi(*command, "--json")
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        messages = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        said = "".join(message["message"] for message in messages if message["severity"] != "debug")
        return CommandOutcome(done.returncode == 0, steps(events), said + done.stderr)
