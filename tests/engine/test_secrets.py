"""No secret stands in clear anywhere but in the hands of who asked for it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
from valkeykit.url import parse

from tests.project import Project


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
        _assert_none(secrets, command.stdout + command.stderr, " ".join(command.args))

    passphrase = project.root / ".valkey" / "passphrase"
    for file in tmp_path.rglob("*"):
        if file.is_file() and not file.is_symlink() and file != passphrase:
            _assert_none(secrets, file.read_bytes().decode(errors="replace"), str(file))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            _assert_none(secrets, " ".join(process.cmdline()), f"command line of {process.name()}")
    _assert_none(secrets, str(project.server().environ()), "the server's environment")


def _assert_none(secrets: set[str], text: str, where: str) -> None:
    found = any(secret in text for secret in secrets)  # not in the assertion itself, which pytest would print
    assert not found, f"a secret stands in {where}"
