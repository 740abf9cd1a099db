"""What is looked at on the machine before anything is registered."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

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
