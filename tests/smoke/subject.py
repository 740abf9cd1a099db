"""What the smoke suite looks at: a server, by the URLs that there are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property

import redis
from valkeykit.connection import connect
from valkeykit.endpoint import Endpoint
from valkeykit.url import Address, parse


@dataclass(frozen=True)
class Subject:
    """url: an application's. endpoint: what the server is said to be; None where only a URL is known."""

    url: str = field(repr=False)
    admin_url: str | None = field(repr=False, default=None)
    monitor_url: str | None = field(repr=False, default=None)
    endpoint: Endpoint | None = None
    stack: str | None = None

    @classmethod
    def of_stack(cls, name: str) -> Subject:
        from tools.stack import Stack

        outputs = Stack.open(name).outputs()
        return cls(
            url=outputs["url"],
            admin_url=outputs["adminUrl"],
            monitor_url=outputs["monitorUrl"],
            endpoint=Endpoint.from_dict(outputs["endpoint"]),
            stack=name,
        )

    @classmethod
    def of_url(cls, url: str) -> Subject:
        """Other users' URLs come from the environment only, as no password belongs on a command line."""
        return cls(
            url=url, admin_url=os.environ.get("VALKEY_ADMIN_URL"), monitor_url=os.environ.get("VALKEY_MONITOR_URL")
        )

    @cached_property
    def address(self) -> Address:
        return parse(self.url)

    def as_app(self) -> redis.Redis:
        return self._client(self.url)

    def as_admin(self) -> redis.Redis:
        return self._client(self.admin_url)

    def as_monitor(self) -> redis.Redis:
        return self._client(self.monitor_url)

    def as_user(self, username: str | None, password: str | None) -> redis.Redis:
        known = self.address
        return self._client(Address(known.host, known.port, known.tls, username, password).url)

    def lacks(self, need: str) -> str | None:
        """Why a check that needs something can't apply; None where it can."""
        reasons = {
            "admin": (self.admin_url, "no admin's URL: use --stack, or set VALKEY_ADMIN_URL"),
            "monitor": (self.monitor_url, "no monitor's URL: use --stack, or set VALKEY_MONITOR_URL"),
            "endpoint": (self.endpoint, "the URL doesn't say what the server is for: use --stack"),
            "restart": (
                self.stack and self.endpoint and self.endpoint.target == "embedded",
                "only a stack of this machine can be restarted",
            ),
        }
        has, reason = reasons[need]
        return None if has else reason

    def _client(self, url: str | None) -> redis.Redis:
        assert url is not None, "a check used a URL that it doesn't declare as needed"
        return connect(url, topology="single", ca=self.endpoint.ca if self.endpoint else None)
