"""Version numbers of servers, images and tools, as they report them."""

from __future__ import annotations

import pytest
from valkeykit.version_numbers import minor_version, parse_version


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("9.1.2", (9, 1, 2)),
        ("8.1", (8, 1)),
        ("9.0.0-rc1", (9, 0, 0)),
        ("v3.274.1\n", (3, 274, 1)),  # pulumi version
        ("20.10.5+dfsg1", (20, 10, 5)),  # Debian's Docker engine
        ("7.x", (7,)),
        ("", ()),
        ("unstable", ()),
    ],
)
def test_the_numbers_of_a_version(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_version(text) == numbers


def test_versions_are_compared_as_numbers() -> None:
    assert parse_version("9.9") < parse_version("9.10") < parse_version("9.10.1")
    assert parse_version("unstable") < parse_version("0.1")


@pytest.mark.parametrize(("release", "minor"), [("9.1.2", "9.1"), ("9.1", "9.1"), ("10.0.12", "10.0")])
def test_the_minor_version_of_a_release(release: str, minor: str) -> None:
    assert minor_version(release) == minor
