"""Errors of valkeykit.

ValkeykitError
├── ConfigurationError           a URL, a variable, a setting or an argument can't be used as given
│   └── UnsupportedServerError   the server is too old, isn't Valkey, or its configuration would lose jobs
├── UnreachableError             no server responded, or it rejected the login
│   ├── LoginError               the server rejected user or password; never retried
│   ├── CredentialsError         the credentials provider failed, so no login was sent
│   ├── TlsError                 the certificate, its name or its authority is invalid
│   ├── OperationTimeoutError    no answer in time; whether the command ran is unknown
│   └── BreakerOpenError         the circuit breaker is open, so nothing was sent
├── RefusedError                 the server rejected the command
│   ├── NotPermittedError        the user may not run this command
│   ├── OutOfMemoryError         the server is full
│   ├── ReadOnlyError            a write was sent to a replica
│   └── TopologyError            a client for one node is connected to a cluster, or vice versa
└── JobError
    ├── InvalidJobError          a job that can't be accepted: its name, its arguments or its options
    ├── JobFailedError           the job whose result was requested has failed for good
    ├── JobTimeoutError          a job exceeded its timeout
    └── CancelledJobError        a job was cancelled while it ran
"""

from __future__ import annotations


def shown(value: object) -> str:
    """Format a wrong value for an error's text.

    Args:
        value: Any value.

    Returns:
        Its repr, cut to 80 characters; its type if it has none.
    """
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001  (a repr may raise anything; that of a huge int does)
        return f"a {type(value).__name__}"


class ValkeykitError(Exception):
    """Base class of all errors.

    Attributes:
        fix: The step that fixes it; may be empty.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        """Create an error, whose text is the message and the fix.

        Args:
            message: What is wrong.
            fix: The step that fixes it; may be empty.
        """
        super().__init__(message)
        self.fix = fix

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} -> {self.fix}" if self.fix else message


class ConfigurationError(ValkeykitError):
    """A URL, an environment variable, a setting or an argument can't be used as given."""


class UnsupportedServerError(ConfigurationError):
    """The server is older than 7.2, isn't Valkey, or evicts jobs."""


class UnreachableError(ValkeykitError):
    """No server responded, or it isn't Valkey, or it rejected the login."""


class LoginError(UnreachableError):
    """The server rejected the user or the password. Never retried."""


class CredentialsError(UnreachableError):
    """The credentials provider failed, so no login was sent. A queue's calls try again."""


class TlsError(UnreachableError):
    """The server's certificate, its name or its authority is invalid."""


class OperationTimeoutError(UnreachableError):
    """No answer came in time. Whether the command ran is unknown."""


class BreakerOpenError(UnreachableError):
    """The circuit breaker is open after recent failures, so nothing was sent."""


class RefusedError(ValkeykitError):
    """The server rejected the command."""


class NotPermittedError(RefusedError):
    """The user may not run this command or use this key."""


class OutOfMemoryError(RefusedError):
    """The server has no memory left for a write."""


class ReadOnlyError(RefusedError):
    """A write was sent to a replica."""


class TopologyError(RefusedError):
    """A client for one node is connected to a cluster, or vice versa."""


class JobError(ValkeykitError):
    """Base class of errors of jobs."""


class InvalidJobError(JobError):
    """A job that can't be accepted: its name, its arguments or its options."""


class JobFailedError(JobError):
    """The job whose result was requested has failed for good."""


class JobTimeoutError(JobError):
    """The job exceeded its timeout."""


class CancelledJobError(JobError):
    """The job was cancelled while it ran."""
