"""TLS: encryption and the server's certificate."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from valkeykit.url import Node

from tests.smoke.sockets import ANSWERS_WITHIN, answers_plain_text
from tests.smoke.subject import Subject

pytestmark = pytest.mark.needs("tls")

DAYS_LEFT = 7
"""A certificate that ends sooner should have been renewed."""


def test_plain_text(subject: Subject) -> None:
    """Plain text is refused."""
    answering = [str(node) for node in _servers(subject) if answers_plain_text(node)]
    assert not answering, f"{', '.join(answering)}: a command in plain text was answered"


def test_certificate(subject: Subject) -> None:
    """The certificate is signed by the authority and, where that is checked, bears the host's name."""
    for node in _servers(subject):
        with _connection(node, _context(subject)) as connection:
            assert connection.getpeercert()


def test_protocol(subject: Subject) -> None:
    """Nothing older than TLS 1.2 is spoken."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the server that refuses, and not this machine's own policy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    for node in _servers(subject):
        with contextlib.suppress(OSError), _connection(node, old) as connection:
            pytest.fail(f"{node} speaks {connection.version()}")


def test_days_left(subject: Subject, record_property: Callable[[str, object], None]) -> None:
    """The certificate is valid for a week more."""
    ends = {node: _end(node, subject) for node in _servers(subject)}
    node = min(ends, key=lambda node: ends[node])
    days = (ends[node] - time.time()) / 86400
    record_property("left", f"{days:.0f} days")
    assert days >= DAYS_LEFT, f"{node}: {days:.1f} days left"


def _servers(subject: Subject) -> tuple[Node, ...]:
    return (*subject.nodes, *subject.sentinels)


def _context(subject: Subject) -> ssl.SSLContext:
    ca = subject.ca or ""
    is_text = "-----BEGIN" in ca
    context = ssl.create_default_context(cadata=(ca if is_text else Path(ca).read_text()) if ca else None)
    context.check_hostname = subject.check_hostname
    return context


@contextlib.contextmanager
def _connection(node: Node, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((node.host, node.port), ANSWERS_WITHIN) as plain,
        context.wrap_socket(plain, server_hostname=node.host) as connection,
    ):
        yield connection


def _end(node: Node, subject: Subject) -> float:
    with _connection(node, _context(subject)) as connection:
        certificate = connection.getpeercert()
    assert certificate is not None
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))
