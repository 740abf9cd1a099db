"""With few ROUNDS, tests marked `thorough` are left out: other versions, topologies and kinds of what takes minutes."""

from __future__ import annotations

import os

import pytest

THOROUGH = 5
"""ROUNDS from which on they run; 10 is the default."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if int(os.environ.get("ROUNDS", "10")) >= THOROUGH:
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
