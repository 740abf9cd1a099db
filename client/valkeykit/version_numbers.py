"""Version numbers, such as 9.1.2, in a form that can be compared."""

from __future__ import annotations

import re

Version = tuple[int, ...]


def parse_version(text: str) -> Version:
    """The numbers at the start of a version: (9, 1, 2) of `9.1.2`, (3, 274, 1) of `v3.274.1-alpha`.

    Returns:
        An empty tuple, which is older than any version, for a text that is not a version.
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(number) for number in match[1].split(".")) if match else ()


def minor_version(text: str) -> str:
    """The minor version of a release, such as 9.1 of 9.1.2; the text itself if it has fewer than three numbers."""
    return ".".join(text.split(".")[:2])
