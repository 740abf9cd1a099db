"""Files for contributors and for the hosting service of the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from stackctl.stack import PROJECT

WORKFLOW = PROJECT / ".github" / "workflows" / "tests.yaml"


@pytest.mark.parametrize(
    "file",
    sorted([*(PROJECT / ".github").rglob("*.y*ml"), PROJECT / ".pre-commit-config.yaml"]),
    ids=lambda file: file.name,
)
def test_yaml_can_be_read(file: Path) -> None:
    assert yaml.safe_load(file.read_text())


def test_the_container_for_development_can_be_read() -> None:
    assert json.loads((PROJECT / ".devcontainer" / "devcontainer.json").read_text())["image"]


@pytest.mark.parametrize("workflow", sorted(WORKFLOW.parent.iterdir()), ids=lambda file: file.name)
def test_actions_are_pinned_to_commits(workflow: Path) -> None:
    actions = re.findall(r"uses: (.*)", workflow.read_text())
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action)] == []


def test_the_workflow_runs_the_supported_versions_of_python() -> None:
    versions = yaml.safe_load(WORKFLOW.read_text())["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" in (PROJECT / "pyproject.toml").read_text()
    assert versions == [f"3.{minor}" for minor in range(10, 10 + len(versions))]


def test_the_packages_have_one_version() -> None:
    projects = (PROJECT / name / "pyproject.toml" for name in ("", "client", "client/ops", "component"))
    versions = {re.findall(r'^version = "(.*)"$', project.read_text(), re.MULTILINE)[0] for project in projects}
    assert len(versions) == 1


def test_only_the_upload_of_a_release_may_log_in_to_pypi() -> None:
    """A test or a build that is compromised must not be able to publish."""
    jobs = yaml.safe_load((WORKFLOW.parent / "release.yaml").read_text())["jobs"]
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert [step for step in jobs["publish"]["steps"] if "run" in step] == []


def test_hooks_run_the_tools_of_make_lint() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    programs = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    recipe = (PROJECT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert programs == set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe))
