"""Key names on the server.

Entries are `<namespace>:<key>`. Internal keys are `<namespace>:<kind>:{<name>}`. Braces in a user's text are
escaped, so the two never collide, and an entry is in the same cluster slot as its lease.
"""

from __future__ import annotations

import re
from typing import Literal

from valkeykit.cache.validation import check_text

Kind = Literal["lease", "tag", "session", "board"]

_CHARACTERS = "[%{}\x00-\x1f\x7f\ud800-\udfff]"
"""Includes the percent sign, which makes the escaping injective."""

_find_character = re.compile(_CHARACTERS).search
_UNSAFE = re.compile(_CHARACTERS + "|^:|(?<=:):")
"""No key begins with a colon or contains two in a row, so the end of the namespace is unambiguous."""


class Keys:
    """The keys of a namespace. A double colon ends a namespace that contains a colon, so no two share a key."""

    def __init__(self, namespace: str = "") -> None:
        self._prefix = ""
        if namespace != "":
            name = escape("namespace", namespace)
            self._prefix = name + ("::" if ":" in name else ":")

    def entry(self, name: str) -> str:
        return self._prefix + escape("key", name)

    def own(self, kind: Kind, name: str) -> str:
        """An internal key. The name is escaped already, or the key of an entry."""
        return f"{self._prefix}{kind}:{{{name}}}"


def escape(what: str, text: str) -> str:
    """Escape a text injectively, without braces in the result. Ordinary text stays as it is.

    Raises:
        ConfigurationError: Not a text, empty or too long.
    """
    check_text(what, text)
    if _find_character(text) or "::" in text or text[0] == ":":
        return _UNSAFE.sub(_percent, text)
    return text


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode(errors="surrogatepass"))
