"""Every error that this project raises on purpose.

ValkeykitError
├── ConfigurationError           a URL, a variable, a setting or an argument can't be used as given
│   └── UnsupportedServerError   the server is too old, no Valkey, or set up so that it would lose jobs
├── UnreachableError             nothing that speaks the protocol answered, or it refused the login
│   ├── LoginError               user or password refused; never retried
│   ├── CredentialsError         the credentials provider failed, so no login was sent
│   ├── TlsError                 the certificate, its name or its authority doesn't fit
│   ├── TimedOutError            no answer in time; whether the command ran is unknown
│   └── BreakerOpenError         the server failed a moment ago, so it wasn't asked
├── RefusedError                 the server answered, and said no
│   ├── PermissionError          the user may not run this command
│   ├── OutOfMemoryError         the server is full
│   ├── ReadOnlyError            a replica was asked to write
│   └── TopologyError            a cluster, reached by a client for one node, or the other way round
└── JobError
    ├── InvalidJobError          a job that can't be accepted: its name, its arguments or its options
    ├── JobFailedError           the job whose result was asked for has failed for good
    ├── JobTimeoutError          a job ran longer than it may
    └── CancelledJobError        a job was cancelled while it ran
"""

from __future__ import annotations


class ValkeykitError(Exception):
    """What is wrong and why, in one sentence; `fix` is the step that mends it."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} -> {self.fix}" if self.fix else message


class ConfigurationError(ValkeykitError):
    """A URL, an environment variable, a setting or an argument can't be used as given."""


class UnsupportedServerError(ConfigurationError):
    """The server is older than 7.2, no Valkey, or evicts what a queue must keep."""


class UnreachableError(ValkeykitError):
    """No server answered, or what answered is no Valkey or refused the login."""


class LoginError(UnreachableError):
    """The server refused the user or the password. Never retried."""


class CredentialsError(UnreachableError):
    """The credentials provider failed, so no login was sent. A queue's calls try again."""


class TlsError(UnreachableError):
    """The server's certificate, its name or its authority doesn't fit."""


class TimedOutError(UnreachableError):
    """No answer came in time. Whether the command ran is unknown."""


class BreakerOpenError(UnreachableError):
    """The server failed a moment ago, so it wasn't asked again."""


class RefusedError(ValkeykitError):
    """The server answered, and refused the command."""


class PermissionError(RefusedError):  # noqa: A001  (the field's word; always used with its module)
    """The user may not run this command or touch this key."""


class OutOfMemoryError(RefusedError):
    """The server has no memory left for a write."""


class ReadOnlyError(RefusedError):
    """A replica was asked to write."""


class TopologyError(RefusedError):
    """The client doesn't fit the server: one node or a cluster."""


class JobError(ValkeykitError):
    """Something is wrong with a job."""


class InvalidJobError(JobError):
    """A job that can't be accepted: its name, its arguments or its options."""


class JobFailedError(JobError):
    """The job whose result was asked for has failed for good."""


class JobTimeoutError(JobError):
    """The job ran longer than it may."""


class CancelledJobError(JobError):
    """The job was cancelled while it ran."""
