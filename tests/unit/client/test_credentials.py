"""Cloud logins, signed offline with made-up keys: what a cloud would check is checked here."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

import pytest
import valkeykit
from botocore.session import Session
from google.auth.credentials import Credentials
from valkeykit import errors
from valkeykit.credentials import ElastiCacheIam, MemorystoreIam

from tests.servers import HOST, Server


def aws(name: str = "My-Cache", *, serverless: bool = False) -> ElastiCacheIam:
    session = Session()
    session.set_credentials("AKIDEXAMPLE", "not-a-real-secret", "token")
    return ElastiCacheIam("app", name, "eu-central-1", serverless=serverless, session=session)


def test_an_elasticache_token() -> None:
    provider = aws()
    user, token = provider.get_credentials()
    host, _, query = token.partition("/?")
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    assert (user, host) == ("app", "my-cache")
    assert (fields["Action"], fields["User"], fields["X-Amz-Expires"]) == ("connect", "app", "900")
    assert "/eu-central-1/elasticache/aws4_request" in fields["X-Amz-Credential"]
    assert len(fields["X-Amz-Signature"]) == 64
    assert "ResourceType" not in fields
    assert "ResourceType=ServerlessCache" in aws(serverless=True).get_credentials()[1]
    assert "not-a-real-secret" not in f"{provider!r}{token}"


def test_a_token_is_used_until_shortly_before_it_ends() -> None:
    provider = aws()
    now = 1_000_000.0
    signed = 0

    def sign() -> tuple[str, float]:
        nonlocal signed
        signed += 1
        return f"token{signed}", now + 900

    provider._clock = lambda: now
    provider._sign = sign  # type: ignore[method-assign]
    assert [provider.get_credentials()[1] for _ in range(3)] == ["token1"] * 3
    now += 779
    assert provider.get_credentials()[1] == "token1"
    now += 2
    assert asyncio.run(provider.get_credentials_async()) == ("app", "token2")


class Google(Credentials):
    """A credential of google-auth that needs no network."""

    def refresh(self, request: object) -> None:
        del request
        self.token = "ya29.made-up"
        self.expiry = (datetime.now(timezone.utc) + timedelta(hours=1)).replace(tzinfo=None)


def google() -> Google:
    return Google()  # type: ignore[no-untyped-call]


def test_a_memorystore_token() -> None:
    assert MemorystoreIam(credentials=google()).get_credentials() == ("default", "ya29.made-up")


def test_no_credentials_at_all() -> None:
    session = Session()
    session.get_component("credential_provider").providers.clear()
    provider = ElastiCacheIam("app", "cache", "eu-central-1", session=session)
    with pytest.raises(errors.CredentialsError, match="no credentials"):
        provider.get_credentials()


def test_each_connect_logs_in_with_the_provider(own_server: Server) -> None:
    with closing(own_server.client()) as admin:
        admin.acl_setuser("default", passwords=["+ya29.made-up"], reset_passwords=False)
        admin.acl_setuser("default", nopass=False, reset_passwords=True, passwords=["+ya29.made-up"], enabled=True)
    url = f"redis://{HOST}:{own_server.port}"
    with closing(valkeykit.connect(url, credentials=MemorystoreIam(credentials=google()))) as client:
        assert client.ping()
