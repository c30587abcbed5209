"""An own PKI of a site, and every mistake that its people can make."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA, EC, ED25519, WEAK = "RSA", "EC", "Ed25519", "RSA 1024"
DAY = 86_400


@lru_cache
def key_of(kind: str, number: int = 0) -> Any:
    """The key of that kind and number; the same again in the same run."""
    if kind == EC:
        return ec.generate_private_key(ec.SECP256R1())
    if kind == ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if kind == WEAK else 2048)


@dataclass(frozen=True)
class Served:
    """A server's certificate, those above it in order, its key, and the root. PEM."""

    certificate: str
    chain: str
    root: str
    private_key: str


class Pki:
    """A root, an intermediate authority, and what they issue."""

    def __init__(self, now: int, *, days: int = 3650) -> None:
        self.now = now
        self.root_key, self.middle_key = key_of(RSA, 1), key_of(RSA, 2)
        self.root = self.sign("Site root", self.root_key.public_key(), "Site root", self.root_key, ca=True, days=days)
        self.middle = self.sign(
            "Site issuing", self.middle_key.public_key(), "Site root", self.root_key, ca=True, days=days
        )

    def server(self, names: Sequence[str], *, key: str = RSA, **rest: Any) -> Served:
        """A server's certificate by the intermediate authority."""
        own = key_of(key, 3)
        made = self.sign(names[0], own.public_key(), "Site issuing", self.middle_key, names=names, **rest)
        return Served(pem(made), pem(self.middle), pem(self.root), key_pem(own))

    def answer(self, request: str, **rest: Any) -> Served:
        """What comes back for a request: its key stays where it is."""
        asked = x509.load_pem_x509_csr(request.encode())
        assert asked.is_signature_valid
        found = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name.value) for name in found]
        made = self.sign(names[0], asked.public_key(), "Site issuing", self.middle_key, names=names, **rest)
        return Served(pem(made), pem(self.middle), pem(self.root), "")

    def sign(
        self,
        subject: str,
        public_key: Any,
        issuer: str,
        key: Any,
        *,
        ca: bool = False,
        names: Sequence[str] = (),
        begins: int = -DAY,
        days: int = 90,
        purpose: Any = ExtendedKeyUsageOID.SERVER_AUTH,
        algorithm: Any = None,
    ) -> x509.Certificate:
        """One certificate."""
        start = datetime.fromtimestamp(self.now + begins, UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            alternative = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        if not ca and purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(key, algorithm or hashes.SHA256())


def pem(certificate: x509.Certificate) -> str:
    """As text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Any, passphrase: bytes = b"") -> str:
    """As text, locked where there is a passphrase."""
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
