from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.ports import GROUPS, reserve
from infra.drivers.processes.group import GroupSpec
from tests.support.server_group import SHAPES, end, made


@pytest.fixture(params=SHAPES)
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GroupSpec]:
    """Servers of a test's own, which don't run yet."""
    group = made(tmp_path / "group", request.param, reserve(GROUPS))
    yield group
    end(group.folder.path)
