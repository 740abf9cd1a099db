"""The result of a preflight check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A preflight check. ok: None for a warning."""

    name: str
    ok: bool | None
    text: str
    fix: str = ""
