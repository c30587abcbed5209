"""The Remote port over real sockets and real TLS, against a server that does everything wrong."""

from __future__ import annotations

import hashlib
import socket
import ssl
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.agent.contact import make_contact
from appliance.agent.dial import Patience
from appliance.agent.driver import run_once
from appliance.agent.failure import Rejected, Unreachable
from appliance.agent.fetch import fetch_fragment
from appliance.agent.remote import USER_AGENT, Account, HttpRemote
from appliance.domain.package import PackageId
from tests.agent.evil import Authority, Handler, Site, serving
from tests.agent.kit import Built, Lab, package

ID = PackageId("1700000001")
HASTY = Patience(connect=0.3, grace=0.3, rate=1_000_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "strangers")


@pytest.fixture
def secure(authority: Authority) -> Iterator[Site]:
    with serving(authority.context()) as site:
        yield site


@pytest.fixture
def plain() -> Iterator[Site]:
    with serving() as site:
        yield site


def remote(site: Site, bundle: Path | None, **more: object) -> HttpRemote:
    options = {"patience": HASTY, "haste": HASTY, **more}
    return HttpRemote(f"http://{site.address}/ocsinventory", bundle=bundle, **options)  # type: ignore[arg-type]


def take(body: object) -> bytes:
    return b"".join(body.pieces)  # type: ignore[attr-defined]


# Whom the agent believes


def test_info_comes_over_tls_that_was_verified(secure: Site, authority: Authority) -> None:
    secure.answers[f"/download/{ID}/info"] = b"<DOWNLOAD/>"
    assert remote(secure, authority.bundle).info(f"{secure.address}/download", ID) == b"<DOWNLOAD/>"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("wrong authority", "certificate"),
        ("wrong name", "certificate"),
        ("expired", "expired"),
        ("not yet valid", "not yet valid"),
        ("no TLS", "TLS"),
        ("no bundle", "no cacert.pem"),
        ("empty bundle", "no cacert.pem"),
        ("old TLS", "TLS"),
    ],
)
def test_nothing_is_asked_of_a_server_that_is_not_the_right_one(
    authority: Authority, stranger: Authority, tmp_path: Path, fault: str, told: str
) -> None:
    (tmp_path / "empty.pem").write_bytes(b"nothing\n")
    contexts: dict[str, ssl.SSLContext | None] = {
        "wrong authority": stranger.context(),
        "wrong name": authority.context("other.example.org"),
        "expired": authority.context(days=(-10, -1)),
        "not yet valid": authority.context(days=(1, 9)),
        "no TLS": None,
    }
    context = contexts.get(fault, authority.context())
    if fault == "old TLS" and context is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # to offer what nobody should is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    bundles: dict[str, Path | None] = {"no bundle": tmp_path / "missing.pem", "empty bundle": tmp_path / "empty.pem"}
    with serving(context) as site:
        with pytest.raises(Unreachable, match=told):
            remote(site, bundles.get(fault, authority.bundle)).info(f"{site.address}/download", ID)
        assert site.requests == []


def test_a_bundle_that_is_put_there_later_is_taken_up(secure: Site, authority: Authority, tmp_path: Path) -> None:
    bundle = tmp_path / "cacert.pem"
    secure.answers[f"/download/{ID}/info"] = b"x"
    asked = remote(secure, bundle)
    with pytest.raises(Unreachable):
        asked.info(f"{secure.address}/download", ID)
    bundle.write_bytes(authority.bundle.read_bytes())
    asked.refresh()
    assert asked.info(f"{secure.address}/download", ID) == b"x"


@pytest.mark.parametrize("place", ["evil@127.0.0.1", "a/../b", "h\r\nX: y", "", "127.0.0.1:99999/x", "h?x"])
def test_a_location_that_is_none_is_not_asked(secure: Site, authority: Authority, place: str) -> None:
    with pytest.raises(Unreachable):
        remote(secure, authority.bundle).info(place, ID)


def test_a_redirect_is_never_followed(secure: Site, plain: Site, authority: Authority) -> None:
    plain.answers["/evil"] = b"<DOWNLOAD/>"

    def elsewhere(request: Handler) -> None:
        request.reply(302, b"", Location=f"http://{plain.address}/evil")

    secure.answers[f"/download/{ID}/info"] = elsewhere
    with pytest.raises(Rejected, match="302 to go elsewhere"):
        remote(secure, authority.bundle).info(f"{secure.address}/download", ID)
    assert plain.requests == []


# How much and how long


def test_an_endless_body_is_left_at_the_limit(secure: Site, authority: Authority) -> None:
    sent = 0

    def endless(request: Handler) -> None:
        nonlocal sent
        request.send_response(200)
        request.end_headers()
        while not request.site.released.is_set():
            request.wfile.write(b"x" * 65536)
            sent += 65536

    secure.answers[f"/download/{ID}/info"] = endless
    with pytest.raises(Unreachable, match="more than 262144 bytes"):
        remote(secure, authority.bundle).info(f"{secure.address}/download", ID)
    assert sent < 16 * 1024 * 1024  # what the sockets' buffers hold


def test_a_body_that_is_declared_too_long_is_not_read_at_all(secure: Site, authority: Authority) -> None:
    secure.answers[f"/download/{ID}/info"] = lambda request: request.reply(200, b"", Content_Length="99999999")
    with pytest.raises(Unreachable, match="wants to send 99999999 bytes"):
        remote(secure, authority.bundle).info(f"{secure.address}/download", ID)


@pytest.mark.parametrize("kind", ["body", "headers", "silence"])
def test_a_peer_that_drips_or_says_nothing_is_given_up(plain: Site, kind: str) -> None:
    def slow(request: Handler) -> None:
        if kind == "body":
            request.send_response(200)
            request.send_header("Content-Length", "1000")
            request.end_headers()
        elif kind == "headers":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        else:
            request.site.released.wait()
        request.drip()

    plain.answers["/f"] = slow
    with pytest.raises(Unreachable, match="too slow"):
        take(remote(plain, None).fragment(f"http://{plain.address}/f", start=0, size=1000))


def test_a_body_that_stops_early_is_no_body(plain: Site) -> None:
    def short(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"12345")
        request.close_connection = True

    plain.answers["/f"] = short
    with pytest.raises(Unreachable, match="stopped after 5 of 10 bytes"):
        take(remote(plain, None).fragment(f"http://{plain.address}/f", start=0, size=10))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda r: r.reply(200, b"123456"), "6 bytes for a fragment of 5"),
        (lambda r: r.reply(200, b"1234"), "4 bytes for a fragment of 5"),
        (lambda r: r.reply(304, b""), "304"),
        (lambda r: r.reply(404, b""), "404"),
        (lambda r: r.reply(206, b"12345"), "another part"),
        (lambda r: r.reply(206, b"12345", Content_Range="bytes 1-5/6"), "another part"),
        (lambda r: r.reply(200, b"12345", Content_Encoding="gzip"), "Content-Encoding"),
        (
            lambda r: r.reply(200, b"5\r\n12345\r\n0\r\n\r\n", Transfer_Encoding="chunked", Content_Length="5"),
            "how long",
        ),
        (lambda r: r.wfile.write(b"garbage\r\n\r\n"), "HTTP"),
    ],
)
def test_a_fragment_of_another_size_or_form_is_refused(plain: Site, answer: object, told: str) -> None:
    plain.answers["/f"] = answer  # type: ignore[assignment]
    with pytest.raises(Unreachable, match=told):
        take(remote(plain, None).fragment(f"http://{plain.address}/f", start=0, size=5))


def test_a_fragment_without_a_length_is_refused(plain: Site) -> None:
    def lengthless(request: Handler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"12345")
        request.close_connection = True

    plain.answers["/f"] = lengthless
    with pytest.raises(Unreachable, match="how long"):
        remote(plain, None).fragment(f"http://{plain.address}/f", start=0, size=None)


def test_the_rest_of_a_fragment_is_asked_for_by_range(plain: Site) -> None:
    plain.answers["/f"] = lambda request: request.ranged(b"0123456789")
    incoming = remote(plain, None).fragment(f"http://{plain.address}/f", start=4, size=10)
    assert (incoming.start, incoming.size, take(incoming)) == (4, 10, b"456789")
    assert plain.requests[0][2]["Range"] == "bytes=4-"


def test_a_server_that_knows_no_range_sends_it_all_again(plain: Site) -> None:
    plain.answers["/f"] = b"0123456789"
    incoming = remote(plain, None).fragment(f"http://{plain.address}/f", start=4, size=10)
    assert (incoming.start, take(incoming)) == (0, b"0123456789")


# Connections


def test_one_connection_serves_many_fragments(plain: Site) -> None:
    asked = remote(plain, None)
    for number in range(20):
        plain.answers[f"/{number}"] = b"x" * number
        assert take(asked.fragment(f"http://{plain.address}/{number}", start=0, size=number)) == b"x" * number
    assert plain.connections == 1


def test_a_kept_connection_that_was_closed_is_opened_again_once(plain: Site) -> None:
    asked = remote(plain, None)

    def last_words(request: Handler) -> None:
        request.reply(200, b"12345")
        request.close_connection = True  # without a word about it

    plain.answers["/f"] = last_words
    for _ in range(3):
        assert take(asked.fragment(f"http://{plain.address}/f", start=0, size=5)) == b"12345"
    assert plain.connections == 3


def test_a_server_that_always_hangs_up_is_unreachable(plain: Site) -> None:
    def hang_up(request: Handler) -> None:
        request.close_connection = True

    plain.answers["/f"] = hang_up
    with pytest.raises(Unreachable):
        remote(plain, None).fragment(f"http://{plain.address}/f", start=0, size=5)
    assert plain.connections == 1


def test_nobody_at_the_address_is_said_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unreachable, match="cannot be reached"):
        HttpRemote(f"http://{address}/ocsinventory", bundle=None, patience=HASTY).contact(b"<x/>")


# The contact


def test_a_contact_is_a_zlib_stream_that_genuine_servers_understand(plain: Site) -> None:
    plain.answers["/ocsinventory"] = zlib.compress(b"<REPLY/>")
    assert remote(plain, None).contact(b"<REQUEST/>") == b"<REPLY/>"
    method, path, headers, body = plain.requests[0]
    assert (method, path, zlib.decompress(body)) == ("POST", "/ocsinventory", b"<REQUEST/>")
    assert headers["User-Agent"] == USER_AGENT
    assert headers["OCS-Agent"].startswith("ocs.pyz/")
    assert headers["Content-Type"] == "application/x-compress"
    assert int(headers["Content-Length"]) == len(body)
    assert "Authorization" not in headers


def test_an_empty_answer_is_an_answer(plain: Site) -> None:
    plain.answers["/ocsinventory"] = b""
    assert remote(plain, None).contact(b"<REQUEST/>") == b""


@pytest.mark.parametrize(
    "body", [zlib.compress(b"x" * 2_000_000), b"garbage", zlib.compress(b"<a/>") + b"x", b"<" * 1_048_577]
)
def test_an_answer_that_is_no_message_is_no_answer(plain: Site, body: bytes) -> None:
    plain.answers["/ocsinventory"] = body
    with pytest.raises(Unreachable):
        remote(plain, None).contact(b"<REQUEST/>")


def test_the_password_is_given_to_the_right_realm_only_and_then_each_time(plain: Site) -> None:
    def guarded(request: Handler) -> None:
        if request.headers.get("Authorization") == "Basic dTpww6Q=":
            request.reply(200, b"")
        else:
            request.reply(401, b"", WWW_Authenticate='Basic realm="ocs"')

    plain.answers["/ocsinventory"] = guarded
    with pytest.raises(Rejected):
        remote(plain, None, account=Account("u", "p\u00e4", "other")).contact(b"<x/>")
    assert not any("Authorization" in headers for _, _, headers, _ in plain.requests)
    asked = remote(plain, None, account=Account("u", "p\u00e4", "ocs"))
    plain.requests.clear()
    asked.contact(b"<x/>")
    asked.contact(b"<x/>")
    assert ["Authorization" in headers for _, _, headers, _ in plain.requests] == [False, True, True]


def test_what_is_mentioned_goes_out_once_on_a_connection_of_its_own_and_nothing_is_kept_open(plain: Site) -> None:
    plain.answers["/ocsinventory"] = b""
    asked = remote(plain, None)
    asked.contact(b"<x/>")
    asked.mention(b"<y/>")
    asked.mention(b"<z/>")
    asked.contact(b"<x/>")
    assert [zlib.decompress(body) for _, _, _, body in plain.requests] == [b"<x/>", b"<y/>", b"<z/>", b"<x/>"]
    assert plain.connections == 3
    assert plain.requests[1][2]["User-Agent"] == USER_AGENT


def test_what_is_mentioned_is_given_up_in_a_moment_and_not_tried_again(plain: Site) -> None:
    plain.answers["/ocsinventory"] = lambda request: request.site.released.wait(20)
    with pytest.raises(Unreachable, match="too slow"):
        remote(plain, None).mention(b"<y/>")
    assert len(plain.requests) == 1
    plain.released.set()


@pytest.mark.parametrize(("header", "status"), [("ocs.pyz", 400), ("Apache/2.4.62 (Debian)", 200), ("ocs.pyz", 503)])
def test_a_server_that_refuses_a_mention_or_is_no_longer_ours_is_told_apart(
    plain: Site, header: str, status: int
) -> None:
    def answers(request: Handler) -> None:
        request.server_version = header
        request.reply(status, b"")

    plain.answers["/ocsinventory"] = answers
    with pytest.raises(Rejected):
        remote(plain, None).mention(b"<y/>")


def test_a_wrong_password_is_tried_once(plain: Site) -> None:
    plain.answers["/ocsinventory"] = lambda request: request.reply(401, b"", WWW_Authenticate="Basic realm=ocs")
    with pytest.raises(Rejected, match="401"):
        remote(plain, None, account=Account("u", "p")).contact(b"<x/>")
    assert len(plain.requests) == 2


# Proxies


def test_a_proxy_gets_the_whole_url_and_its_own_password(plain: Site) -> None:
    plain.answers["http://ocs.example.org/f"] = b"12345"
    asked = remote(plain, None, proxy=f"http://me:s%40cret@{plain.address}")
    assert take(asked.fragment("http://ocs.example.org/f", start=0, size=5)) == b"12345"
    headers = plain.requests[0][2]
    assert headers["Host"] == "ocs.example.org"
    assert headers["Proxy-Authorization"] == "Basic bWU6c0BjcmV0"


def test_tls_goes_through_the_proxy_and_is_still_verified(
    plain: Site, secure: Site, authority: Authority, stranger: Authority
) -> None:
    secure.answers[f"/download/{ID}/info"] = b"through"

    def tunnel(request: Handler) -> None:
        request.send_response(200)
        request.end_headers()
        host, _, port = secure.address.partition(":")
        with socket.create_connection((host, int(port)), 5) as far:
            near = request.connection
            near.settimeout(0.01)
            far.settimeout(0.01)
            while not request.site.released.is_set():
                for source, target in ((near, far), (far, near)):
                    try:
                        data = source.recv(65536)
                    except OSError:  # nothing to read yet; Python 3.9 has its own name for it
                        continue
                    if not data:
                        return
                    target.sendall(data)

    plain.answers[secure.address] = tunnel
    patience = Patience(connect=5, grace=5)
    asked = remote(plain, authority.bundle, proxy=f"http://{plain.address}", patience=patience)
    assert asked.info(f"{secure.address}/download", ID) == b"through"
    asked.close()
    with pytest.raises(Unreachable, match="certificate"):
        remote(plain, stranger.bundle, proxy=f"http://{plain.address}", patience=patience).info(secure.address, ID)
    assert {entry[0] for entry in plain.requests} == {"CONNECT"}


def test_a_proxy_that_refuses_is_named(plain: Site, authority: Authority) -> None:
    asked = remote(plain, authority.bundle, proxy=f"http://{plain.address}")
    with pytest.raises(Unreachable, match=r"does not connect to ocs\.example\.org:4343: it answered 404"):
        asked.info("ocs.example.org:4343/download", ID)


# The whole way


def offer(built: Built, secure: Site, plain: Site) -> Built:
    folder = f"/download/{built.id}"
    secure.answers[f"{folder}/info"] = built.raw_info
    if built.raw_manifest is not None:
        secure.answers[f"{folder}/manifest"] = built.raw_manifest
    for number, data in enumerate(built.fragments, 1):
        plain.answers[f"{folder}/{built.id}-{number}"] = lambda request, data=data: request.ranged(data)
    built.pack = type(built.pack)(built.id, f"{secure.address}/download", f"{plain.address}/download")
    return built


class Both:
    """The fake server's contacts, the real Remote's downloads."""

    def __init__(self, lab: Lab, real: HttpRemote) -> None:
        self.server, self.is_genuine = lab.server.server, lab.server.is_genuine
        self.contact, self.mention = lab.server.contact, lab.server.mention
        self.refresh = real.refresh
        self.info, self.manifest, self.fragment = real.info, real.manifest, real.fragment


def test_a_partly_fetched_fragment_goes_on_where_it_stopped(
    tmp_path: Path, secure: Site, plain: Site, authority: Authority
) -> None:
    built = offer(package(data=bytes(range(256)) * 40, fragment_size=4096), secure, plain)
    lab = Lab(tmp_path / "agent")
    lab.server.add(built)
    world = lab.start()
    world.remote = Both(lab, remote(plain, authority.bundle))
    path = f"/download/{built.id}/{built.id}-1"
    whole = plain.answers[path]

    def breaks(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "4096")
        request.end_headers()
        request.wfile.write(built.fragments[0][:3000])
        request.close_connection = True

    plain.answers[path] = breaks
    assert make_contact(world)
    with pytest.raises(Unreachable, match="stopped after 3000 of 4096"):
        fetch_fragment(world, built.id, 1)
    plain.answers[path] = whole
    fetch_fragment(world, built.id, 1)
    assert plain.requests[-1][2]["Range"] == "bytes=3000-"
    data = world.spool.fragment_path(built.id, 1).read_bytes()
    assert hashlib.sha256(data).digest() == hashlib.sha256(built.fragments[0]).digest()


def test_a_server_that_had_manifests_and_has_none_for_a_package_is_not_believed(
    tmp_path: Path, secure: Site, plain: Site, authority: Authority
) -> None:
    first = offer(package(1), secure, plain)
    second = offer(package(2, with_manifest=False), secure, plain)
    lab = Lab(tmp_path / "agent")
    world = lab.start()
    world.remote = Both(lab, remote(plain, authority.bundle))
    lab.server.add(second)
    assert run_once(world)  # as a genuine server: there never was one
    lab.server.finished.clear()
    lab.server.packages.clear()
    lab.server.add(first)
    assert run_once(world)
    third = offer(package(3, with_manifest=False), secure, plain)
    lab.server.add(third)
    again = lab.start()
    again.remote = Both(lab, remote(plain, authority.bundle))
    assert run_once(again)
    assert lab.results() == {second.id: "SUCCESS", first.id: "SUCCESS", third.id: "ERR_DOWNLOAD_INFO"}


@pytest.mark.parametrize(("header", "genuine"), [("ocs.pyz", False), ("Apache/2.4.62 (Debian)", True), ("", True)])
def test_a_genuine_server_is_known_by_the_header_that_ours_sends(plain: Site, header: str, genuine: bool) -> None:
    def answers(request: Handler) -> None:
        request.server_version = header
        request.reply(200, b"")

    plain.answers["/ocsinventory"] = answers
    asked = remote(plain, None)
    assert asked.is_genuine  # nobody knows yet
    asked.contact(b"<x/>")
    assert asked.is_genuine is genuine
