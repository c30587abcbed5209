"""Certificates that the agents of the manual's time verify: looked at by OpenSSL itself, through real handshakes."""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from appliance.trust import contexts
from appliance.trust.authority import Issued, issue_server, make_authority, own_names, still_good
from tests.fakes.appliance import on_desk
from tests.fakes.pki import EC, Pki

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
DAY = 86_400
NAMES = ["ocs.example.org", "ocs", "192.0.2.10", "2001:db8::10"]


@pytest.fixture(scope="module")
def authority() -> Issued:
    return make_authority(NOW)


@pytest.fixture(scope="module")
def server(authority: Issued) -> Issued:
    return issue_server(authority, NAMES, NOW)


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """Handshakes on loopback, one after the other; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(link, server_side=True).close()
                except (ssl.SSLError, OSError):
                    link.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def handshake(port: int, name: str, client: ssl.SSLContext) -> x509.Certificate:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname=name) as link,
    ):
        shown = link.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown)


def client(authority: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 does by itself
    return context


@pytest.mark.parametrize("name", NAMES)
def test_a_client_with_the_bundle_alone_verifies_every_name(authority: Issued, server: Issued, name: str) -> None:
    with listening(contexts.server_context(server.certificate, server.private_key)) as port:
        assert handshake(port, name, client(authority))


@pytest.mark.parametrize("name", ["other.example.org", "192.0.2.11", "2001:db8::11", "example.org"])
def test_a_name_that_is_not_in_the_certificate_is_refused(authority: Issued, server: Issued, name: str) -> None:
    with (
        listening(contexts.server_context(server.certificate, server.private_key)) as port,
        pytest.raises(ssl.SSLCertVerificationError, match="match"),
    ):
        handshake(port, name, client(authority))


def test_another_authority_is_refused(server: Issued) -> None:
    with (
        listening(contexts.server_context(server.certificate, server.private_key)) as port,
        pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"),
    ):
        handshake(port, "ocs", client(make_authority(NOW)))


def test_keys_and_signatures_are_of_kinds_that_old_agents_know(authority: Issued, server: Issued) -> None:
    for issued in (authority, server):
        certificate = x509.load_pem_x509_certificate(issued.certificate.encode())
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size >= 2048
        assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
        assert certificate.serial_number > 0
        assert certificate.serial_number.bit_length() <= 159


def test_the_authority_may_sign_and_a_later_one_can_be_cross_signed(authority: Issued) -> None:
    certificate = x509.load_pem_x509_certificate(authority.certificate.encode())
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 1)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    days = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days
    assert 3600 < days < 3700


def test_the_server_may_only_serve_and_for_no_longer_than_clients_accept(server: Issued) -> None:
    certificate = x509.load_pem_x509_certificate(server.certificate.encode())
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose._name for purpose in purposes] == ["serverAuth"]
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 398
    begin = certificate.not_valid_before_utc.timestamp()
    assert begin < NOW - 3600, "computers whose clocks are late"
    assert [a.value for a in certificate.subject] == ["ocs.example.org"]


def test_openssl_verifies_the_chain_strictly(authority: Issued, server: Issued, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if not openssl:
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is missing")
        pytest.skip("openssl is not here")
    (tmp_path / "cacert.pem").write_text(authority.certificate)
    (tmp_path / "server.pem").write_text(server.certificate)
    words = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "192.0.2.10", "-CAfile"]
    done = subprocess.run(
        [openssl, *words, tmp_path / "cacert.pem", tmp_path / "server.pem"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_first_name_longer_than_a_common_name_still_gives_a_certificate(authority: Issued) -> None:
    name = ".".join(["a" * 40] * 3)
    issued = issue_server(authority, [name], NOW)
    with listening(contexts.server_context(issued.certificate, issued.private_key)) as port:
        assert handshake(port, name, client(authority))


@pytest.mark.parametrize(
    ("names", "days", "good"),
    [
        (NAMES, 0, True),
        (NAMES[:1], 0, True),
        ([*NAMES, "new.example.org"], 0, False),
        ([*NAMES, "192.0.2.99"], 0, False),
        (NAMES, 397 * 2 // 3 - 2, True),
        (NAMES, 397 * 2 // 3 + 2, False),
        (NAMES, 500, False),
    ],
)
def test_a_certificate_is_renewed_when_a_name_is_new_or_two_thirds_of_its_life_are_over(
    server: Issued, names: list[str], days: int, good: bool
) -> None:
    assert still_good(server, names, NOW + days * DAY) is good


def test_an_address_in_another_spelling_is_the_same_address(authority: Issued) -> None:
    issued = issue_server(authority, ["2001:DB8:0::10"], NOW)
    assert still_good(issued, ["2001:DB8:0::10"], NOW)


def test_own_names_are_all_names_that_a_certificate_can_carry(authority: Issued) -> None:
    names = own_names()
    assert {"localhost", "127.0.0.1", "::1"} <= set(names)
    assert still_good(issue_server(authority, names, NOW), names, NOW)


# Contexts


def test_a_running_listener_takes_up_a_new_certificate_of_any_kind_and_drops_no_connection(
    authority: Issued, server: Issued
) -> None:
    front = contexts.Front(server.certificate, server.private_key)
    renewed, other = issue_server(authority, NAMES, NOW), Pki(NOW).server(["ocs"], key=EC)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accepted(trusted: str, name: str | None = "ocs") -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
            context = ssl.create_default_context(cadata=trusted)
            context.check_hostname = name is not None
            plain = socket.create_connection(listener.getsockname())
            there, _ = listener.accept()
            made: list[ssl.SSLSocket] = []
            thread = threading.Thread(target=lambda: made.append(front.context.wrap_socket(there, server_side=True)))
            thread.start()
            here = context.wrap_socket(plain, server_hostname=name)
            thread.join(10)
            return here, made[0]

        def shown(link: ssl.SSLSocket) -> bytes:
            return link.getpeercert(binary_form=True) or b""

        links = [accepted(authority.certificate)]
        front.show(renewed.certificate, renewed.private_key)
        links.append(accepted(authority.certificate))
        front.show(other.certificate + other.chain, other.private_key)
        links += [accepted(other.root), accepted(other.root, None)]
        with pytest.raises(ssl.SSLError):
            front.show(other.certificate, server.private_key)
        links.append(accepted(other.root))
        wanted = [server, renewed, other, other, other]
        assert [shown(here) for here, _ in links] == [ssl.PEM_cert_to_DER_cert(one.certificate) for one in wanted]
        for here, there in links:
            there.sendall(b"still here")
            assert here.recv(10) == b"still here"
            here.close()
            there.close()


def test_tls_before_1_2_and_weak_ciphers_are_refused(authority: Issued, server: Issued) -> None:
    with listening(contexts.server_context(server.certificate, server.private_key)) as port:
        old = client(authority)
        with warnings.catch_warnings(action="ignore"):
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, "ocs", old)
        weak = client(authority)
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, "ocs", weak)


@pytest.mark.parametrize("memory", [True, False])
def test_the_key_is_left_in_no_file(
    server: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    contexts.server_context(server.certificate, server.private_key)
    assert list(tmp_path.iterdir()) == []
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


# Kept in the database


def test_certificates_are_made_once_and_renewed_when_a_name_comes(tmp_path: Path) -> None:
    from appliance.operations.certificates import ensure_certificates, export_authority
    from appliance.operations.desk import Desk
    from appliance.store import configuration

    async def start(desk: Desk, names: list[str]) -> tuple[str, str]:
        await ensure_certificates(desk, names)
        async with desk.store.reading() as tx:
            kept = await configuration.credential(tx, "server")
        assert kept
        return await export_authority(desk), kept.certificate

    root, leaf = on_desk(tmp_path, start, ["ocs"])
    assert on_desk(tmp_path, start, ["ocs"]) == (root, leaf)
    second_root, second_leaf = on_desk(tmp_path, start, ["ocs", "ocs2"])
    assert second_root == root
    assert second_leaf != leaf
    assert "PRIVATE" not in root + leaf + second_leaf
