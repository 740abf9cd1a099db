"""The types of the component's sections are those of the settings."""

from __future__ import annotations

from stackctl.maintenance import section_arguments


def test_the_types_of_the_sections_are_current() -> None:
    assert section_arguments.FILE.read_text() == section_arguments.render(), (
        "run: python -m stackctl.maintenance.section_arguments"
    )
