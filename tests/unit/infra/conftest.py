"""The volume of a node, which the tests of its scripts share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.infra.node_volume import FILE, MANIFEST, note


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A volume with an append-only file of 1,000 bytes, all of which were durable at offset 5000."""
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_text(MANIFEST)
    (folder / "appendonly.aof.2.base.rdb").write_text("base")
    (folder / FILE).write_bytes(b"x" * 1000)
    (tmp_path / "members").mkdir()
    note(tmp_path)
    return tmp_path
