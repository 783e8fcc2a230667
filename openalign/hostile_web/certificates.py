"""Certificates to serve TLS with: one that a client can trust, and those that it must refuse."""

import ssl
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_AUTHORITY = "The authority of the hostile web"
_VALID = timedelta(days=365)
_OTHER_HOST = "another-host.example"


class Certificate(StrEnum):
    """What a host shows for itself."""

    GOOD = "good"
    SELF_SIGNED = "self_signed"
    EXPIRED = "expired"
    OTHER_HOST = "other_host"


class Certificates:
    """An authority that nobody else knows, and what it signs; made anew for each server."""

    def __init__(self, hosts: Sequence[str]) -> None:
        """Make certificates that are for `hosts`, except one."""
        now = datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root = _signed(_AUTHORITY, [], self._key, issuer=None, signer=self._key, start=now)
        self.pem = self._root.public_bytes(Encoding.PEM)
        """The authority's own, to be trusted."""

        self._contexts = {
            Certificate.GOOD: self._context(hosts, start=now),
            Certificate.SELF_SIGNED: _own_context(hosts, start=now),
            Certificate.EXPIRED: self._context(hosts, start=now - 3 * _VALID),
            Certificate.OTHER_HOST: self._context([_OTHER_HOST], start=now),
        }

    def server_context(self, certificate_of: Callable[[str], Certificate]) -> ssl.SSLContext:
        """Return a context that shows each host's certificate to who asks for the host."""

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            connection.context = self._contexts[certificate_of(name or "")]

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = choose
        return context

    def _context(self, hosts: Sequence[str], *, start: datetime) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._root.subject
        signed = _signed(hosts[0], hosts, key, issuer=issuer, signer=self._key, start=start)
        return _context_of(signed, key)


def _own_context(hosts: Sequence[str], *, start: datetime) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    return _context_of(_signed(hosts[0], hosts, key, issuer=None, signer=key, start=start), key)


def _signed(
    name: str,
    hosts: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: x509.Name | None,
    signer: ec.EllipticCurvePrivateKey,
    start: datetime,
) -> x509.Certificate:
    """Return a certificate for hosts, or for an authority if there are none.

    It is valid for a year from a day before `start`. Without an issuer it names itself.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + _VALID)
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, SHA256())


def _context_of(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.TemporaryDirectory() as folder:  # a context reads its key from a file only
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    return context
