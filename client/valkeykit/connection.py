"""Connections: redis-py's client with defaults that suit a server in production."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from valkeykit import environment
from valkeykit import url as urls
from valkeykit.errors import ConfigurationError

CONNECT_TIMEOUT = 1.0
"""Seconds to wait for a connection."""

READ_TIMEOUT = 2.0
"""Seconds to wait for an answer."""


def connect(
    url: str | None = None,
    *,
    ca: str | None = None,
    connect_timeout: float = CONNECT_TIMEOUT,
    read_timeout: float = READ_TIMEOUT,
) -> redis.Redis:
    """A client for the URL, or for the one that the environment names. Nothing is sent yet.

    A command is sent once: redis-py's own default sends it up to 11 times, which
    doubles an LPUSH or an INCR whose answer was lost.

    ca: PEM text of the authority that signed the server's certificate; None for the system's.

    Raises:
        ConfigurationError: the URL can't be read, or DISABLE_REDIS is on.
    """
    address = urls.parse(url) if url is not None else environment.resolve()
    if address is None:
        raise ConfigurationError("DISABLE_REDIS is on, so there is no server to connect to", fix="unset DISABLE_REDIS")
    return redis.Redis(
        host=address.host,
        port=address.port,
        db=address.database,
        username=address.username,
        password=address.password,
        socket_connect_timeout=connect_timeout,
        socket_timeout=read_timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        # Both are commands that Valkey refuses or that tell it nothing, sent on each connect.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        driver_info=None,
        ssl=address.tls,
        ssl_ca_data=ca,
    )
