"""The policy pack on the real engine."""

from __future__ import annotations

import pytest

from harness.project import Project, link_policies
from stackctl.errors import StackError
from stackctl.operations import policy_check
from stackctl.stack import PROJECT


@pytest.fixture
def project(project: Project) -> Project:
    """With what the pack's own environment reads."""
    link_policies(project.root)
    (project.root / "client").symlink_to(PROJECT / "client")
    return project


def test_a_stack_of_this_project_keeps_every_policy(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.configure(environment="prod")
    project.stack.up()
    capfd.readouterr()
    policy_check.check(project.stack)
    assert "✅ valkey@" in capfd.readouterr().out


def test_a_violation_ends_the_update_before_anything_is_made(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.configure(environment="prod", finalSnapshot="false")
    with pytest.raises(StackError):
        policy_check.check(project.stack)
    assert "pulumi config set finalSnapshot true" in capfd.readouterr().out
    up = project.pulumi("up", "--yes", "--policy-pack", str(project.root / "infra" / "policy" / "pack"))
    assert up.returncode != 0
    assert "backups-in-prod" in up.stdout
    assert not project.folder.path.exists()
