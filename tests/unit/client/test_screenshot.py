"""The picture of `valkeykit stats` in the documentation."""

from __future__ import annotations

from tests.docs import screenshot


def test_it_shows_what_the_command_prints_and_loads_nothing() -> None:
    stored = screenshot.FILE.read_text()
    assert screenshot.text_of(stored) == screenshot.text_of(screenshot.picture()), "python -m tests.docs.screenshot"
    assert "operations/s" in screenshot.text_of(stored)
    assert "url(" not in stored.replace("url(#", "")
