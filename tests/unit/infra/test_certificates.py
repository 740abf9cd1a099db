"""Certificates as the standard library's TLS sees them."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from infra.drivers import certificates
from infra.drivers.certificates import CertificatePair

NAMES = ["localhost", "127.0.0.1", "node-0"]


@pytest.fixture(scope="module")
def authority() -> CertificatePair:
    return certificates.create_authority("valkey test")


def handshake(folder: Path, leaf: CertificatePair, ca: str, host: str) -> None:
    (folder / "leaf").write_text(leaf.certificate + leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf")
    here, there = socket.socketpair()
    with here, there:
        answering = threading.Thread(target=_answer, args=(server, there))
        answering.start()
        try:
            ssl.create_default_context(cadata=ca).wrap_socket(here, server_hostname=host).close()
        finally:
            here.close()
            answering.join(5)


def _answer(context: ssl.SSLContext, end: socket.socket) -> None:
    try:
        context.wrap_socket(end, server_side=True).close()
    except OSError:
        end.close()


@pytest.mark.parametrize("host", NAMES)
def test_a_client_trusts_every_name(tmp_path: Path, authority: CertificatePair, host: str) -> None:
    handshake(tmp_path, certificates.issue_certificate(authority, NAMES), authority.certificate, host)


def test_a_client_trusts_no_other_name(tmp_path: Path, authority: CertificatePair) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for"):
        handshake(tmp_path, certificates.issue_certificate(authority, NAMES), authority.certificate, "node-1")


def test_a_client_trusts_no_other_authority(tmp_path: Path, authority: CertificatePair) -> None:
    stranger = certificates.create_authority("valkey test")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, certificates.issue_certificate(stranger, NAMES), authority.certificate, "localhost")


def test_a_certificate_is_renewed_well_before_its_end(authority: CertificatePair) -> None:
    leaf = certificates.issue_certificate(authority, NAMES).certificate
    now = datetime.now(timezone.utc)
    assert not certificates.must_renew(leaf, NAMES, now + timedelta(days=200))
    assert certificates.must_renew(leaf, NAMES, now + timedelta(days=270))


def test_a_new_name_needs_a_new_certificate(authority: CertificatePair) -> None:
    leaf = certificates.issue_certificate(authority, NAMES).certificate
    assert certificates.must_renew(leaf, [*NAMES, "cache.example.com"])
    assert not certificates.must_renew(leaf, NAMES[:1])


def test_an_operators_certificate_is_checked(authority: CertificatePair) -> None:
    names = ["cache.example.com", "10.1.2.3"]
    leaf, other = (certificates.issue_certificate(authority, names) for _ in range(2))
    expired = certificates.issue_certificate(authority, names, timedelta(minutes=-1))
    stranger = certificates.create_authority("another").certificate

    def validation_error(
        pair: CertificatePair, host: str = "cache.example.com", ca: str = authority.certificate
    ) -> str:
        return certificates.validation_error(pair, ca, [host]) or ""

    assert validation_error(leaf) == validation_error(leaf, "10.1.2.3") == ""
    assert "not valid for 'localhost'" in validation_error(leaf, "localhost")
    assert "belongs to another key" in validation_error(CertificatePair(leaf.certificate, other.key))
    assert "expired" in validation_error(expired)
    assert "issuer" in validation_error(leaf, ca=stranger)
    assert "is not a PEM" in validation_error(CertificatePair("x", "y"))


def test_a_key_is_not_in_the_repr(authority: CertificatePair) -> None:
    assert "PRIVATE" not in repr(authority)
