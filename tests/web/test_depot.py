"""What agents download: info over TLS alone, fragments whole or in part, and never what breaks a genuine agent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
import zipfile
from pathlib import Path

import pytest

from appliance.wire import info, manifest
from tests.fakes.appliance import Answer, build, must, until
from tests.web.conftest import Site

HARMLESS = {"content-length", "content-type", "date", "server", "x-content-type-options", "accept-ranges", "etag"}


def plain(answer: Answer) -> bool:
    """Exact length, no chunks, no encoding, no redirect."""
    assert not {"transfer-encoding", "content-encoding", "location"} & answer.headers.keys()
    return answer.headers["content-length"] == str(len(answer.body))


# Info and manifest


@pytest.mark.parametrize("name", ["info", "manifest"])
@pytest.mark.parametrize("package", ["known", "1000000000"])
def test_over_http_info_is_forbidden_whether_it_is_there_or_not(site: Site, name: str, package: str) -> None:
    answer = site.server.get(f"/download/{site.package if package == 'known' else package}/{name}")
    assert answer.status == 403
    assert answer.line == "this is served over https only"


def test_over_tls_info_and_manifest_are_the_files_on_the_disk(site: Site) -> None:
    told = site.server.get(f"/download/{site.package}/info", secure=True)
    seal = site.server.get(f"/download/{site.package}/manifest", secure=True)
    for answer, name in ((told, "info"), (seal, "manifest")):
        assert answer.status == 200
        assert plain(answer)
        assert answer.body == site.file(name).read_bytes()
    assert told.headers["content-type"].startswith("text/xml")
    assert info.decode(told.body).fragments == 4
    sealed = manifest.decode(seal.body)
    assert sealed.info_sha256 == hashlib.sha256(told.body).hexdigest()
    assert [piece.size for piece in sealed.pieces] == [len(fragment) for fragment in site.fragments]


def test_a_package_without_a_file_has_the_two_and_no_fragment(site: Site) -> None:
    for name, status in (("info", 200), ("manifest", 200), (f"{site.bare}-1", 404)):
        assert site.server.get(f"/download/{site.bare}/{name}", secure=True).status == status


def test_head_says_what_get_says_without_the_body(site: Site) -> None:
    paths = [(site.url(1), False), (site.url(1), True), (f"/download/{site.package}/info", True), ("/cacert.pem", True)]
    for path, secure in paths:
        get = site.server.ask("GET", path, secure=secure)
        head = site.server.ask("HEAD", path, secure=secure)
        assert (head.status, head.body) == (200, b"")
        assert {k: v for k, v in head.headers.items() if k != "date"} == {
            k: v for k, v in get.headers.items() if k != "date"
        }


# Names


STRANGE = [
    "/download", "/download/", "/download/{id}", "/download/{id}/", "/download/{id}/{id}-0", "/download/{id}/{id}-5",
    "/download/{id}/{id}-01", "/download/{id}/{id}-1.", "/download/{id}/{id}-1/", "/download/{id}/{id}-1%00",
    "/download/{id}/{id}-+1", "/download/{id}/{id}-1e0", "/download/{id}/{id}-%D9%A1", "/download/{id}/{id}-9999999999",
    "/download/{id}/{bare}-1", "/download/{bare}/{id}-1", "/download/{id}/Info", "/download/{id}/info.tmp",
    "/download/0{id}/0{id}-1", "/download/{id}%20/{id}%20-1", "/download/1000000000/1000000000-1",
    "/download/../{id}/{id}-1/..", "/download/../../../../etc/passwd", "/download/%2e%2e/%2e%2e/etc/passwd",
    "/download/..%2f..%2focs.sqlite/x", "/download/{id}/../../ocs.sqlite", "/download/{id}/%2e%2e", "/download/{id}/..",
    "/download/{id}/..%2f{id}%2f{id}-1", "/download/{id}.building/info", "/download//etc/passwd", "//etc/passwd",
    "/ocs.sqlite", "/fragments/{id}/info", "/download/{id}\\{id}-1/x", "/download/' OR 1=1--/info", "/", "/console",
    "/api/v1/", "/.well-known/security.txt", "/download/{id}/info/x", "/download/{id}/{id}-1;a",
    "/download/{id}/{id}-{long}",
]  # fmt: skip


@pytest.mark.parametrize("path", STRANGE)
def test_any_other_name_is_not_found(site: Site, path: str) -> None:
    path = path.format(id=site.package, bare=site.bare, long="1" * 3000).replace(" ", "%20")
    for secure in (False, True):
        answer = site.server.ask("GET", path, secure=secure)
        forbidden = (
            not secure and path.startswith("/download/") and path.endswith("/info")
        )  # whatever the package is called
        assert answer.status == (403 if forbidden else 404), answer.body
        assert len(answer.line) < 100
        assert "passwd" not in answer.line
        assert plain(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_downloads_are_read_only(site: Site, method: str) -> None:
    for path in (site.url(1), "/cacert.pem", f"/download/{site.package}/info"):
        answer = site.server.ask(method, path, b"", secure=True)
        assert answer.status == 405
        assert answer.line


# Fragments


@pytest.mark.parametrize("secure", [False, True])
def test_fragments_are_byte_exact_and_named_by_their_digest(site: Site, secure: bool) -> None:
    for number, fragment in enumerate(site.fragments, 1):
        answer = site.server.get(site.url(number), secure=secure)
        assert answer.status == 200
        assert plain(answer)
        assert answer.body == fragment
        assert answer.headers["etag"] == f'"{hashlib.sha256(fragment).hexdigest()}"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers.keys() <= HARMLESS


def spans(size: int) -> list[tuple[str, int, bytes | None, tuple[int, int]]]:
    return [
        ("bytes=0-0", 206, None, (0, 1)),
        ("bytes=0-9", 206, None, (0, 10)),
        ("bytes=100-199", 206, None, (100, 200)),
        (f"bytes={size - 1}-", 206, None, (size - 1, size)),
        (f"bytes=10-{size * 9}", 206, None, (10, size)),
        ("bytes=-1", 206, None, (size - 1, size)),
        ("bytes=-100", 206, None, (size - 100, size)),
        (f"bytes=-{size * 9}", 200, None, (0, size)),
        ("bytes=0-", 200, None, (0, size)),
        ("bytes=0-1,5-6", 200, None, (0, size)),
        ("bytes=", 200, None, (0, size)),
        ("bytes=-", 200, None, (0, size)),
        ("bytes=a-b", 200, None, (0, size)),
        ("bytes=9-5", 200, None, (0, size)),
        ("lines=0-9", 200, None, (0, size)),
        ("bytes=" + "9" * 100 + "-", 200, None, (0, size)),
        (f"bytes={size}-", 416, b"", (0, 0)),
        (f"bytes={size + 5}-{size + 9}", 416, b"", (0, 0)),
        ("bytes=-0", 416, b"", (0, 0)),
    ]


def test_ranges(site: Site) -> None:
    whole = site.fragments[1]
    for header, status, _, (start, end) in spans(len(whole)):
        answer = site.server.get(site.url(2), Range=header)
        assert answer.status == status, header
        assert plain(answer)
        if status == 416:
            assert answer.headers["content-range"] == f"bytes */{len(whole)}"
            assert answer.line
            continue
        assert answer.body == whole[start:end], header
        said = answer.headers.get("content-range")
        assert said == (f"bytes {start}-{end - 1}/{len(whole)}" if status == 206 else None)


def test_a_download_that_broke_off_can_go_on_only_with_the_same_file(site: Site) -> None:
    etag = site.server.get(site.url(1)).headers["etag"]
    whole = site.fragments[0]
    go_on = site.server.get(site.url(1), Range="bytes=1000-", If_Range=etag)
    assert (go_on.status, go_on.body) == (206, whole[1000:])
    for other in ('"other"', "Fri, 20 Nov 2026 20:35:23 GMT", f"W/{etag}"):
        anew = site.server.get(site.url(1), Range="bytes=1000-", If_Range=other)
        assert (anew.status, anew.body) == (200, whole)


def test_no_condition_is_ever_answered_with_304_or_412(site: Site) -> None:
    for path, secure in ((site.url(1), False), (site.url(1), True), (f"/download/{site.package}/info", True)):
        etag = site.server.get(path, secure=secure).headers.get("etag", "*")
        for header, value in (
            ("If_None_Match", etag),
            ("If_None_Match", "*"),
            ("If_Modified_Since", "Fri, 20 Nov 2037 20:35:23 GMT"),
            ("If_Match", '"other"'),
            ("If_Unmodified_Since", "Fri, 20 Nov 1999 20:35:23 GMT"),
            ("Accept_Encoding", "gzip, deflate, br"),
            ("TE", "deflate,gzip;q=0.3"),
        ):
            answer = site.server.get(path, secure=secure, **{header: value})
            assert (answer.status, plain(answer)) == (200, True), (path, header)


def test_a_connection_serves_many_requests(site: Site) -> None:
    with site.server.connect() as link:
        reader = link.makefile("rb")
        for number in (1, 2, 3, 1):
            link.sendall(f"GET {site.url(number)} HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: gzip\r\n\r\n".encode())
            assert b" 200 " in reader.readline()
            while reader.readline() != b"\r\n":
                pass
            assert reader.read(len(site.fragments[number - 1])) == site.fragments[number - 1]


# Damage


def test_a_damaged_fragment_is_503_before_any_byte_and_well_again_when_mended(site: Site) -> None:
    path, whole = site.file(f"{site.package}-3"), site.fragments[2]
    try:
        for damage in (whole[:-1], b"", whole + b"x"):
            path.write_bytes(damage)
            for method in ("GET", "HEAD"):
                answer = site.server.ask(method, site.url(3), None, {"Range": "bytes=0-9"})
                assert (answer.status, answer.headers.get("etag")) == (503, None)
            assert (
                site.server.get(site.url(3)).line
                == f"{site.package}-3 of package {site.package} is damaged on the disk."
            )
        path.unlink()
        assert site.server.get(site.url(3)).status == 503
        assert site.server.get(site.url(2)).status == 200
    finally:
        path.write_bytes(whole)
    assert site.server.get(site.url(3)).body == whole


def test_one_changed_byte_of_the_same_length_is_503_before_any_byte_and_well_again_when_mended(site: Site) -> None:
    path, whole = site.file(f"{site.package}-2"), site.fragments[1]
    assert site.server.get(site.url(2)).body == whole, "it was verified, and the server knows it"
    try:
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            for method in ("GET", "HEAD"):
                answer = site.server.ask(method, site.url(2), None, {"Range": "bytes=0-9"})
                assert (answer.status, answer.headers.get("etag")) == (503, None)
            assert site.server.get(site.url(2), secure=True).status == 503
        assert site.server.get(site.url(3)).status == 200
        said = f"{site.package}-2 of package {site.package} is damaged on the disk; `check` says what to do."
        assert site.server.log.read_text().count(said) == 3, "once for each damage, not for each request"
    finally:
        path.write_bytes(whole)
    assert site.server.get(site.url(2)).body == whole


@pytest.mark.parametrize("name", ["info", "manifest"])
def test_a_damaged_info_file_is_503_because_a_genuine_agent_stalls_on_it(site: Site, name: str) -> None:
    path = site.file(name)
    whole = path.read_bytes()
    try:
        for damage in (whole[:-5], whole.replace(b"0", b"1", 1), b"", b"<"):
            path.write_bytes(damage)
            assert site.server.get(f"/download/{site.package}/{name}", secure=True).status == 503
    finally:
        path.write_bytes(whole)


def test_a_fragment_that_shrinks_while_it_is_sent_ends_as_a_broken_connection(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "big.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("noise", os.urandom(24 * 1024**2))
    package = build(
        site.server.data, "big", "--action", "store", "--path", "/x", "--file", archive, "--fragment-size", "1G"
    )
    path = site.server.data / "fragments" / package / f"{package}-1"
    size = path.stat().st_size
    with site.server.connect() as link:
        link.sendall(f"GET /download/{package}/{package}-1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert link.recv(100).startswith(b"HTTP/1.1 200 ")
        os.truncate(path, 1000)
        got = 100
        with contextlib.suppress(ConnectionError):
            while piece := link.recv(65536):
                got += len(piece)
        assert got < size, "a short body must not look like a whole one"
    assert site.server.get("/healthz").status == 200


def test_an_agent_that_goes_away_in_the_middle_leaves_the_server_well(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "large.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("noise", os.urandom(24 * 1024**2))
    package = build(site.server.data, "large", "--action", "store", "--path", "/x", "--file", archive)
    for secure in (False, True):
        for _ in range(5):
            with site.server.connect(secure=secure) as link:
                link.sendall(f"GET /download/{package}/{package}-1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert link.recv(1000).startswith(b"HTTP/1.1 200 ")
    held = Path(f"/proc/{site.server.process.pid}/fd")

    def open_fragments() -> list[str]:
        names = []
        for entry in held.iterdir():
            try:
                names.append(os.readlink(entry))
            except FileNotFoundError:
                continue
        return [name for name in names if package in name]

    until(lambda: not open_fragments(), "the fragment is closed")
    must("package", "delete", package, data=site.server.data)
    assert site.server.get(f"/download/{package}/{package}-1").status == 404


def test_many_agents_at_once_get_the_same_bytes(site: Site) -> None:
    wrong: list[object] = []

    def fetch(secure: bool) -> None:
        for number in (1, 2, 3, 4):
            answer = site.server.get(site.url(number), secure=secure)
            if answer.body != site.fragments[number - 1]:
                wrong.append((number, answer.status))

    threads = [threading.Thread(target=fetch, args=(n % 2 == 0,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


# An edit while the server runs


def test_a_running_server_serves_an_edit_at_once_and_whole(site: Site) -> None:
    package = build(site.server.data, "to edit")
    before = site.server.get(f"/download/{package}/info", secure=True).body
    stop = threading.Event()
    seen: set[tuple[int, bytes]] = set()

    def poll() -> None:
        while not stop.is_set():
            told = site.server.get(f"/download/{package}/info", secure=True)
            seen.add((told.status, told.body))

    poller = threading.Thread(target=poll)
    poller.start()
    for number in range(10):
        must("package", "edit", package, "--command", f"echo {number}", data=site.server.data)
    stop.set()
    poller.join(20)
    after = site.server.get(f"/download/{package}/info", secure=True).body
    assert {status for status, _ in seen} == {200}
    assert {info.decode(body).argument for _, body in seen} <= {"true", *(f"echo {n}" for n in range(10))}
    assert (info.decode(before).argument, info.decode(after).argument) == ("true", "echo 9")


# What else agents may fetch


def test_the_authority_is_served_over_tls_alone_and_is_what_is_exported(site: Site) -> None:
    assert site.server.get("/cacert.pem").status == 404
    answer = site.server.get("/cacert.pem", secure=True)
    assert answer.body.decode() == site.server.authority
    assert b"PRIVATE" not in answer.body
    assert answer.body.count(b"BEGIN CERTIFICATE") == 1


def test_a_server_that_runs_from_a_source_tree_has_no_file_of_its_own_to_hand_out(site: Site) -> None:
    assert site.server.get("/ocs.pyz").status == 404
    assert site.server.get("/ocs.pyz", secure=True).line == "this server does not run from a file of its own"


def test_stats_and_lists_name_what_is_served(site: Site) -> None:
    shown = json.loads(must("package", "show", site.package, "--json", data=site.server.data))
    assert shown["fragments"] == 4
    assert shown["sha256"] == hashlib.sha256(b"".join(site.fragments)).hexdigest()
    assert shown["md5"] == hashlib.md5(b"".join(site.fragments), usedforsecurity=False).hexdigest()


def test_the_clock_of_a_slow_reader_is_its_own(site: Site) -> None:
    begun = time.monotonic()
    with site.server.connect() as slow:
        slow.sendall(f"GET {site.url(1)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slow.recv(10)
        assert site.server.get(site.url(2)).body == site.fragments[1]
    assert time.monotonic() - begun < 5


def test_what_lies_on_the_shelf_without_a_row_is_not_there(site: Site) -> None:
    stranger = site.server.data / "fragments" / "1900000000"
    stranger.mkdir()
    for name in ("info", "manifest", "1900000000-1"):
        (stranger / name).write_text("a stranger's")
        assert site.server.get(f"/download/1900000000/{name}", secure=True).status == 404
    shutil.rmtree(stranger)
