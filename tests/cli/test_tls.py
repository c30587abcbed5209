"""`tls` on a command line: what is installed, a request, its certificate in a running server, a renewal."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import socket
import ssl
import tarfile
from pathlib import Path

import pytest

from appliance.operations.certificates import ensure_certificates
from appliance.operations.start import write_down
from tests.fakes.appliance import must, on_desk, say, serving, until
from tests.fakes.pki import Pki

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
NAME = "ocs.example.org"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    on_desk(folder, ensure_certificates, [NAME])
    on_desk(folder, write_down, {"server_name": NAME})
    return folder


def test_show_as_a_table_and_as_json(data: Path) -> None:
    table = must("tls", "show", data=data)
    assert table.splitlines()[0].split()[0] == "WHAT"
    assert f"names: {NAME}" in table
    found = json.loads(must("tls", "show", "--json", data=data))
    assert set(found) == {
        "server", "own", "server_name", "authority", "former_authority", "computers", "other_roots", "requested_names",
        "remarks",
    }  # fmt: skip
    assert (found["own"], found["server_name"], found["remarks"]) == (True, NAME, [])
    assert found["server"]["valid_until"].endswith("Z")
    assert "PRIVATE" not in table + json.dumps(found)


def test_from_a_request_to_a_certificate(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "ocs.csr"
    assert must("tls", "request", "--organisation", "Site", "--name", NAME, str(file), data=data) == ""
    assert must("tls", "request", "--name", NAME, data=data).startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert "requested " in must("tls", "show", data=data)
    served = Pki(NOW).answer(file.read_text())
    cert, chain = tmp_path / "cert.pem", tmp_path / "chain.pem"
    cert.write_text(served.certificate)
    chain.write_text(served.chain)
    said = say("tls", "install", "--cert", cert, "--chain", chain, data=data)
    assert (said.code, said.out) == (1, "")
    assert "the chain is incomplete: the certificate of CN=Site root is missing" in said.err
    chain.write_text(served.chain + served.root)
    said = say("tls", "install", "--cert", cert, "--chain", chain, data=data)
    assert (said.code, said.out) == (0, "")
    assert "note: Agents need the new cacert.pem" in said.err
    assert must("tls", "export-ca", data=data).count("BEGIN CERTIFICATE") == 2
    assert json.loads(must("tls", "show", "--json", data=data))["own"] is False
    assert must("tls", "renew", "--name", "also.example.org", data=data) == ""
    found = json.loads(must("tls", "show", "--json", data=data))
    assert (found["own"], found["server"]["names"]) == (True, ["also.example.org", NAME])


def test_a_change_of_authority_from_its_begin_to_its_end(data: Path, tmp_path: Path) -> None:
    said = say("tls", "rotate", data=data)
    assert said.code == 0
    assert "note: The authority is being changed: 0 of 0 computers" in said.err
    lines = [line.strip() for line in said.out.splitlines()[1:]]
    assert [re.search(r"--os (\w+)", line).group(1) for line in lines] == ["windows", "linux", "macos"]  # type: ignore[union-attr]
    packed = tmp_path / "cacert.tar.gz"
    (tmp_path / "cacert.pem").write_text(must("tls", "export-ca", data=data))
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(tmp_path / "cacert.pem", "cacert.pem")
    words = shlex.split(lines[1].split(" && ")[-1])
    assert words[:3] == ["ocs.pyz", "package", "build"]
    assert must(*(str(packed) if word == "cacert.tar.gz" else word for word in words[1:]), data=data).isdigit()
    assert say("tls", "rotate", data=data).code == 1
    assert must("tls", "rotate", "--build", "windows", data=data).isdigit()
    found = json.loads(must("tls", "show", "--json", data=data))
    assert found["computers"] == {"seen": 0, "knowing": 0}
    assert found["former_authority"]["fingerprint"] != found["authority"]["fingerprint"]
    assert "former authority" in must("tls", "show", data=data)
    assert must("tls", "rotate", "--finish", data=data) == ""
    assert json.loads(must("tls", "show", "--json", data=data))["former_authority"] is None
    assert must("tls", "export-ca", data=data).count("BEGIN CERTIFICATE") == 1


def test_what_cannot_be_read_or_written_is_one_sentence(data: Path, tmp_path: Path) -> None:
    for words in (
        ("install", "--cert", tmp_path / "no.pem"),
        ("request", tmp_path / "no" / "x.csr"),
        ("export-ca", tmp_path / "no" / "x.pem"),
    ):
        said = say("tls", *words, data=data)
        assert (said.code, said.err.count("\n")) == (1, 1)
    assert "there is no data in" in say("tls", "show", data=tmp_path / "nothing").err


def test_a_running_server_shows_what_the_command_line_installed(tmp_path: Path) -> None:
    served = Pki(NOW).server(["127.0.0.1"])
    for name, text in (
        ("cert", served.certificate),
        ("chain", served.chain + served.root),
        ("key", served.private_key),
    ):
        (tmp_path / f"{name}.pem").write_text(text)
    with serving(tmp_path / "data") as server:
        link = server.connect(secure=True)
        words = [f"--{name}={tmp_path / name}.pem" for name in ("cert", "chain", "key")]
        must("tls", "install", *words, data=server.data)
        bundle = must("tls", "export-ca", data=server.data)

        def shows() -> bool:
            context = ssl.create_default_context(cadata=bundle)
            plain = socket.create_connection(("127.0.0.1", server.https), timeout=10)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as fresh:
                return fresh.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(served.certificate)

        until(shows, "the new certificate")
        link.sendall(b"GET /cacert.pem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert isinstance(link, ssl.SSLSocket)
        answer = b"".join(iter(lambda: link.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(bundle.encode()) or bundle.encode() in answer + b"\n"
        link.close()
