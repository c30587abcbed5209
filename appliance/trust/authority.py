"""The appliance's own CA: make it, issue the server's certificate, follow one CA with another.

Source: security.md 4.5, product.md section 6; why it is made as it is: docs/decisions/0011-authority.md.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_BITS = 2048  # what the agents of the manual's time verify; 3072 would take a first start over its second
AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
SKEW = timedelta(days=1)  # computers whose clocks are late must not refuse a new certificate


@dataclass(frozen=True)
class Issued:
    """A certificate chain (leaf first) and its private key, PEM text."""

    certificate: str
    private_key: str


def make_authority(now: int, names: Sequence[str] = ()) -> Issued:
    """A new CA: path length 1, so that a later authority can be cross-signed.

    Where the first of `names` has a domain, it can only issue for the DNS domains of `names`; see `suffixes`.
    """
    key = new_key()
    start = datetime.fromtimestamp(now, UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "OCS appliance"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"OCS appliance authority {start:%Y-%m-%d %H:%M:%S}"),
        ]
    )
    builder = (
        _builder(name, name, key.public_key(), start, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if domains := suffixes(names):
        permitted = x509.NameConstraints([x509.DNSName(domain) for domain in domains], None)
        builder = builder.add_extension(permitted, critical=False)  # critical: OpenSSL 0.9.8 refuses all
    return Issued(_pem(builder.sign(key, hashes.SHA256())), key_pem(key))


def cross_sign(former: Issued, successor: str, now: int) -> str:
    """The certificate of `successor` once more, signed by the authority before it: who knows only that one verifies it.

    It ends with the first of both.
    """
    issuer, subject = _loaded(former.certificate), _loaded(successor)
    issuer_key = serialization.load_pem_private_key(former.private_key.encode(), None)
    assert isinstance(issuer_key, rsa.RSAPrivateKey)
    key = subject.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.subject)
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(datetime.fromtimestamp(now, UTC) - SKEW, issuer.not_valid_before_utc))
        .not_valid_after(min(issuer.not_valid_after_utc, subject.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if constraints := _constraints(subject):
        builder = builder.add_extension(constraints, critical=False)
    return _pem(builder.sign(issuer_key, hashes.SHA256()))


def suffixes(names: Sequence[str]) -> list[str]:
    """The DNS domains that an authority for `names` is bound to; empty where the first name has no domain of its own.

    A machine that is not known by a full name yet will get one later, which a bound authority could not issue for.
    """
    if not names or _is_address(names[0]) or names[0].count(".") < 2:
        return []
    hosts = [*(name for name in names if not _is_address(name)), "localhost"]
    return list(dict.fromkeys(_domain(name.lower().removeprefix("*.")) for name in hosts))


def permitted(authorities: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of `names` that every one of these authorities (PEM) may issue for: one other name spoils a certificate."""
    bounds = [
        [str(one.value) for one in constraints.permitted_subtrees or ()]
        for pem in authorities
        if (constraints := _constraints(_loaded(pem)))
    ]

    def within(name: str, domains: Sequence[str]) -> bool:
        host = name.lower().removeprefix("*.")
        return any(host == domain or host.endswith(f".{domain}") for domain in domains)

    return [name for name in names if _is_address(name) or all(within(name, domains) for domains in bounds)]


def issue_server(authority: Issued, names: Sequence[str], now: int) -> Issued:
    """A server certificate for DNS names and addresses, at least one; the first is its common name."""
    issuer = _loaded(authority.certificate)
    issuer_key = serialization.load_pem_private_key(authority.private_key.encode(), None)
    assert isinstance(issuer_key, rsa.RSAPrivateKey)
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), datetime.fromtimestamp(now, UTC), SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return Issued(_pem(certificate), key_pem(key))


def still_good(server: Issued, names: Sequence[str], now: int) -> bool:
    """Whether the server certificate covers all names and has more than a third of its life left."""
    certificate = _loaded(server.certificate)
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    covered = {str(general.value) for general in alternative}
    left = certificate.not_valid_after_utc.timestamp() - now
    return {str(general_name(name).value) for name in names} <= covered and left > SERVER_DAYS * 86_400 / 3


def own_names() -> list[str]:
    """What this machine is called: host names and addresses, for the certificate and proposed URLs."""
    names = [socket.getfqdn(), socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    try:
        names += [str(info[4][0]).split("%")[0] for info in socket.getaddrinfo(socket.gethostname(), None)]
    except OSError:
        pass  # a host whose own name does not resolve
    return [name for name in dict.fromkeys(names) if name and _nameable(name)]


def _nameable(name: str) -> bool:
    return not name.endswith(".arpa") and name.isascii()


def _is_address(name: str) -> bool:
    return isinstance(general_name(name), x509.IPAddress)


def _domain(name: str) -> str:
    """`example.org` of `ocs.example.org`; names of one or two parts are their own."""
    return name.partition(".")[2] if name.count(".") >= 2 else name


def _constraints(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _loaded(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, start: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - SKEW)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def general_name(name: str) -> x509.GeneralName:
    """A name as certificates have it: an address, or a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def new_key() -> rsa.RSAPrivateKey:
    """A key of the kind that all agents verify."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def key_pem(key: rsa.RSAPrivateKey) -> str:
    """A key as it is kept, in the database only."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
