"""Certificates with which computers prove who they are: for clients only, of the appliance's own authority."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.trust.authority import SKEW, Issued, key_pem, new_key

MEMBER_DAYS = 365
RENEW_DAYS = MEMBER_DAYS * 2 // 3  # after so many the computer asks for the next one
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Issuance:
    """A certificate and its key, PEM, and what is kept of it."""

    certificate: str
    private_key: str  # handed over once and kept nowhere
    fingerprint: str  # SHA-256, DER
    serial: str
    expires_at: int


def issue_member(authority: Issued, device_id: str, now: int) -> Issuance:
    """A certificate for a computer. No server can show it: it is for clients, and names neither host nor address."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.private_key.encode(), None)
    assert isinstance(issuer_key, rsa.RSAPrivateKey)
    key, start = new_key(), datetime.fromtimestamp(now, UTC)
    end = min(start + timedelta(days=MEMBER_DAYS), issuer.not_valid_after_utc)
    name = f"computer {device_id}"[:_LONGEST_NAME]  # the blank: OpenSSL holds what could be a host name to the domains
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - SKEW)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:ocs:computer:{quote(device_id)}")]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return Issuance(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key_pem(key),
        certificate.fingerprint(hashes.SHA256()).hex(),
        f"{certificate.serial_number:x}",
        int(certificate.not_valid_after_utc.timestamp()),
    )


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=False,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
