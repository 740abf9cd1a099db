"""No secret is in clear anywhere, except in the output of a command that requests it."""

from __future__ import annotations

from pathlib import Path

from valkeykit.url import parse

from harness.project import Project
from tests.support.secret_scan import absent_from_files, absent_from_processes, absent_from_text


def test_no_secret_is_left_anywhere(project: Project, tmp_path: Path) -> None:
    project.stack.up()
    outputs = project.stack.outputs()
    secrets = {str(parse(outputs[name]).password) for name in ("url", "adminUrl", "monitorUrl")}
    secrets.add((project.root / ".valkey" / "passphrase").read_text())
    assert len({len(secret) for secret in secrets}) == 1
    project.configure(workload="queue")
    said = [project.pulumi(*command) for command in (("preview", "--diff"), ("up", "--yes"), ("stack", "output"))]
    said.append(project.pulumi("stack", "export"))
    said.append(project.pulumi("up", "--yes", "--skip-preview", "--refresh", "--logtostderr", "-v=9"))
    for command in said:
        assert command.returncode == 0, command.stderr
        absent_from_text(secrets, command.stdout + command.stderr, " ".join(command.args))
    absent_from_files(secrets, tmp_path, keepers=[project.root / ".valkey" / "passphrase"])
    absent_from_processes(secrets)
    absent_from_text(secrets, str(project.server().environ()), "the server's environment")
