"""TLS certificates of a connection: the CA of the server, and the client's certificate and key.

Files are read again when they have changed, so certificates can be rotated while the process runs.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeykit.errors import ConfigurationError

Given = str | Path

_CERTIFICATE, _KEY = "-----BEGIN CERTIFICATE", "PRIVATE KEY-----"


class Pem:
    """PEM text, or the path of a PEM file. `repr` never shows the content."""

    def __init__(self, option: str, given: Given, marker: str = _CERTIFICATE) -> None:
        """Raises ConfigurationError if it can't be read or isn't PEM; the error names the option."""
        if not isinstance(given, str | Path):
            raise ConfigurationError(
                f"{option} is a {type(given).__name__}, not PEM text or a path", fix=f"{option}='/path/of/the.pem'"
            )
        is_text = isinstance(given, str) and "-----BEGIN" in given
        self.path = None if is_text else Path(given)
        self._option = option
        self._marker = marker
        self._text = str(given) if is_text else ""
        self.text()

    def __repr__(self) -> str:
        return f"<Pem {self._option}: {self.path or 'text'}>"

    def text(self) -> str:
        """The current PEM text."""
        text = self._text if self.path is None else self._read(self.path)
        shown = "the text" if self.path is None else repr(str(self.path))
        if self._marker not in text:
            kind = "certificate" if self._marker == _CERTIFICATE else "private key"
            raise ConfigurationError(
                f"{self._option}: {shown} holds no PEM {kind}", fix="pass the PEM file's path, or its text"
            )
        if "ENCRYPTED" in text:
            raise ConfigurationError(
                f"{self._option}: {shown} is encrypted", fix="store the key without a passphrase: openssl pkey"
            )
        return text

    def stamp(self) -> tuple[int, ...]:
        """Changes when the file does."""
        if self.path is None:
            return ()
        try:
            state = self.path.stat()
        except OSError:
            return (-1,)
        return state.st_mtime_ns, state.st_size, state.st_ino

    @contextmanager
    def file(self) -> Iterator[str]:
        """The path of the PEM file; for PEM text that of a private temporary file."""
        if self.path is not None:
            yield str(self.path)
            return
        descriptor, path = tempfile.mkstemp(suffix=".pem")  # only this user can read it
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(self._text)
            yield path
        finally:
            Path(path).unlink()

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="ascii")
        except (OSError, ValueError) as problem:
            reason = (problem.strerror or "no such file") if isinstance(problem, OSError) else "not a PEM file"
            raise ConfigurationError(
                f"{self._option}: can't read {str(path)!r}: {reason}", fix="pass the PEM file's path"
            ) from None


class Trust:
    """Creates the SSL contexts of connections.

    Args:
        ca: None for the system's authorities.
        certificate: The client certificate for mutual TLS. Its PEM may contain the key.
        key: The private key of the client certificate.
        check_hostname: Whether the certificate's name is compared with the host.
    """

    def __init__(
        self,
        ca: Given | None = None,
        certificate: Given | None = None,
        key: Given | None = None,
        *,
        check_hostname: bool = True,
    ) -> None:
        """Raises ConfigurationError if a file can't be used; the error names it."""
        self.ca = None if ca is None else Pem("ca", ca)
        self.certificate = None if certificate is None else Pem("certificate", certificate)
        self.check_hostname = check_hostname
        self._key = None if key is None else Pem("key", key, _KEY)
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[tuple[int, ...], ...] = ()
        self._check_identity()

    def context(self) -> ssl.SSLContext:
        """The context for a new connection. While files are being replaced, it is the previous one.

        Raises:
            ConfigurationError: A file can't be used, and there is no previous context.
        """
        stamp = tuple(pem.stamp() for pem in (self.ca, self.certificate, self._key) if pem is not None)
        with self._lock:
            if self._context is None or stamp != self._stamp:
                try:
                    self._context, self._stamp = self._built(), stamp
                except ConfigurationError:
                    if self._context is None:
                        raise
            return self._context

    def _built(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = self.check_hostname
        if self.ca is not None:
            try:
                context.load_verify_locations(cadata=self.ca.text())
            except (ssl.SSLError, ValueError):
                raise ConfigurationError(
                    "ca: the PEM certificate is damaged", fix="openssl x509 -noout -subject -in FILE"
                ) from None
        self._load_identity(context)
        return context

    def _check_identity(self) -> None:
        if self.certificate is None and self._key is not None:
            raise ConfigurationError("key is given without certificate", fix="pass both: certificate=…, key=…")
        if self.certificate is not None and self._key is None and _KEY not in self.certificate.text():
            raise ConfigurationError("certificate is given without key", fix="pass both: certificate=…, key=…")
        if self.certificate is not None:  # without one, OpenSSL stays unused: a fork may leave its locks taken
            self._load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _load_identity(self, context: ssl.SSLContext) -> None:
        if self.certificate is None:
            return
        key = self._key or self.certificate
        self.certificate.text()
        key.text()
        try:
            with self.certificate.file() as certificate_file, key.file() as key_file:
                context.load_cert_chain(certificate_file, key_file, password="")  # never asks at the terminal
        except (ssl.SSLError, OSError) as problem:
            mismatch = "MISMATCH" in str(problem)
            raise ConfigurationError(
                "certificate and key don't belong together" if mismatch else "certificate or key: the PEM is damaged",
                fix="pass the key that the certificate was made for",
            ) from None
