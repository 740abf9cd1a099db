"""IAM logins of clouds, passed as `connect(…, credentials=…)`. Nothing is stored on disk.

A token is used for several connects and renewed before it expires.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from redis.credentials import CredentialProvider

from valkeykit.errors import ConfigurationError, CredentialsError
from valkeykit.installation import install_extra

ELASTICACHE_TOKEN_SECONDS = 900
"""Validity of a signed token (the limit of ElastiCache is 15 minutes)."""

_CREDENTIAL_SECONDS = 600
"""Validity of the credentials that sign, at least."""

RENEW_BEFORE_SECONDS = 120
"""Time before its expiry at which a token is renewed."""


class _Renewed(CredentialProvider):
    """Keeps a login until shortly before it expires."""

    def __init__(self, username: str, clock: Callable[[], float] = time.time) -> None:
        self._username = username
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._username}>"

    def get_credentials(self) -> tuple[str, str]:
        """User and token.

        Raises:
            CredentialsError: The cloud returned no token.
        """
        with self._lock:
            if self._clock() >= self._renew_at:
                self._token, ends = self._sign()
                self._renew_at = ends - RENEW_BEFORE_SECONDS
            return self._username, self._token

    async def get_credentials_async(self) -> tuple[str, str]:
        """As get_credentials; the cloud is queried in a thread."""
        return await asyncio.to_thread(self.get_credentials)

    def _sign(self) -> tuple[str, float]:
        """A new token, and its expiry time in seconds since the epoch."""
        raise NotImplementedError


class ElastiCacheIam(_Renewed):
    """IAM authentication of AWS ElastiCache (extra `aws`): the password is a request signed with SigV4.

    The service closes a connection 12 hours after such a login; the pool then opens another one.
    """

    def __init__(self, username: str, name: str, region: str, *, serverless: bool = False, session: Any = None) -> None:
        """Create a provider; nothing is signed yet.

        Args:
            username: The ElastiCache user, which has IAM authentication.
            name: The replication group or the serverless cache.
            region: Its region, such as eu-central-1.
            serverless: Whether `name` is a serverless cache.
            session: A botocore session; None for one with the machine's own credentials.

        Raises:
            ConfigurationError: botocore is not installed.

        Example:
            >>> credentials = ElastiCacheIam("app", "web", "eu-central-1")
            >>> valkey = valkeykit.connect("rediss://host:6379", credentials=credentials)
        """
        super().__init__(username)
        self._name = name.lower()  # the signature is checked against the lower-case name
        self._region = region
        self._serverless = serverless
        self._session = session or _botocore_session()

    def _sign(self) -> tuple[str, float]:
        from botocore.model import ServiceId
        from botocore.signers import RequestSigner

        credentials = self._session.get_credentials()
        if credentials is None:
            raise CredentialsError("AWS credentials are missing", fix="give this machine a role, or set AWS_PROFILE")
        signer = RequestSigner(
            ServiceId("elasticache"),
            self._region,
            "elasticache",
            "v4",
            credentials,
            self._session.get_component("event_emitter"),
        )
        query = f"Action=connect&User={quote(self._username, safe='')}"
        if self._serverless:
            query += "&ResourceType=ServerlessCache"
        signed: str = signer.generate_presigned_url(
            {"method": "GET", "url": f"https://{self._name}/?{query}", "body": {}, "headers": {}, "context": {}},
            operation_name="connect",
            expires_in=ELASTICACHE_TOKEN_SECONDS,
            region_name=self._region,
        )
        # A token ends with the credentials that signed it; botocore renews these ten minutes before their end.
        return signed.removeprefix("https://"), self._clock() + _CREDENTIAL_SECONDS


class MemorystoreIam(_Renewed):
    """IAM authentication of Google Memorystore for Valkey (extra `gcp`)."""

    def __init__(self, username: str = "default", *, credentials: Any = None) -> None:
        """Create a provider; no token is requested yet.

        Args:
            username: `default`, or the account's e-mail address if the instance has an ACL policy.
            credentials: Credentials of google-auth; None for the machine's own.

        Raises:
            ConfigurationError: google-auth is not installed.

        Example:
            >>> valkey = valkeykit.connect("rediss://host:6379", credentials=MemorystoreIam())
        """
        super().__init__(username)
        self._google = credentials or _google_credentials()

    def _sign(self) -> tuple[str, float]:
        from google.auth.exceptions import GoogleAuthError

        try:
            self._google.refresh(_google_request())
        except GoogleAuthError as problem:
            raise CredentialsError(
                f"Google returned no token: {type(problem).__name__}", fix="gcloud auth application-default login"
            ) from None
        ends = self._google.expiry  # naive, in UTC
        seconds = ends.replace(tzinfo=_utc()).timestamp() if ends else self._clock() + RENEW_BEFORE_SECONDS
        return str(self._google.token), seconds


def _utc() -> Any:
    from datetime import timezone

    return timezone.utc


def _botocore_session() -> Any:
    try:
        from botocore.session import Session
    except ImportError:
        raise ConfigurationError("ElastiCacheIam needs botocore", fix=install_extra("aws")) from None
    return Session()


def _google_credentials() -> Any:
    try:
        import google.auth
    except ImportError:
        raise ConfigurationError("MemorystoreIam needs google-auth", fix=install_extra("gcp")) from None
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return credentials


def _google_request() -> Any:
    from google.auth.transport.requests import Request

    return Request()
