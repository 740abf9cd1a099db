"""Arguments, results and progress as the page shows them: without values unless that is allowed, never with secrets."""

from __future__ import annotations

import json
import re
from typing import Any

from valkeykit.commands.tables import clean

MASK = "•••"

MAX_CHARACTERS = 10_000
"""Characters of a value that are shown."""

_SECRET = re.compile(r"passw|secret|token|credential|authorization|cookie|private|api.?key", re.IGNORECASE)


def shown(value: Any, *, in_full: bool) -> str:
    """A value as indented JSON.

    Args:
        value: Any JSON value.
        in_full: Show values; those under a name that suggests a secret are masked all the same.
    """
    text = json.dumps(_masked(value) if in_full else _hidden(value), indent=2, ensure_ascii=False, default=str)
    return cut(text)


def cut(text: str) -> str:
    """A text without control characters, and without its end where it is long."""
    left = len(text) - MAX_CHARACTERS
    return clean(text[:MAX_CHARACTERS]) + (f"\n… {left:,} more characters" if left > 0 else "")


def _hidden(value: Any) -> Any:
    """The names and the shape of a value."""
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return None if value is None else MASK


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if _SECRET.search(str(key)) else _masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return value
