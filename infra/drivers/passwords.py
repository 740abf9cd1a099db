"""Random passwords."""

from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits

PASSWORD_LENGTH = 43
"""With letters and digits, 256 bits; no URL, shell or service treats such a character in a special way."""


def new_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))
