"""cacert.pem follows the server's: over the trust that is there, whole or not at all, and nothing of others is lost."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.agent import bundle as bundles
from appliance.agent.failure import Unreachable
from appliance.agent.remote import HttpRemote
from appliance.trust.authority import Issued, cross_sign, issue_server, make_authority
from appliance.trust.contexts import server_context

NOW = int(time.time())
OLD, NEW, OTHER, STRANGER = (make_authority(NOW - seconds) for seconds in (40, 30, 20, 10))
LEAF = issue_server(NEW, ["127.0.0.1"], NOW)
CROSSED = Issued(LEAF.certificate + cross_sign(OLD, NEW.certificate, NOW), LEAF.private_key)


def digests(*issued: Issued) -> str:
    """As they stand in a header."""
    return ",".join(hashlib.sha256(ssl.PEM_cert_to_DER_cert(one.certificate)).hexdigest() for one in issued)


class Site:
    """A server of ours as an agent sees it: contacts over HTTP, cacert.pem over TLS."""

    def __init__(self) -> None:
        self.pem = (NEW.certificate + OLD.certificate).encode()
        self.header = ""
        self.name = "ocs.pyz"
        self.told: list[str] = []
        self.fetched = 0
        self.http = self.https = 0

    def announces(self, *issued: Issued) -> None:
        """This is in cacert.pem from now on."""
        self.pem = "".join(one.certificate for one in issued).encode()
        self.header = f"{self.https} {digests(*issued)}"


@contextmanager
def serving(site: Site, shown: Issued) -> Iterator[Site]:
    """Both listeners, until the end of the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            site.told.append(self.headers.get("OCS-Bundle", ""))
            self.answer(b"")

        def do_GET(self) -> None:
            assert self.server is https, "never over plain HTTP"
            site.fetched += self.path == "/cacert.pem"
            self.answer(site.pem)

        def answer(self, body: bytes) -> None:
            self.send_response_only(200)
            self.send_header("Server", site.name)
            self.send_header("Content-Length", str(len(body)))
            if site.header:
                self.send_header("OCS-Bundle", site.header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http_, https = (http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
    https.socket = server_context(shown.certificate, shown.private_key).wrap_socket(https.socket, server_side=True)
    https.handle_error = lambda *_: None  # type: ignore[method-assign]
    site.http, site.https = http_.server_address[1], https.server_address[1]
    for server in (http_, https):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        for server in (http_, https):
            server.shutdown()
            server.server_close()


class Agent:
    """An agent with a bundle of its own."""

    def __init__(self, folder: Path, site: Site, *here: Issued, owns: bool = True) -> None:
        self.bundle = folder / "cacert.pem"
        self.bundle.write_text("".join(one.certificate for one in here))
        self.said: list[str] = []
        self.remote = HttpRemote(
            f"http://127.0.0.1:{site.http}/ocsinventory", bundle=self.bundle, owns_bundle=owns, tell=self.said.append
        )

    def contact(self) -> set[str]:
        """One contact; what is in the bundle after it."""
        self.remote.refresh()
        self.remote.contact(b"<REQUEST/>")
        self.remote.contact(b"<REQUEST/>")
        return set(bundles.certificates_in(self.bundle.read_text()))


def of(*issued: Issued) -> set[str]:
    return set(digests(*issued).split(","))


def test_the_new_authority_is_taken_over_the_old_one_and_the_old_one_goes_when_the_server_lets_it_go(
    tmp_path: Path,
) -> None:
    with serving(Site(), CROSSED) as site:
        agent = Agent(tmp_path, site, OLD)
        agent.bundle.chmod(0o600)
        assert agent.contact() == of(OLD), "nothing was announced"
        site.announces(NEW, OLD)
        assert agent.contact() == of(NEW, OLD)
        assert site.fetched == 2, "fetched with the old trust, then tried with the new one"
        assert agent.bundle.stat().st_mode & 0o777 == 0o600
        agent.contact()
        assert site.fetched == 2
        assert set(site.told[-1].split(",")) == of(NEW, OLD)
        site.announces(NEW)
        assert agent.contact() == of(NEW)
        assert set(site.told[-1].split(",")) == of(NEW)
        assert [line.split(" is ")[-1] for line in agent.said] == [
            "the server's new one, which came over the trust of the one before it."
        ] * 2


def test_certificates_of_others_stay(tmp_path: Path) -> None:
    with serving(Site(), CROSSED) as site:
        agent = Agent(tmp_path, site, OTHER, OLD)
        site.announces(OLD)
        assert agent.contact() == of(OTHER, OLD)
        assert site.fetched == 0, "all that the server has is here"
        site.announces(NEW, OLD)
        assert agent.contact() == of(NEW, OLD, OTHER)
        site.announces(NEW)
        assert agent.contact() == of(NEW, OTHER)


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is not taken"),
        (OTHER.certificate.encode() * 3, "is refused"),
        (b"x" * (bundles.LARGEST + 1), "is not taken"),
    ],
)
def test_what_would_lock_the_agent_out_or_is_no_bundle_is_not_kept(tmp_path: Path, pem: bytes, said: str) -> None:
    with serving(Site(), LEAF) as site:
        agent = Agent(tmp_path, site, NEW)
        site.announces(OTHER)
        agent.remote.contact(b"<REQUEST/>")  # it takes OTHER beside its own
        (tmp_path / "cacert.pem.server").write_text("\n".join(of(NEW)))  # and NEW would go
        agent.bundle.write_text(NEW.certificate)
        site.pem = pem
        before = agent.bundle.read_bytes()
        agent.contact()
        assert agent.bundle.read_bytes() == before
        assert said in agent.said[-1]


def test_a_stranger_in_the_middle_can_make_it_look_and_no_more(tmp_path: Path) -> None:
    forged = issue_server(STRANGER, ["127.0.0.1"], NOW)
    with serving(Site(), forged) as site:
        agent = Agent(tmp_path, site, OLD)
        site.announces(STRANGER)
        assert agent.contact() == of(OLD)
        assert site.fetched == 0, "nothing was even asked for"
        assert "certificate of 127.0.0.1" in agent.said[0]
        assert len(agent.said) == 1, "once in a contact"


@pytest.mark.parametrize(
    "header",
    ["", "x", "443", "0 " + "a" * 64, "99999 " + "a" * 64, "443 " + "A" * 64, "443 ../" + "a" * 64, "443 " * 99],
)
def test_what_is_no_offer_is_none(tmp_path: Path, header: str) -> None:
    assert bundles.offer_of("http://ocs:8080/ocsinventory", header) is None


def test_where_the_bundle_is_fetched_from() -> None:
    offered = "4343 " + "a" * 64
    for server, url in (
        ("http://ocs:8080/ocsinventory", "https://ocs:4343/cacert.pem"),
        ("https://ocs:443/ocsinventory", "https://ocs:443/cacert.pem"),
        ("http://[::1]:8080/ocsinventory", "https://[::1]:4343/cacert.pem"),
    ):
        offer = bundles.offer_of(server, offered)
        assert offer
        assert offer.url == url


def test_another_file_than_the_agents_own_a_genuine_server_and_no_bundle_leave_all_as_it_is(tmp_path: Path) -> None:
    with serving(Site(), CROSSED) as site:
        site.announces(NEW, OLD)
        agent = Agent(tmp_path, site, OLD, owns=False)
        assert agent.contact() == of(OLD)
        assert "stays as it is" in agent.said[0]
        site.name = "Apache"
        assert Agent(tmp_path, site, OLD).contact() == of(OLD)
        site.name = "ocs.pyz"
        bare = Agent(tmp_path, site)
        assert bare.contact() == set()
        assert bare.said == []
        assert site.fetched == 0
        assert site.told[-1] == ""


def test_killed_between_its_files_it_comes_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    real = bundles.disk.keep
    with serving(Site(), CROSSED) as site:
        for after in range(3):
            agent = Agent(tmp_path, site, OLD, OTHER)
            (tmp_path / "cacert.pem.server").unlink(missing_ok=True)
            site.announces(NEW, OLD)
            left = [after]

            def keep(path: Path, data: bytes, mode: int = 0o600, left: list[int] = left) -> None:
                if not left[0]:
                    raise Killed
                left[0] -= 1
                real(path, data, mode)

            monkeypatch.setattr(bundles.disk, "keep", keep)
            with pytest.raises(Killed):
                agent.contact()
            monkeypatch.setattr(bundles.disk, "keep", real)
            assert agent.contact() == of(NEW, OLD, OTHER)
            site.announces(NEW)
            assert agent.contact() == of(NEW, OTHER)


def test_a_merge_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        bundles.merged(tmp_path / "none.pem", b"<html>")
