"""What verifies where: the clients that agents are made of, and every chain that this server can show.

Source: the table of security.md 4.5, R36. The clients are real ones, over real handshakes; LWP where it is installed.
"""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from appliance.trust import authority, contexts
from appliance.trust.authority import Issued, cross_sign, issue_server, make_authority
from tests.fakes.pki import EC, Pki, pem

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
NAME, ADDRESS = "ocs.example.org", "127.0.0.1"
NAMES = [NAME, "ocs", ADDRESS]
OK, REFUSED = "ok", "refused"


@dataclass(frozen=True)
class Case:
    """A chain and key that are served, a bundle that the client has, how it calls the server, and what comes of it."""

    what: str
    served: Issued
    bundle: str
    outcome: str
    name: str = NAME
    but: tuple[tuple[str, str], ...] = ()  # clients that see it otherwise


def cases() -> list[Case]:
    """The table."""
    free, bound, later = make_authority(NOW - 60), make_authority(NOW - 30, NAMES), make_authority(NOW, NAMES)
    ended = NOW - 500 * 86_400
    made = [
        case
        for kind, own in (("own authority", free), ("own authority bound to its domains", bound))
        for case in (
            Case(f"{kind}, by name", issue_server(own, NAMES, NOW), own.certificate, OK),
            Case(f"{kind}, by address", issue_server(own, NAMES, NOW), own.certificate, OK, ADDRESS),
            Case(f"{kind}, another name", issue_server(own, NAMES, NOW), own.certificate, REFUSED, "x.y"),
            Case(f"{kind}, no address in it", issue_server(own, [NAME], NOW), own.certificate, REFUSED, ADDRESS),
            Case(f"{kind}, ended", issue_server(own, NAMES, ended), own.certificate, REFUSED),
        )
    ]
    stray = ["ocs.example.net"]
    made.append(Case("outside the domains", issue_server(bound, stray, NOW), bound.certificate, REFUSED, stray[0]))
    leaf = issue_server(free, NAMES, NOW)
    made.append(
        Case(
            "only the certificate itself in cacert.pem",
            leaf,
            leaf.certificate,
            REFUSED,
            but=(("curl", OK), ("LWP", OK), ("Python, strict", OK)),
        )
    )
    changes = [
        ("free to bound", free, bound),
        ("bound to bound", bound, later),
        ("bound to free", later, free),
        ("to one of the same name", make_authority(NOW), later),
    ]
    for what, before, after in changes:
        plain = issue_server(after, NAMES, NOW)
        crossed = Issued(plain.certificate + cross_sign(before, after.certificate, NOW), plain.private_key)
        made += [
            Case(f"{what}: old bundle, new certificate alone", plain, before.certificate, REFUSED),
            Case(f"{what}: old bundle, with the cross certificate", crossed, before.certificate, OK),
            Case(f"{what}: both in the bundle", crossed, after.certificate + before.certificate, OK),
            Case(f"{what}: both, the old one first", crossed, before.certificate + after.certificate, OK),
            Case(f"{what}: new bundle, with the cross certificate", crossed, after.certificate, OK),
            Case(f"{what}: new bundle, new certificate alone", plain, after.certificate, OK),
        ]
    short = shortened(free)
    plain = issue_server(bound, NAMES, NOW)
    crossed = Issued(plain.certificate + cross_sign(short, bound.certificate, NOW), plain.private_key)
    made.append(Case("old root of path length 0", crossed, short.certificate, REFUSED))
    pki = Pki(NOW)
    careless = (("Python, strict", REFUSED),)  # this PKI writes no key identifiers; our agent is not strict
    for kind in ("RSA", EC):
        site = pki.server(NAMES, key=kind)
        whole = Issued(site.certificate + site.chain, site.private_key)
        made += [
            Case(f"own PKI, {kind}: with its intermediate", whole, free.certificate + site.root, OK, but=careless),
            Case(f"own PKI, {kind}: agents do not know it yet", whole, free.certificate, REFUSED),
            Case(
                f"own PKI, {kind}: the intermediate is missing", Issued(site.certificate, site.private_key), site.root,
                REFUSED,
            ),
        ]  # fmt: skip
    return made


def shortened(issued: Issued) -> Issued:
    """The same authority as one that may have no authority below it."""
    before = x509.load_pem_x509_certificate(issued.certificate.encode())
    key = serialization.load_pem_private_key(issued.private_key.encode(), None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(before.subject)
        .issuer_name(before.subject)
        .public_key(before.public_key())
        .serial_number(7)
        .not_valid_before(before.not_valid_before_utc)
        .not_valid_after(before.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)  # type: ignore[arg-type]
    )
    return Issued(pem(builder.sign(key, hashes.SHA256())), issued.private_key)  # type: ignore[arg-type]


@contextmanager
def serving(served: Issued) -> Iterator[int]:
    """HTTPS on loopback that answers everything with 200; the port."""
    context = contexts.server_context(served.certificate, served.private_key)
    with socket.create_server((ADDRESS, 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                link.settimeout(10)
                try:
                    with context.wrap_socket(link, server_side=True) as wrapped:
                        wrapped.recv(4096)
                        wrapped.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        wrapped.unwrap()
                except OSError:
                    link.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def python(port: int, name: str, bundle: Path, *, strict: bool = False) -> str:
    """As our agent; strict: as Python does from 3.13 on."""
    context = ssl.create_default_context(cafile=str(bundle))
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
    try:
        with (
            socket.create_connection((ADDRESS, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as link,
        ):
            link.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return OK if link.recv(100).startswith(b"HTTP/1.0 200") else "?"
    except ssl.SSLCertVerificationError:
        return REFUSED


def curl(port: int, name: str, bundle: Path) -> str:
    """As the Windows agent, which is made of libcurl."""
    words = ["curl", "-sS", "--cacert", bundle, "--resolve", f"{name}:{port}:{ADDRESS}", f"https://{name}:{port}/"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=30)
    return {0: OK, 60: REFUSED, 51: REFUSED}.get(done.returncode, done.stderr.decode())


def openssl(port: int, name: str, bundle: Path) -> str:
    """The library itself, whichever the system has."""
    which = "-verify_ip" if name == ADDRESS else "-verify_hostname"
    words = ["openssl", "s_client", "-connect", f"{ADDRESS}:{port}", "-CAfile", bundle, "-no-CApath", "-no-CAstore"]
    words += ["-verify_return_error", which, name]
    done = subprocess.run(words, input=b"", capture_output=True, check=False, timeout=30)
    said = done.stdout + done.stderr
    return OK if done.returncode == 0 else REFUSED if b"verify" in said else said.decode()


def lwp(port: int, name: str, bundle: Path) -> str:
    """As the Unix agent: Perl's LWP over IO::Socket::SSL."""
    script = (
        "use LWP::UserAgent; my ($url, $ca, $name) = @ARGV; my %ssl = (verify_hostname => 1, SSL_ca_file => $ca, "
        "SSL_verifycn_name => $name); my $r = LWP::UserAgent->new(ssl_opts => \\%ssl)->get($url); "
        "print $r->code, ' ', $r->message;"
    )
    words = ["perl", "-e", script, f"https://{ADDRESS}:{port}/", bundle, name]
    done = subprocess.run(words, capture_output=True, check=False, timeout=30, text=True)
    return OK if done.stdout.startswith("200") else REFUSED if "verif" in done.stdout else done.stdout + done.stderr


def has_lwp() -> bool:
    """Whether Perl has what the Unix agent is made of."""
    if not shutil.which("perl"):
        return False
    probe = ["perl", "-MLWP::UserAgent", "-MLWP::Protocol::https", "-e", "1"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


CLIENTS: dict[str, Callable[[int, str, Path], str]] = {
    "Python": python,
    "Python, strict": lambda port, name, bundle: python(port, name, bundle, strict=True),
    "curl": curl,
    "openssl": openssl,
    "LWP": lwp,
}


@pytest.fixture(scope="module")
def table() -> list[Case]:
    return cases()


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_verifies_what_the_table_says(client: str, table: list[Case], tmp_path: Path) -> None:
    is_there = has_lwp() if client == "LWP" else client.startswith("Python") or shutil.which(client)
    if not is_there:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{client} is missing")
        pytest.skip(f"{client} is not here")
    bundle, seen, wanted = tmp_path / "cacert.pem", {}, {}
    for case in table:
        bundle.write_text(case.bundle)
        with serving(case.served) as port:
            seen[case.what] = CLIENTS[client](port, case.name, bundle)
        wanted[case.what] = dict(case.but).get(client, case.outcome)
    assert seen == wanted


# What an authority is bound to


@pytest.mark.parametrize(
    ("names", "domains"),
    [
        ([], []),
        (["ocs"], []),
        (["192.0.2.10"], []),
        (["example.org"], []),
        (["ocs.example.org", "OCS", "192.0.2.10"], ["example.org", "ocs", "localhost"]),
        (["ocs.site.example.org", "ocs.example.net"], ["site.example.org", "example.net", "localhost"]),
    ],
)
def test_an_authority_is_bound_to_domains_where_its_server_has_a_full_name(
    names: list[str], domains: list[str]
) -> None:
    assert authority.suffixes(names) == domains


def test_only_names_that_all_authorities_may_issue_for_come_into_a_certificate() -> None:
    one, two, free = (
        make_authority(NOW, names) for names in (["ocs.example.org"], ["ocs.example.net", "a.example.org"], [])
    )
    asked = ["ocs.example.net", "b.example.org", "example.org", "example.com", "192.0.2.1", "*.example.org"]
    assert authority.permitted([one.certificate], asked) == [
        "b.example.org", "example.org", "192.0.2.1", "*.example.org",
    ]  # fmt: skip
    both = authority.permitted([one.certificate, two.certificate, free.certificate], asked)
    assert both == ["b.example.org", "example.org", "192.0.2.1", "*.example.org"]
    assert authority.permitted([free.certificate], asked) == asked


def test_a_cross_certificate_ends_with_the_first_of_both_and_has_the_same_key() -> None:
    old, new = make_authority(NOW - 3000 * 86_400), make_authority(NOW, NAMES)
    crossed = x509.load_pem_x509_certificate(cross_sign(old, new.certificate, NOW).encode())
    subject, issuer = (x509.load_pem_x509_certificate(one.certificate.encode()) for one in (new, old))
    assert crossed.not_valid_after_utc == issuer.not_valid_after_utc < subject.not_valid_after_utc
    assert (crossed.subject, crossed.issuer) == (subject.subject, issuer.subject)
    assert crossed.public_key() == subject.public_key()
    basic = crossed.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
