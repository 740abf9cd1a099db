"""Before the first test: leave out what takes too long, and report what the suites need and this machine lacks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import requirements

THOROUGH = 5
"""ROUNDS from which on the tests marked `thorough` run: other versions, topologies and kinds of what takes minutes."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if int(os.environ.get("ROUNDS", "10")) >= THOROUGH:
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    tests = Path(__file__).parent
    paths = [item.path.relative_to(tests) for item in session.items if item.path.is_relative_to(tests)]
    if lines := list(requirements.missing(dict.fromkeys(path.parts[0] for path in paths))):
        pytest.exit("\n".join(lines), returncode=1)
