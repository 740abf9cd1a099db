"""Names on the server.

Entries are `<namespace>:<key>`; what the cache itself keeps is `<namespace>:<kind>:{<name>}`. A text of the
user never has a brace there, so the two can't meet, and an entry shares the slot of its lease in a cluster.
"""

from __future__ import annotations

import re
from typing import Literal

from valkeykit.cache.arguments import check_text

Kind = Literal["lease", "tag", "session", "board"]

_CHARACTERS = "[%{}\x00-\x1f\x7f\ud800-\udfff]"
"""The percent sign is among them, which makes the escaping injective."""

_find_character = re.compile(_CHARACTERS).search
_UNSAFE = re.compile(_CHARACTERS + "|^:|(?<=:):")
"""No key begins with a colon or has two in a row, so that the end of a namespace can be recognised."""


class Keys:
    """The keys of a namespace. A namespace with colons ends with two, so that none is the beginning of another."""

    def __init__(self, namespace: str = "") -> None:
        self._prefix = ""
        if namespace != "":
            name = escape("namespace", namespace)
            self._prefix = name + ("::" if ":" in name else ":")

    def entry(self, name: str) -> str:
        return self._prefix + escape("key", name)

    def own(self, kind: Kind, name: str) -> str:
        """A key of the cache itself. The name is escaped, or an entry's key."""
        return f"{self._prefix}{kind}:{{{name}}}"


def escape(what: str, text: str) -> str:
    """A different text for each text, without braces; ordinary ones stay as they are.

    Raises:
        ConfigurationError: not a text, empty or too long.
    """
    check_text(what, text)
    if _find_character(text) or "::" in text or text[0] == ":":
        return _UNSAFE.sub(_percent, text)
    return text


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode(errors="surrogatepass"))
