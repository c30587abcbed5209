"""Certificates in a browser: what is installed, cacert.pem, a request, what came back, renewal."""

from __future__ import annotations

import re
import ssl
import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from appliance.trust import authority
from appliance.trust.authority import Issued
from tests.fakes.appliance import dump, rows
from tests.web.console.conftest import Console


def issued(root: Issued, request: str) -> str:
    """The certificate that an own PKI makes of a request."""
    asked = x509.load_pem_x509_csr(request.encode())
    issuer = x509.load_pem_x509_certificate(root.certificate.encode())
    key = serialization.load_pem_private_key(root.private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(issuer.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=20, hours=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for extension in asked.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def served(console: Console) -> str:
    """The fingerprint of the certificate that the database has for the server."""
    pem = rows(console.data, "SELECT certificate FROM credential WHERE name = 'server'")[0][0]
    digest = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def test_the_page_says_what_is_installed_and_until_when(console: Console) -> None:
    text = console.browser.get("/certificates").text
    assert "397 days left" in text or "396 days left" in text
    assert "OCS appliance authority" in text
    assert "127.0.0.1" in text
    assert served(console) in text
    assert "There is no request yet." in text
    assert "renewed by itself before it ends" in text


def test_cacert_pem_is_what_agents_verify_the_server_with(console: Console) -> None:
    browser = console.browser.get("/certificates/cacert.pem")
    assert browser.answer.headers["content-disposition"] == 'attachment; filename="cacert.pem"'
    assert browser.html == console.server.authority
    ssl.create_default_context(cadata=browser.html)
    assert "PRIVATE" not in browser.html
    browser.get("/certificates").follow("Download cacert.pem")
    assert browser.html == console.server.authority


def test_renewing_gives_another_certificate_of_the_same_authority(console: Console) -> None:
    before, bundle = served(console), console.browser.get("/certificates/cacert.pem").html
    console.browser.get("/certificates").submit("Renew")
    assert "There is a new certificate; the server shows it within seconds." in console.browser.text
    assert served(console) != before
    assert served(console) in console.browser.text
    assert console.browser.get("/certificates/cacert.pem").html == bundle
    assert "certificate renewed" in [deed for _, deed, _ in console.log()]


def test_a_request_that_is_refused_says_why_at_its_field(console: Console) -> None:
    before = dump(console.data)
    browser = console.browser.get("/certificates").submit("Make the request", name="a b c!\n<script>")
    assert browser.status == 400
    assert "is neither a DNS name nor an address" in browser.text
    browser.get("/certificates").submit("Make the request", country="Utopia")
    assert "is no country of two letters" in browser.text
    assert browser.get("/certificates/request.pem").status == 404
    assert dump(console.data) == before


def test_a_certificate_of_an_own_pki_is_requested_installed_and_given_up_again(console: Console) -> None:
    browser = console.browser.get("/certificates")
    browser.submit("Make the request", name="127.0.0.1\nocs.example.org", organisation="Ex & Co", country="ES")
    assert "The request is ready; send it to your authority." in browser.text
    assert "for 127.0.0.1, ocs.example.org" in browser.text
    shown = re.search(r"-----BEGIN CERTIFICATE REQUEST-----.*-----END CERTIFICATE REQUEST-----", browser.html, re.S)
    assert shown
    request = console.administrator().get("/certificates/request.pem").html
    assert shown.group() in request
    assert "PRIVATE" not in browser.html

    before = served(console)
    root = authority.make_authority(int(time.time()))
    certificate = issued(root, request)
    browser.submit("Install", cert="no certificate <b>", chain="", key="")
    assert "there is no certificate in PEM form in it" in browser.text
    assert "no certificate <b>" not in browser.html
    browser.submit("Install", cert=certificate, chain="", key="")
    assert "the chain is incomplete" in browser.text
    other = authority.key_pem(authority.new_key())
    browser.submit("Install", cert=certificate, chain=root.certificate, key=other)
    assert "belongs to another key" in browser.text
    assert other.splitlines()[3] not in browser.html
    assert served(console) == before

    browser.submit("Install", cert=certificate, chain=root.certificate)
    assert "The certificate is installed; the server shows it within seconds." in browser.text
    assert served(console) != before
    assert "ends in 20 days." in browser.text
    assert "Another authority" in browser.text
    assert "There is no request yet." in browser.text
    assert "this server cannot renew it" in browser.text
    bundle = console.administrator().get("/certificates/cacert.pem").html
    assert root.certificate in bundle
    assert "certificate installed" in [deed for _, deed, _ in console.log()]

    browser.submit("Go back to our own authority")
    assert "renewed by itself before it ends" in browser.text


def test_the_authority_is_changed_with_a_package_for_other_agents_and_the_old_one_taken_out(console: Console) -> None:
    browser, old = console.administrator().get("/certificates"), console.browser.get("/certificates/cacert.pem").html
    browser.submit("Change the authority")
    assert browser.status == 400
    assert "tick this first" in browser.text
    browser.submit("Change the authority", sure="1")
    assert "There is a new authority" in browser.text
    assert "The authority before it" in browser.text
    both = browser.get("/certificates/cacert.pem").html
    assert old.split("-----END")[0] in both
    assert both != old
    browser.get("/certificates").submit("Build the package for Windows")
    assert "The package is built" in browser.text
    assert "cacert.pem" in browser.text
    browser.get("/certificates").submit("Take the old authority out")
    assert "The old authority is taken out of cacert.pem." in browser.text
    assert old.split("-----END")[0] not in browser.get("/certificates/cacert.pem").html
    assert [deed for _, deed, _ in console.log() if "authority" in deed] == ["authority changed", "authority retired"]
