"""The policy pack on the real engine."""

from __future__ import annotations

from tests.project import Project

PACK = ("--policy-pack", "infra/policy/pack")


def test_a_stack_of_this_project_keeps_every_policy(project: Project) -> None:
    project.configure(environment="prod")
    up = project.pulumi("up", "--yes", "--skip-preview", *PACK)
    assert up.returncode == 0, up.stdout + up.stderr
    assert "✅ valkey@" in up.stdout
    assert project.pulumi("state", "unprotect", "--all", "--yes").returncode == 0
    project.stack.down()


def test_a_violation_ends_the_update_before_anything_is_made(project: Project) -> None:
    project.configure(environment="prod", finalSnapshot="false")
    up = project.pulumi("up", "--yes", *PACK)
    assert up.returncode != 0
    assert "backups-in-prod" in up.stdout
    assert "pulumi config set finalSnapshot true" in up.stdout
    assert not project.folder.path.exists()
