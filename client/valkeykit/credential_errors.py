"""Translation of exceptions of a credentials provider into connection errors."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.credentials import CredentialProvider, StreamingCredentialProvider
from redis.exceptions import ConnectionError  # noqa: A004

from valkeykit.errors import CredentialsError, ValkeykitError


class ProviderError(ConnectionError):
    """The provider failed.

    Attributes:
        ours: The error that says why.
    """

    def __init__(self, ours: CredentialsError) -> None:
        super().__init__(str(ours))
        self.ours = ours


def guard(provider: CredentialProvider) -> CredentialProvider:
    """Wrap a provider so that its exceptions become ProviderErrors."""
    if isinstance(provider, StreamingCredentialProvider):
        return _GuardedStream(provider)
    return _Guarded(provider)


class _Guarded(CredentialProvider):
    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider
        method = getattr(type(provider), "get_credentials_async", None)
        self._is_async = method not in (None, CredentialProvider.get_credentials_async)

    def __repr__(self) -> str:
        return f"<{type(self._provider).__name__}>"

    def get_credentials(self) -> Any:
        try:
            return _checked(self._provider.get_credentials())
        except (ProviderError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # what a provider raises ends no worker
            raise _failed(problem) from problem

    async def get_credentials_async(self) -> Any:
        try:
            if self._is_async:
                return _checked(await self._provider.get_credentials_async())
            return _checked(await asyncio.to_thread(self._provider.get_credentials))
        except (ProviderError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
            raise
        except BaseException as problem:
            raise _failed(problem) from problem


class _GuardedStream(_Guarded, StreamingCredentialProvider):
    """A provider that also renews the login of open connections."""

    _provider: StreamingCredentialProvider

    def on_next(self, callback: Any) -> None:
        self._provider.on_next(callback)

    def on_error(self, callback: Any) -> None:
        self._provider.on_error(callback)

    def is_streaming(self) -> bool:
        return self._provider.is_streaming()


def _checked(credentials: Any) -> Any:
    texts = credentials if isinstance(credentials, tuple | list) else ()
    if len(texts) not in (1, 2) or not all(isinstance(text, str | bytes) for text in texts):
        raise ProviderError(
            CredentialsError("the credentials provider returned no user and password", fix="return (user, password)")
        )
    return credentials


def _failed(problem: BaseException) -> ProviderError:
    """The error of a provider. Its text isn't repeated, since it may quote a token."""
    if isinstance(problem, ValkeykitError):
        return ProviderError(CredentialsError(str(problem.args[0]), fix=problem.fix))
    return ProviderError(
        CredentialsError(
            f"the credentials provider failed with {type(problem).__name__}",
            fix="check the provider and its token service; the exception's cause has the details",
        )
    )
