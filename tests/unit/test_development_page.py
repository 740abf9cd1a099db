"""docs/development.md: every path that it names exists, and every folder of code is in it."""

from __future__ import annotations

import re

from stackctl.stack import PROJECT

PAGE = (PROJECT / "docs" / "development.md").read_text()
PATHS = re.findall(r"`([a-z_]+(?:/[a-z_.-]+)+)`", PAGE)


def test_every_path_exists() -> None:
    assert len(PATHS) > 20
    assert [path for path in PATHS if not (PROJECT / path).exists()] == []


def test_every_folder_of_code_is_named() -> None:
    packages = {file.parent.relative_to(PROJECT) for file in PROJECT.glob("infra/*/__init__.py")}
    packages |= {file.parent.relative_to(PROJECT) for file in PROJECT.glob("infra/drivers/*/__init__.py")}
    packages -= {file.parent for file in packages}
    assert [str(folder) for folder in packages if str(folder) not in PAGE] == []
