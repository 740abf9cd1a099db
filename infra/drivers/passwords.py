"""Random passwords."""

from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits

PASSWORD_LENGTH = 43
"""43 letters and digits: 256 bits, without characters that a URL, a shell or a service would reject."""


def new_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))
