"""What comes back from an own PKI: what fits is put in order, and each mistake has a sentence of its own."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance.domain.refusal import Refusal
from appliance.trust.authority import make_authority
from appliance.trust.chains import Chain, covers, facts_of, fitted, is_issued_by, shake_hands, system_roots
from appliance.trust.requests import Subject, make_request, names_of
from tests.fakes.pki import DAY, EC, ED25519, RSA, WEAK, Pki, Served, key_of, key_pem, pem

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
NAME = "ocs.example.org"


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(NOW)


def fit(served: Served, chain: str | None = None, *, name: str = NAME, roots: tuple[str, ...] = ()) -> Chain:
    whole = served.chain + served.root if chain is None else chain
    return fitted(served.certificate, whole, [served.private_key], name=name, known_roots=roots, now=NOW)


@pytest.mark.parametrize("key", [RSA, EC])
@pytest.mark.parametrize("name", [NAME, "192.0.2.7"])
def test_a_chain_up_to_its_root_is_served_without_the_root(pki: Pki, key: str, name: str) -> None:
    served = pki.server([NAME, "192.0.2.7"], key=key)
    assert fit(served, name=name) == Chain(served.certificate + served.chain, served.private_key, served.root)


def test_a_root_that_is_known_need_not_be_given(pki: Pki) -> None:
    served = pki.server([NAME])
    assert fit(served, served.chain, roots=(make_authority(NOW).certificate, served.root)).root == served.root


def test_all_in_one_file_and_twice_the_same(pki: Pki) -> None:
    served = pki.server(["*.example.org"])
    one = Served(served.certificate + served.chain + served.root, "", "", served.private_key)
    assert fit(one, served.chain).certificate == served.certificate + served.chain


def test_a_certificate_that_signed_itself_is_its_own_root(pki: Pki) -> None:
    key = key_of(RSA, 9)
    own = pem(pki.sign(NAME, key.public_key(), NAME, key, names=[NAME]))
    assert fit(Served(own, "", "", key_pem(key)), "") == Chain(own, key_pem(key), own)


Make = Callable[[Pki], tuple[Served, str | None]]
MISTAKES: dict[str, tuple[Make, str, str]] = {
    "another key": (
        lambda pki: (Served(pki.server([NAME]).certificate, "", "", key_pem(key_of(RSA, 8))), None),
        "key", "belongs to another key",
    ),
    "a locked key": (
        lambda pki: (Served(pki.server([NAME]).certificate, "", "", key_pem(key_of(RSA, 3), b"secret")), None),
        "key", "locked with a passphrase",
    ),
    "no key": (lambda pki: (Served(pki.server([NAME]).certificate, "", "", "x"), None), "key", "no private key"),
    "no certificate": (lambda pki: (Served("x", "", "", ""), None), "cert", "no certificate in PEM form"),
    "no chain": (lambda pki: (pki.server([NAME]), "x"), "chain", "no certificate in PEM form"),
    "the name is missing": (lambda pki: (pki.server(["other.example.org"]), None), "cert", "not for ocs.example.org"),
    "no names": (lambda pki: (_nameless(pki), None), "cert", "no alternative names"),
    "expired": (lambda pki: (pki.server([NAME], begins=-90 * DAY, days=89), None), "cert", "ended on"),
    "not yet": (lambda pki: (pki.server([NAME], begins=DAY), None), "cert", "is valid only from"),
    "incomplete": (lambda pki: (pki.server([NAME]), ""), "chain", "certificate of CN=Site issuing is missing"),
    "without the root": (
        lambda pki: (pki.server([NAME]), pki.server([NAME]).chain), "chain", "certificate of CN=Site root is missing",
    ),
    "without the middle": (
        lambda pki: (pki.server([NAME]), pki.server([NAME]).root), "chain", "CN=Site issuing is missing",
    ),
    "wrong order": (
        lambda pki: (pki.server([NAME]), pem(pki.root) + pem(pki.middle)), "chain", "not in order",
    ),
    "the issuer first": (
        lambda pki: (Served(pem(pki.middle), "", "", pki.server([NAME]).private_key), pki.server([NAME]).certificate),
        "cert", "put the server's own certificate first",
    ),
    "a stranger": (
        lambda pki: (pki.server([NAME]), pem(pki.middle) + pem(pki.root) + make_authority(NOW).certificate),
        "chain", "does not belong to this chain",
    ),
    "weak key": (lambda pki: (pki.server([NAME], key=WEAK), None), "cert", "a key of 1024 bits"),
    "young kind of key": (lambda pki: (pki.server([NAME], key=ED25519), None), "cert", "ask for RSA"),
    "weak signature": (
        lambda pki: (pki.server([NAME], algorithm=hashes.SHA224()), None), "cert", "signed with SHA224",
    ),
    "for clients": (
        lambda pki: (pki.server([NAME], purpose=ExtendedKeyUsageOID.CLIENT_AUTH), None), "cert", "not meant for server",
    ),
    "an authority": (lambda pki: (pki.server([NAME], ca=True), None), "cert", "an authority's certificate"),
    "the root has ended": (lambda _: _ended(), "cert", "CN=Site issuing ended on"),
}  # fmt: skip


def _nameless(pki: Pki) -> Served:
    key = key_of(RSA, 3)
    made = pem(pki.sign(NAME, key.public_key(), "Site issuing", pki.middle_key))
    return Served(made, pem(pki.middle), pem(pki.root), key_pem(key))


def _ended() -> tuple[Served, None]:
    old = Pki(NOW - 100 * DAY, days=50)
    return old.server([NAME], days=365), None


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(pki: Pki, mistake: str) -> None:
    make, field, sentence = MISTAKES[mistake]
    served, chain = make(pki)
    with pytest.raises(Refusal) as refused:
        fit(served, chain)
    assert (refused.value.field, sentence in str(refused.value)) == (field, True), str(refused.value)
    assert "PRIVATE" not in str(refused.value)


def test_the_last_word_is_a_handshake_as_agents_make_it(pki: Pki) -> None:
    served = pki.server([NAME])
    shake_hands(served.certificate + served.chain, served.private_key, served.root, NAME)
    for certificate, bundle, name in (
        (served.certificate, served.root, NAME),
        (served.certificate + served.chain, make_authority(NOW).certificate, NAME),
        (served.certificate + served.chain, served.root, "other.example.org"),
    ):
        with pytest.raises(Refusal, match="agents would refuse"):
            shake_hands(certificate, served.private_key, bundle, name)


@pytest.mark.parametrize(
    ("names", "name", "covered"),
    [
        (["a.example.org"], "A.Example.org", True),
        (["*.example.org"], "a.example.org", True),
        (["*.example.org"], "example.org", False),
        (["*.example.org"], "a.b.example.org", False),
        (["192.0.2.1"], "192.0.2.1", True),
        (["2001:db8::1"], "2001:DB8:0::1", True),
        (["a.example.org"], "192.0.2.1", False),
        ([], "a", False),
    ],
)
def test_names_that_a_certificate_covers(names: list[str], name: str, covered: bool) -> None:
    assert covers(names, name) is covered


def test_facts(pki: Pki) -> None:
    served = pki.server([NAME, "192.0.2.7"])
    facts = facts_of(served.certificate + served.chain, NOW)
    assert (facts.subject, facts.issuer, facts.names) == (f"CN={NAME}", "CN=Site issuing", (NAME, "192.0.2.7"))
    assert (facts.valid_from, facts.valid_until, facts.days_left) == (NOW - DAY, NOW + 89 * DAY, 89)
    assert facts.key == "RSA 2048"
    der = ssl.PEM_cert_to_DER_cert(served.certificate)
    assert (
        facts.fingerprint.replace(":", "").lower()
        == x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()
    )
    assert is_issued_by(served.certificate, served.chain)
    assert not is_issued_by(served.certificate, served.root)
    assert facts_of(pki.server([NAME], key=EC).certificate, NOW).key == "EC secp256r1"


def test_the_roots_of_this_machine_can_be_read() -> None:
    assert all(root.startswith("-----BEGIN CERTIFICATE-----") for root in system_roots())


def test_a_public_authority_that_this_machine_knows_need_not_be_given(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served = pki.server([NAME])
    (tmp_path / "roots.pem").write_text(make_authority(NOW).certificate + served.root)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    assert fit(served, served.chain, roots=tuple(system_roots())).root == served.root


# Requests


def test_a_request_asks_for_its_names_and_keeps_the_key_that_it_is_given() -> None:
    made = make_request([NAME, "192.0.2.7"], Subject("Site", "IT", "Vigo", "Pontevedra", "ES"))
    asked = x509.load_pem_x509_csr(made.request.encode())
    assert asked.is_signature_valid
    assert asked.subject.rfc4514_string() == f"CN={NAME},OU=IT,O=Site,L=Vigo,ST=Pontevedra,C=ES"
    assert names_of(made.request) == [NAME, "192.0.2.7"]
    again = make_request(["*.example.org"], Subject(), made.private_key)
    assert again.private_key == made.private_key
    assert x509.load_pem_x509_csr(again.request.encode()).public_key() == asked.public_key()


@pytest.mark.parametrize(
    ("names", "subject", "field"),
    [
        ([], Subject(), "name"),
        (["a b"], Subject(), "name"),
        (["a..b"], Subject(), "name"),
        (["fe80::1%eth0"], Subject(), "name"),
        ([NAME], Subject(country="Spain"), "country"),
        ([NAME], Subject(organisation="x" * 65), "organisation"),
    ],
)
def test_what_no_certificate_can_say_is_refused(names: list[str], subject: Subject, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        make_request(names, subject)
    assert refused.value.field == field
