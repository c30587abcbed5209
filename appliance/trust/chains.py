"""Certificates that others made: what they say, and whether they can be served. Source: security.md 4.5."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance.domain.refusal import Kind, Refusal, invalid
from appliance.trust import contexts

DAY = 86_400
LEAST_RSA_BITS = 2048
MOST_CERTIFICATES = 12
LARGEST = 256 * 1024  # characters of one file
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True)
class Facts:
    """What a certificate says. Times in seconds since 1970; the fingerprint is SHA-256."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    valid_from: int
    valid_until: int
    days_left: int  # below 0: it has ended
    fingerprint: str
    key: str  # RSA 2048, EC secp256r1


@dataclass(frozen=True)
class Chain:
    """What can be served: the server's certificate and those between it and the root, and the root itself. PEM."""

    certificate: str
    private_key: str
    root: str


def facts_of(pem: str, now: int) -> Facts:
    """The facts of the first certificate in PEM text."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    start, end = int(certificate.not_valid_before_utc.timestamp()), int(certificate.not_valid_after_utc.timestamp())
    digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
    return Facts(
        subject=_said(certificate.subject),
        issuer=_said(certificate.issuer),
        names=tuple(names_in(certificate)),
        valid_from=start,
        valid_until=end,
        days_left=(end - now) // DAY,
        fingerprint=":".join(digest[i : i + 2] for i in range(0, len(digest), 2)),
        key=_key_kind(certificate),
    )


def fingerprint_of(pem: str) -> str:
    """SHA-256 of a certificate, lower-case hex."""
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


def fingerprints_of(bundle: str) -> list[str]:
    """SHA-256 of every certificate in a PEM text, lower-case hex."""
    found = x509.load_pem_x509_certificates(bundle.encode()) if bundle else []
    return [one.fingerprint(hashes.SHA256()).hex() for one in found]


def is_issued_by(certificate: str, issuer: str) -> bool:
    """Whether the first certificate in a PEM text was signed by another one."""
    return _issued(
        x509.load_pem_x509_certificate(certificate.encode()), x509.load_pem_x509_certificate(issuer.encode())
    )


def names_in(certificate: x509.Certificate) -> list[str]:
    """The DNS names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(general.value) for general in found if isinstance(general, (x509.DNSName, x509.IPAddress))]


def covers(names: Sequence[str], name: str) -> bool:
    """Whether a certificate for `names` is one for `name`: equal, or `*.` for exactly one label."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        lower, parent = name.lower(), name.lower().partition(".")[2]
        return any(known.lower() in (lower, f"*.{parent}") for known in names)
    for known in names:
        try:
            if ipaddress.ip_address(known) == address:
                return True
        except ValueError:
            continue
    return False


def fitted(
    certificate: str, chain: str, keys: Sequence[str], *, name: str, known_roots: Sequence[str], now: int
) -> Chain:
    """The chain of a server's certificate, in order and whole, with the key of `keys` that belongs to it.

    `name`: what agents know the server as. `known_roots`: PEM each, where the chain may end without its root. Raises
    Refusal with the first thing that is wrong, and what to do.
    """
    given = _loaded(certificate, "cert") + (_loaded(chain, "chain") if chain.strip() else [])
    leaf, *others = list({c.fingerprint(hashes.SHA256()): c for c in given}.values())
    key = _key_of(leaf, others, keys)
    moment = datetime.fromtimestamp(now, UTC)
    _may_serve(leaf, name)
    path, root = _path(leaf, others, known_roots)
    for one in path:
        _sound(one, moment, is_root=one is root)
    if root is not leaf:
        _sound(root, moment, is_root=True)
    served = [one for one in path if one is leaf or one is not root]
    result = Chain("".join(_pem(one) for one in served), key, _pem(root))
    shake_hands(result.certificate, key, result.root, name)
    return result


def shake_hands(certificate: str, private_key: str, bundle: str, name: str) -> None:
    """A whole TLS handshake in memory: does an agent with that bundle verify what is served? Raises Refusal."""
    try:
        server_side = contexts.server_context(certificate, private_key)
        client_side = ssl.create_default_context(cadata=bundle)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_side.wrap_bio(to_server, to_client, server_side=True)
        client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
        done = {client: False, server: False}
        for _ in range(20):
            for side in (client, server):
                if not done[side]:
                    try:
                        side.do_handshake()
                        done[side] = True
                    except ssl.SSLWantReadError:
                        pass
            if all(done.values()):
                return
    except ssl.SSLCertVerificationError as error:
        raise invalid("cert", "agents would refuse this certificate: {why}.", why=error.verify_message) from None
    except ssl.SSLError as error:
        raise invalid("cert", "this certificate cannot be served: {why}.", why=error.reason or "TLS") from None
    raise invalid("cert", "this certificate cannot be served: {why}.", why="TLS")


def system_roots() -> list[str]:
    """The authorities that this machine knows, PEM each."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    return [ssl.DER_cert_to_PEM_cert(der) for der in found]


def _loaded(pem: str, field: str) -> list[x509.Certificate]:
    if len(pem) > LARGEST:
        raise invalid(field, "the file is too large to be a certificate.")
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise invalid(
            field, "there is no certificate in PEM form in it; 'openssl x509 -inform der -in FILE' makes one of DER."
        ) from None
    if len(found) > MOST_CERTIFICATES:
        raise invalid(field, "{count} certificates are more than a chain has.", count=len(found))
    return found


def _key_of(leaf: x509.Certificate, others: Sequence[x509.Certificate], keys: Sequence[str]) -> str:
    """The key that belongs to the leaf, as PKCS8 without a passphrase. Raises Refusal."""
    known: dict[bytes, str] = {}
    for pem in keys:
        try:
            key = serialization.load_pem_private_key(pem.encode(), None)
        except TypeError:
            raise invalid(
                "key", "the key is locked with a passphrase; 'openssl pkey -in FILE' writes it without."
            ) from None
        except ValueError:
            raise invalid("key", "there is no private key in PEM form in it.") from None
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        known[public] = plain.decode()
    found = known.get(_public(leaf))
    if found is not None:
        return found
    for other in others:
        if _public(other) in known:
            raise invalid(
                "cert",
                "{first} stands first, but the key belongs to {other}; put the server's own certificate first.",
                first=_said(leaf.subject),
                other=_said(other.subject),
            )
    raise Refusal(
        Kind.INVALID,
        "the certificate {subject} belongs to another key; install it with its own key, or ask for one with "
        "'tls request'.",
        "key",
        subject=_said(leaf.subject),
    )


def _may_serve(leaf: x509.Certificate, name: str) -> None:
    names = names_in(leaf)
    if not names:
        raise invalid("cert", "the certificate has no alternative names (SAN), which agents look at; ask for them.")
    if not covers(names, name):
        raise invalid(
            "cert",
            "the certificate is for {names} and not for {name}, as which agents know this server; ask for that name, "
            "or start the server with --server-name.",
            names=", ".join(names)[:200],
            name=name,
        )
    if _is_authority(leaf) and not _issued(leaf, leaf):
        raise invalid("cert", "{subject} is an authority's certificate and no server's.", subject=_said(leaf.subject))
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        raise invalid("cert", "the certificate is not meant for servers (extended key usage); ask for serverAuth.")


def _path(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], known: Sequence[str]
) -> tuple[list[x509.Certificate], x509.Certificate]:
    """The chain as given, the leaf first, and its root. Raises Refusal."""
    path, left = [leaf], list(others)
    while left:
        current, following = path[-1], left.pop(0)
        if _issued(current, current):
            raise _stranger(following)
        if _issued(current, following):
            path.append(following)
            continue
        if any(_issued(current, other) for other in left):
            raise invalid(
                "chain",
                "the chain is not in order: {subject} is followed by {other}, but was issued by {issuer}; put each "
                "certificate's issuer behind it.",
                subject=_said(current.subject),
                other=_said(following.subject),
                issuer=_said(current.issuer),
            )
        if _known_issuer(current, known):
            raise _stranger(following)
        raise _incomplete(current)
    last = path[-1]
    if _issued(last, last):
        return path, last
    root = _known_issuer(last, known)
    if root is None:
        raise _incomplete(last)
    return path, root


def _known_issuer(certificate: x509.Certificate, known: Sequence[str]) -> x509.Certificate | None:
    name = certificate.issuer.public_bytes()
    for pem in known:
        der = ssl.PEM_cert_to_DER_cert(pem)
        if name in der:  # of a machine's many roots, odd ones among them, only this one is read
            root = x509.load_der_x509_certificate(der)
            if _issued(certificate, root):
                return root
    return None


def _stranger(certificate: x509.Certificate) -> Refusal:
    return invalid("chain", "{subject} does not belong to this chain; take it out.", subject=_said(certificate.subject))


def _incomplete(certificate: x509.Certificate) -> Refusal:
    return invalid(
        "chain",
        "the chain is incomplete: the certificate of {issuer} is missing, which issued {subject}; add it, and all up "
        "to the root.",
        issuer=_said(certificate.issuer),
        subject=_said(certificate.subject),
    )


def _sound(certificate: x509.Certificate, moment: datetime, *, is_root: bool) -> None:
    """Its time, its key and its signature are such that agents accept it. Raises Refusal."""
    subject = _said(certificate.subject)
    if certificate.not_valid_before_utc > moment:
        raise invalid(
            "cert",
            "{subject} is valid only from {date} on; wait, or look at this machine's clock.",
            subject=subject,
            date=f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
        )
    if certificate.not_valid_after_utc <= moment:
        raise invalid(
            "cert",
            "{subject} ended on {date}; ask for a new one.",
            subject=subject,
            date=f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        )
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise invalid(
            "cert",
            "{subject} has a key of {bits} bits; agents want at least {least}.",
            subject=subject,
            bits=key.key_size,
            least=LEAST_RSA_BITS,
        )
    if isinstance(key, dsa.DSAPublicKey) or not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        raise invalid(
            "cert", "{subject} has a kind of key that older agents cannot verify; ask for RSA.", subject=subject
        )
    algorithm = certificate.signature_hash_algorithm
    if not is_root and not isinstance(algorithm, _STRONG):
        raise invalid(
            "cert",
            "{subject} is signed with {algorithm}, which agents refuse; ask for SHA-256.",
            subject=subject,
            algorithm=algorithm.name.upper() if algorithm else "?",
        )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _key_kind(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey")


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _said(name: x509.Name) -> str:
    return name.rfc4514_string()[:200] or "-"
