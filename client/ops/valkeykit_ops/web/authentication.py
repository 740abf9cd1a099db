"""Who may use the page: a token, sessions and the tokens of forms.

A session is a cookie that this process signed. The page of one site can't read the form token of another's session, and
a post without it is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from valkeykit.errors import ConfigurationError

SESSION_COOKIE = "valkeykit_session"

MIN_TOKEN_CHARACTERS = 24
"""A shorter token could be guessed."""


class Access:
    """Sessions of the page.

    Args:
        token: What a user needs to log in; None where the application around the page checks its users.
        secret: Signs sessions. Processes that serve the same page need the same one.

    Raises:
        ConfigurationError: The token is too short.
    """

    def __init__(self, token: str | None, secret: str | None = None) -> None:
        if token is not None and len(token) < MIN_TOKEN_CHARACTERS:
            raise ConfigurationError(
                f"the token has {len(token)} characters, fewer than {MIN_TOKEN_CHARACTERS}",
                fix="openssl rand -hex 32 > FILE",
            )
        self._token = token
        self._secret = (secret or secrets.token_hex(32)).encode()

    @property
    def needs_login(self) -> bool:
        return self._token is not None

    def is_token(self, given: str) -> bool:
        """Whether this is the token of the page."""
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def new_session(self) -> str:
        """The cookie of a new session."""
        identity = secrets.token_hex(16)
        return f"{identity}.{self._sign('session', identity)}"

    def is_session(self, cookie: str | None) -> bool:
        """Whether this page issued the cookie."""
        identity, _, signature = (cookie or "").partition(".")
        return hmac.compare_digest(signature.encode(), self._sign("session", identity).encode())

    def form_token(self, cookie: str) -> str:
        """What forms of a session contain."""
        return self._sign("form", cookie)

    def is_form_token(self, cookie: str, given: str) -> bool:
        """Whether a form came from a page of the session."""
        return hmac.compare_digest(given.encode(), self.form_token(cookie).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{self._token}:{text}".encode(), hashlib.sha256).hexdigest()
