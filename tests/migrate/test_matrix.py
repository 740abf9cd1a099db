"""Every source to every target, type by type."""

from __future__ import annotations

from pathlib import Path

from tests.migrate import matrix


def test_the_matrix_is_the_one_in_the_docs(tmp_path: Path) -> None:
    page = matrix.measure(tmp_path)
    print(page)
    assert matrix.FILE.read_text() == page, "run: python -m tests.migrate.matrix"
