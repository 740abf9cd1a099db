"""The status line while a command works, and pip's installation with it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from harness.waiting import wait_until
from stackctl import install, progress
from stackctl.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("screen", "shown"), [(io.StringIO, "Working: step 2, "), (Terminal, "Working: step 2")])
def test_the_status_is_shown(screen: type[io.StringIO], shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = screen()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_SECONDS", 0.0)
    with Progress("Working", lambda: "step 2"):
        wait_until(lambda: "Working" in written.getvalue())
    assert shown in written.getvalue()
    assert ("\x1b" in written.getvalue()) == written.isatty()


def test_a_failed_installation_ends_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install.install("packages", ["--no-index", "--find-links", str(tmp_path), "no-such-package-1"]) != 0
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("Installing packages into .venv")
    assert any("no-such-package-1" in line for line in shown)
    assert shown[-1].startswith("error: packages cannot be installed: pip failed, see above -> ")
