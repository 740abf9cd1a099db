"""The real AWS provider, by Terraform. It is a suite of its own: `make test ONLY=provider`."""

from __future__ import annotations

import pytest

from harness.cloud.aws.terraform import TerraformError, Workspace
from tests.provider.judge import Judge

_JUDGE = pytest.StashKey[Judge]()


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Judge:
    try:
        workspace = Workspace(tmp_path_factory.mktemp("terraform"))
    except TerraformError as missing:
        pytest.exit(str(missing), returncode=1)
    pytestconfig.stash[_JUDGE] = Judge(workspace)
    return pytestconfig.stash[_JUDGE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which provider it was, and what it lacks of the one that Pulumi uses (6.x)."""
    judge = config.stash.get(_JUDGE, None)
    if judge:
        lacks = ", ".join(sorted(judge.missing)) or "nothing"
        terminalreporter.write_line(
            f"hashicorp/aws {judge.workspace.version}; of the program's inputs it lacks {lacks}"
        )
