"""examples/app reads the stack's outputs by StackReference."""

from __future__ import annotations

import json
import shutil
import subprocess

from harness.project import Project
from stackctl.stack import PROJECT


def test_an_application_stack_gets_the_variables_and_they_stay_secret(project: Project) -> None:
    project.stack.up()
    app = project.root / "app"
    shutil.copytree(PROJECT / "examples" / "app", app)

    def pulumi(*arguments: str) -> str:
        command = ["pulumi", "--non-interactive", *arguments]
        done = subprocess.run(
            command, cwd=app, env=project.stack.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    pulumi("stack", "init", "prod")
    pulumi("config", "set", "valkeyStack", "organization/valkey/test")
    pulumi("up", "--yes", "--skip-preview")
    outputs = json.loads(pulumi("stack", "output", "--json", "--show-secrets"))
    assert outputs["environment"] == project.stack.outputs()["env"]
    assert outputs["endpoint"]["target"] == "embedded"
    assert outputs["environment"]["VALKEY_URL"] not in pulumi("stack", "export")
