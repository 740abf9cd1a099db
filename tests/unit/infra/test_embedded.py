"""What is looked at on the machine before anything is registered."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from valkeykit.errors import ConfigurationError

from infra.drivers.processes.folder import ServerFolder
from infra.settings import StackSettings
from infra.targets import embedded

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    return ServerFolder(tmp_path / "server")


def test_a_machine_that_suits_is_no_obstacle(folder: ServerFolder) -> None:
    embedded.preflight(StackSettings(), folder, "valkey/test")
    assert not folder.path.exists()


def test_a_full_disk_is_refused(folder: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(100, 90, 10 * 1024**2))
    with pytest.raises(ConfigurationError, match="has 10mb free, 64mb are needed -> free disk space"):
        embedded.preflight(StackSettings(), folder, "valkey/test")
    assert not folder.path.exists()


def test_a_folder_that_one_may_not_enter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    usual = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed and usual(path, mode))
    folder = ServerFolder(closed / "data" / "server")
    with pytest.raises(ConfigurationError, match=f"may not enter {closed} -> pulumi config set dataDir"):
        embedded.preflight(StackSettings(), folder, "valkey/test")


def test_a_dump_that_one_may_not_read_is_named(folder: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = folder.path.parent / "closed" / "dump.rdb"
    for name in ("open", "stat"):
        monkeypatch.setattr(Path, name, refusing(dump, getattr(Path, name)))
    with pytest.raises(ConfigurationError, match=r"dump.rdb: Permission denied -> pulumi config set restoreFrom"):
        embedded.preflight(StackSettings(restoreFrom=str(dump)), folder, "valkey/test")


def refusing(closed: Path, usual: Callable[..., Any]) -> Callable[..., Any]:
    """A method of Path that fails for one path."""

    def method(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path, *arguments, **options)

    return method
