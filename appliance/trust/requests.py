"""Certificate requests for an own PKI: a key of ours and the names that its certificate is to have."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from appliance.domain.refusal import invalid
from appliance.trust.authority import general_name, key_pem, new_key

LONGEST_PART = 64
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")


@dataclass(frozen=True)
class Subject:
    """Who asks, as the own PKI wants it; all may be empty. `country`: two letters."""

    organisation: str = ""
    unit: str = ""
    place: str = ""
    region: str = ""
    country: str = ""


@dataclass(frozen=True)
class Request:
    """A request to be sent to an authority, and the key that stays. PEM text."""

    request: str
    private_key: str


def make_request(names: Sequence[str], subject: Subject, private_key: str | None = None) -> Request:
    """A request for these names, with a new key or the one that is given. Raises Refusal."""
    if not names:
        raise invalid("name", "a certificate takes at least one name.")
    for name in names:
        if not is_name(name):
            raise invalid("name", "{name!r} is neither a DNS name nor an address.", name=name[:80])
    if private_key is None:
        key = new_key()
    else:
        loaded = serialization.load_pem_private_key(private_key.encode(), None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        key = loaded
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name(names[0], subject))
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Request(request.public_bytes(serialization.Encoding.PEM).decode(), key_pem(key))


def names_of(request: str) -> list[str]:
    """The names that a request asks for."""
    asked = x509.load_pem_x509_csr(request.encode())
    found = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(general.value) for general in found]


def is_name(text: str) -> bool:
    """Whether text is a DNS name, also with `*.` in front, or an address."""
    try:
        ipaddress.ip_address(text)
        return "%" not in text  # a zone is one machine's own
    except ValueError:
        labels = text.removeprefix("*.").split(".")
        return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _name(common: str, subject: Subject) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "country", subject.country),
        (NameOID.STATE_OR_PROVINCE_NAME, "region", subject.region),
        (NameOID.LOCALITY_NAME, "place", subject.place),
        (NameOID.ORGANIZATION_NAME, "organisation", subject.organisation),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "unit", subject.unit),
        (NameOID.COMMON_NAME, "name", common[:LONGEST_PART]),
    )
    attributes = []
    for oid, field, text in parts:
        if not text.strip():
            continue
        try:
            if len(text.strip()) > LONGEST_PART:
                raise ValueError
            attributes.append(x509.NameAttribute(oid, text.strip()))
        except ValueError:
            raise invalid(
                field, "{text!r} is too long here, or is no country of two letters.", text=text[:80]
            ) from None
    return x509.Name(attributes)
