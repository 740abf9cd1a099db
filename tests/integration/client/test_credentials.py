"""Cloud logins, signed offline with made-up keys: what a cloud would check is checked here."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs

import pytest
import valkeykit
from botocore.session import Session
from google.auth.credentials import Credentials
from redis.credentials import CredentialProvider
from valkeykit import AsyncQueue, Cache, Queue, errors
from valkeykit.credentials import ElastiCacheIam, MemorystoreIam

from harness.ports import HOST
from harness.servers import ServerProcess


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


def test_a_token_is_renewed_before_the_credentials_that_signed_it_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore keeps temporary credentials until ten minutes before their end, and the token ends with them."""
    provider, now = aws(), 1_000_000.0
    signed: list[float] = []
    really_sign = provider._sign

    def sign() -> tuple[str, float]:
        signed.append(now)
        return really_sign()

    monkeypatch.setattr(provider, "_clock", lambda: now)
    monkeypatch.setattr(provider, "_sign", sign)
    for elapsed in (0, 479, 2):
        now += elapsed
        provider.get_credentials()
    assert signed == [1_000_000.0, 1_000_481.0]


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
    with pytest.raises(errors.CredentialsError, match="credentials are missing"):
        provider.get_credentials()


def test_each_connect_logs_in_with_the_provider(own_server: ServerProcess) -> None:
    with closing(own_server.client()) as admin:
        admin.acl_setuser("default", passwords=["+ya29.made-up"], reset_passwords=False)
        admin.acl_setuser("default", nopass=False, reset_passwords=True, passwords=["+ya29.made-up"], enabled=True)
    url = f"redis://{HOST}:{own_server.port}"
    with closing(valkeykit.connect(url, credentials=MemorystoreIam(credentials=google()))) as client:
        assert client.ping()


class Failing(CredentialProvider):
    """Raises a given number of times, then logs in."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0

    def get_credentials(self) -> tuple[str, str]:
        self.calls += 1
        if self.failures:
            raise self.failures.pop()
        return "app", "pw"


class FailingAsync(Failing):
    async def get_credentials_async(self) -> tuple[str, str]:
        return self.get_credentials()


class Odd(BaseException):
    """As some libraries have them."""


@pytest.fixture
def url(own_server: ServerProcess) -> str:
    with closing(own_server.client()) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all")
        admin.execute_command("ACL", "SETUSER", "default", "off")
    return own_server.url


FAILURES = [ValueError("token s3cret"), ConnectionResetError("s3cret"), Odd("s3cret"), errors.LoginError("no role")]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", [Failing, FailingAsync])
def test_a_provider_that_fails_is_tried_again_by_a_queue(url: str, kind: type[Failing], failure: BaseException) -> None:
    provider = kind(failure, failure)
    with Queue("mail", url, credentials=provider, retry_for=30) as queue:
        assert queue.add("job").new
    provider.failures = [failure, failure]

    async def main() -> None:
        async with AsyncQueue("mail", url, credentials=provider, retry_for=30) as queue:
            assert (await queue.add("job")).new

    asyncio.run(main())


@pytest.mark.parametrize("failure", FAILURES)
def test_a_provider_that_fails_is_explained(url: str, failure: BaseException) -> None:
    provider = Failing(*[failure] * 10)
    with closing(valkeykit.connect(url, credentials=provider, topology="single")) as client:
        with pytest.raises(errors.CredentialsError) as caught, valkeykit.translate_errors():
            client.ping()
        assert "s3cret" not in str(caught.value)
        assert ("no role" if isinstance(failure, errors.LoginError) else type(failure).__name__) in str(caught.value)
        assert caught.value.fix or isinstance(failure, errors.LoginError)
        provider.failures.clear()
        assert client.ping()
    provider.failures = [failure] * 10
    with Cache(url, credentials=provider, connect_timeout=30, read_timeout=30) as cache:
        assert cache.get("a", "default") == "default"
        provider.failures.clear()
        assert cache.set("a", 1)


@pytest.mark.parametrize("answer", [None, (), "app:pw", ("app", "pw", "x"), (5, "pw"), {"user": "app"}])
def test_a_provider_that_returns_no_login(url: str, answer: Any) -> None:
    provider = Failing()
    provider.get_credentials = lambda: answer  # type: ignore[method-assign]
    with (
        closing(valkeykit.connect(url, credentials=provider, topology="single")) as client,
        pytest.raises(errors.CredentialsError, match="no user and password"),
        valkeykit.translate_errors(),
    ):
        client.ping()


def test_a_refused_login_is_still_tried_once(own_server: ServerProcess, url: str) -> None:
    provider = Failing()
    provider.get_credentials = lambda: ("app", "wrong")  # type: ignore[method-assign]
    with Queue("mail", url, credentials=provider, retry_for=30) as queue, pytest.raises(errors.LoginError):
        queue.add("job")
    with closing(valkeykit.connect(f"redis://app:pw@{HOST}:{own_server.port}")) as admin:
        assert admin.info("stats")["acl_access_denied_auth"] == 1


def test_an_interrupt_in_a_provider_comes_through(url: str) -> None:
    with (
        closing(valkeykit.connect(url, credentials=Failing(KeyboardInterrupt()), topology="single")) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.ping()
