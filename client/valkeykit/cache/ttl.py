"""Times to live in seconds, and the jitter that keeps entries from expiring all at once."""

from __future__ import annotations

import random

from valkeykit.errors import ConfigurationError, shown
from valkeykit.settings import is_number

SESSION_SECONDS = 30 * 60
"""A login session, from its last read."""

API_RESPONSE_SECONDS = 60
"""A response of another service."""

PAGE_SECONDS = 5 * 60
"""A rendered page or fragment."""

QUERY_SECONDS = 10 * 60
"""The result of a database query."""

LEADERBOARD_SECONDS = 24 * 3600
"""A leaderboard of a day."""

CONFIGURATION_SECONDS = 3600
"""Settings and feature flags."""

TOKEN_SECONDS = 15 * 60
"""A one-time code or a password reset."""

NEGATIVE_SECONDS = 30
"""A computed None (negative caching)."""

MAX_JITTER_SHARE = 0.1
"""Maximum share by which an entry expires early."""

MAX_TTL_SECONDS = 366 * 86_400


def milliseconds(seconds: float, jitter: float = 0.0, *, name: str = "ttl", fix: str = "") -> int:
    """Convert a time to live for the server.

    Args:
        seconds: The time to live.
        jitter: Share of it by which the result may be shorter, at random.
        name: The argument's name in an error.
        fix: The fix in an error; by default a value of that argument.

    Returns:
        Milliseconds, at least 1.

    Raises:
        ConfigurationError: Not a number of seconds above 0, up to a year.
    """
    if not is_number(seconds) or not 0 < seconds <= MAX_TTL_SECONDS:
        raise ConfigurationError(
            f"{name} is {shown(seconds)}, expected seconds above 0, up to a year", fix=fix or f"pass {name}=60"
        )
    return max(1, round(seconds * 1000 * (1 - jitter * random.random())))  # noqa: S311  (not for secrets)


def expiry(seconds: float | None, jitter: float = 0.0) -> int | None:
    """Convert a time to live that may be unlimited.

    Args:
        seconds: The time to live; None for an entry that never expires.
        jitter: As for `milliseconds`.

    Returns:
        Milliseconds, or None.

    Raises:
        ConfigurationError: Not a number of seconds above 0, up to a year.
    """
    return None if seconds is None else milliseconds(seconds, jitter, fix="pass ttl=60, or None for no expiry")
