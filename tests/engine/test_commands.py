"""What `make` calls, as a user sees it."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.project import Project
from stackctl import export
from stackctl.cli import main
from stackctl.stack import PROJECT, Stack


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Commands work on the test's project instead of this one."""
    monkeypatch.setattr(Stack, "open", classmethod(lambda _cls, _name, _root=None: project.stack))
    return project


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["stackctl", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_env_in_every_format(
    command: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command.stack.up()
    wanted = command.stack.outputs()["env"]
    capsys.readouterr()
    files = {}
    for form in export.FORMATS:
        assert run(monkeypatch, "env", "--stack", "test", "--format", form) == 0
        files[form] = Path(capsys.readouterr().out.strip())
        assert stat.S_IMODE(files[form].stat().st_mode) == 0o600
    assert json.loads(files["json"].read_text()) == wanted
    secret = yaml.safe_load(files["k8s"].read_text())
    assert (secret["kind"], secret["stringData"]) == ("Secret", wanted)
    for form, script in (("shell", ". $1"), ("dotenv", "set -a; . $1")):
        shell = subprocess.run(
            ["sh", "-c", f"{script}; env", "sh", str(files[form])], env={}, capture_output=True, text=True, check=True
        )
        assert wanted.items() <= dict(line.split("=", 1) for line in shell.stdout.splitlines()).items()
    command.stack.down()
    run(monkeypatch, "down", "--stack", "test")
    assert not any(file.exists() for file in files.values())


def test_up_and_smoke_by_command(project: Project) -> None:
    """As `make up` runs it, but in the test's own project: every check that applies to a stack passes."""
    shutil.copytree(PROJECT / "tests", project.root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "stackctl", project.root / "stackctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", project.root)

    def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stackctl", *arguments, "--stack", "test"]
        environment = {name: value for name, value in project.stack.environment.items() if "BACKEND" not in name}
        environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE")
        return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)

    first, second = tool("up"), tool("up")
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert "Ready: Valkey 9" in first.stderr
    assert "Nothing changed: Valkey 9" in second.stderr
    assert "FAILED" not in first.stdout
    assert " checks passed\n" in first.stdout
    shown = (first.stdout + first.stderr).splitlines()
    assert "URL file: .valkey/test.env" in shown
    assert len(shown) < 24
    down = tool("down")
    assert down.returncode == 0
    assert "pulumi config set restoreFrom " in down.stderr


def test_errors_are_one_line(
    command: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "env", "--stack", "test", "--format", "json") == 1
    assert capsys.readouterr().err == "error: there is no stack test (there is none) -> make up STACK=test\n"
    command.stack.up()
    capsys.readouterr()
    assert run(monkeypatch, "env", "--stack", "test", "--format", "xml") == 1
    assert "FORMAT is 'xml', expected one of dotenv, shell, json, k8s" in capsys.readouterr().err
    assert run(monkeypatch, "env", "--stack", "test", "--out", "/nowhere/env") == 1
    assert "/nowhere is not a folder -> mkdir -p /nowhere" in capsys.readouterr().err
