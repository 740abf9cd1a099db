"""Certificates: the stack's own CA, and the certificates that it signs.

Keys are P-256, in PEM. Nothing is written to a disk, except by `validation_error`.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.errors import ProvisioningError

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=397)
"""The maximum that Apple's systems accept (support.apple.com/102028)."""

RENEW_AUTHORITY_BEFORE = timedelta(days=800)
"""How long before its end the CA is renewed: longer than the lifetime of a certificate that it signs."""

RENEW_BEFORE = LEAF_LIFETIME / 3
"""How long before its end a certificate is renewed: an `up` every four months is enough."""

_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class CertificatePair:
    """A certificate, followed by its chain, and its key. All PEM."""

    certificate: str
    key: str = field(repr=False)


def create_authority(name: str) -> CertificatePair:
    """A new CA, which signs leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    built = (
        _builder(subject, subject, key.public_key(), AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pair(built.sign(key, hashes.SHA256()), key)


def issue_certificate(
    signer: CertificatePair, names: Iterable[str], life: timedelta = LEAF_LIFETIME
) -> CertificatePair:
    """A new certificate for host names and addresses, for servers and for connections between nodes."""
    hosts = list(names)
    issuer = x509.load_pem_x509_certificate(signer.certificate.encode())
    signing = serialization.load_pem_private_key(signer.key.encode(), None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise ProvisioningError("the CA's key was not created by this project")
    key = ec.generate_private_key(ec.SECP256R1())
    built = (
        _builder(_name(hosts[0]), issuer.subject, key.public_key(), life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    return _pair(built.sign(signing, hashes.SHA256()), key)


def must_renew(certificate: str, names: Iterable[str], now: datetime | None = None) -> bool:
    """Whether a leaf certificate expires soon, or lacks one of the names."""
    leaf = x509.load_pem_x509_certificate(certificate.encode())
    late = leaf.not_valid_after_utc - (now or datetime.now(timezone.utc)) < RENEW_BEFORE
    return late or not set(names) <= names_of(leaf)


def expires_at(certificate: str) -> datetime:
    """The end of a certificate; of a chain, that of the first."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def names_of(leaf: x509.Certificate) -> set[str]:
    """The host names and addresses of a certificate."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    hosts = names.get_values_for_type(x509.DNSName)
    return {*hosts, *(str(address) for address in names.get_values_for_type(x509.IPAddress))}


def validation_error(given: CertificatePair, ca: str, hosts: Iterable[str]) -> str | None:
    """Why clients would reject an operator's certificate for one of these hosts, or None."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with tempfile.NamedTemporaryFile("w") as chain:  # 0600; the ssl module reads keys from files only
            chain.write(given.certificate.rstrip() + "\n" + given.key)
            chain.flush()
            server.load_cert_chain(chain.name, password="")
        client = ssl.create_default_context(cadata=ca)
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            return "belongs to another key"
        return "is not a PEM certificate, key and CA (the key must not be encrypted)"
    errors = (_handshake_error(server, client, host) for host in hosts)
    return next((error for error in errors if error), None)


def _handshake_error(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str | None:
    """A client's error in a handshake for this host, without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 2:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as problem:
            return f"is rejected by clients that connect to {host}: {problem.verify_message}"
    return None


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> CertificatePair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return CertificatePair(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())
