"""The record of a change that was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl import journal
from stackctl.journal import JournalEntry


def test_a_record_stays_until_its_change_is_done(tmp_path: Path) -> None:
    entry = JournalEntry("make scale STACK=web MEMORY=1gb", {"memory": "1gb"})
    assert journal.read(tmp_path, "web") is None
    journal.write(tmp_path, "web", entry)
    assert journal.read(tmp_path, "web") == entry
    assert journal.read(tmp_path, "other") is None
    journal.write(tmp_path, "web", None)
    journal.write(tmp_path, "web", None)
    assert journal.read(tmp_path, "web") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"command": "make up"}', '{"other": 1}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    journal.write(tmp_path, "web", JournalEntry("make up", {}))
    (record,) = (tmp_path / ".valkey").iterdir()
    record.write_text(text)
    assert journal.read(tmp_path, "web") is None
