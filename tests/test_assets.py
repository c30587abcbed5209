"""The console's static files: other people's are the ones that were looked at; all have an address for good."""

from __future__ import annotations

import asyncio
import gzip
import re
from pathlib import Path

import assets
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from workshop import Stop

from appliance.domain.refusal import Kind, Refusal
from appliance.web.static import NEEDED, ROUTE, Static, static, static_url, takes_gzip

ROOT = Path(__file__).resolve().parents[1]
CONSOLE = ROOT / "appliance" / "web" / "console"
Answer = tuple[int, dict[str, str], bytes]


def get(files: Static, path: str, accepts: str = "", method: str = "GET") -> Answer:
    """One request to a server that has only these files: status, headers, body as it travelled."""

    async def ask() -> Answer:
        app = web.Application()
        app.router.add_get(ROUTE, files.handler)
        async with (
            TestClient(TestServer(app), auto_decompress=False) as client,
            client.request(method, path, headers={"Accept-Encoding": accepts}) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()

    return asyncio.run(ask())


def made(folder: Path, **own: bytes) -> Static:
    """Static files of a folder with all that is needed."""
    (folder / "vendor").mkdir()
    for name in NEEDED:
        (folder / "vendor" / name).write_bytes(b"/* theirs */")
    for name, content in own.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return Static(folder)


# -- other people's files


def test_what_the_build_put_there_holds_together() -> None:
    folder = assets.VENDOR
    assert {path.name for path in folder.iterdir()} >= {*NEEDED, "licences.txt"}
    bundle = (folder / "bootstrap.bundle.min.js").read_text()
    assert bundle.index("@popperjs/core v2") < bundle.index("Bootstrap v5.3")
    assert "Bootstrap  v5.3" in (folder / "bootstrap.min.css").read_text()[:100]
    assert 'version:"2.' in (folder / "htmx.min.js").read_text()
    for path in folder.iterdir():
        assert "sourceMappingURL" not in path.read_text(), path.name
    licences = (folder / "licences.txt").read_text()
    assert [name for name in NEEDED if name not in licences] == []


def test_every_icon_that_a_page_shows_is_in_the_sprite_and_the_table_is_sorted() -> None:
    sprite = (assets.VENDOR / "icons.svg").read_text()
    there = set(re.findall(r'<symbol id="([a-z0-9-]+)"', sprite))
    names = assets.icons()
    assert names == sorted(set(names))
    assert there == set(names)
    shown = {
        name
        for path in CONSOLE.rglob("*.html")
        for name in re.findall(r"""\bicon\(['"]([^'"]+)['"]\)""", path.read_text(encoding="utf-8"))
    }
    assert sorted(shown - there) == [], "put them into appliance/web/console/icons.txt"


def test_no_static_file_reaches_for_another_server() -> None:
    for path in (ROOT / "appliance" / "web" / "static").rglob("*.*"):
        if path.suffix in (".css", ".js", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert not re.search(r"""(url\(|@import|fetch\(|src=)\s*['"]?(https?:)?//""", text), path.name


def test_a_file_that_is_not_the_one_that_was_looked_at_stops_the_build(tmp_path: Path) -> None:
    target = tmp_path / assets.HTMX.path
    with pytest.raises(Stop, match="in no wheel"):
        assets.HTMX.read(tmp_path)
    target.parent.mkdir(parents=True)
    target.write_bytes((assets.VENDOR / "htmx.min.js").read_bytes() + b"alert(1)")
    with pytest.raises(Stop, match=r"htmx-2\.min\.js has the SHA-256 [0-9a-f]{64}"):
        assets.HTMX.read(tmp_path)


def test_an_icon_that_nobody_drew_stops_the_build() -> None:
    whole = '<svg><symbol class="bi" viewBox="0 0 16 16" id="house"><path d="M0"/></symbol></svg>'
    assert '<symbol id="house" viewBox="0 0 16 16"><path d="M0"/></symbol>' in assets.sprite(whole, ["house"])
    with pytest.raises(Stop, match="there is no icon palace"):
        assets.sprite(whole, ["house", "palace"])


# -- how they are served


def test_each_file_is_found_under_its_address_with_its_type_and_kept_for_good(tmp_path: Path) -> None:
    files = made(tmp_path, a_css=b"a{}", b_js=b"1", c_svg=b"<svg/>", d_png=b"\x89PNG")
    for name, kind in {
        "a.css": "text/css; charset=utf-8", "b.js": "text/javascript; charset=utf-8",
        "c.svg": "image/svg+xml; charset=utf-8", "d.png": "image/png",
        "vendor/htmx.min.js": "text/javascript; charset=utf-8",
    }.items():  # fmt: skip
        assert re.fullmatch(rf"/static/[0-9a-f]{{12}}/{name}", files.url(name))
        status, headers, body = get(files, files.url(name))
        assert (status, headers["Content-Type"]) == (200, kind)
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert body == (tmp_path / name).read_bytes()


def test_another_content_has_another_address_and_an_old_one_leads_nowhere(tmp_path: Path) -> None:
    files = made(tmp_path, a_css=b"a{}")
    before = files.url("a.css")
    (tmp_path / "a.css").write_bytes(b"b{}")
    again = Static(tmp_path)
    assert again.url("a.css") != before
    status, headers, _ = get(again, before)
    assert (status, "Cache-Control" in headers) == (404, False)


@pytest.mark.parametrize(
    "name", ["none.css", "../static.py", "..%2fstatic.py", "%2e%2e/static.py", "vendor", "vendor/"]
)
def test_what_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "static.py").write_text("secret")
    (tmp_path / "static").mkdir()
    files = made(tmp_path / "static", a_css=b"a{}")
    digest = files.url("a.css").split("/")[2]
    assert get(files, f"/static/{digest}/{name}")[0] == 404
    with pytest.raises(KeyError):
        files.url(name)


def test_text_travels_with_gzip_to_whoever_takes_it(tmp_path: Path) -> None:
    content = b"a { color: red }\n" * 100
    files = made(tmp_path, a_css=content, b_png=content)
    _, headers, body = get(files, files.url("a.css"), "gzip, deflate, br")
    assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert (gzip.decompress(body), int(headers["Content-Length"])) == (content, len(body))
    for path, accepts in ((files.url("a.css"), "br"), (files.url("b.png"), "gzip")):
        _, headers, body = get(files, path, accepts)
        assert ("Content-Encoding" in headers, body) == (False, content)
    status, headers, body = get(files, files.url("a.css"), "gzip", "HEAD")
    assert (status, headers["Content-Encoding"], body) == (200, "gzip", b"")


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True), ("GZIP;q=0.5", True), ("br;q=1.0, gzip;q=0.001", True), ("*", True), ("deflate, *;q=0.1", True),
        ("", False), ("identity", False), ("gzip;q=0", False), ("gzip; q=0.000", False), ("*;q=0", False),
        ("gzip;q=0, *", False), ("x-gzip", False),
    ],
)  # fmt: skip
def test_the_header_says_whether_gzip_is_taken(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) is taken


def test_a_checkout_without_other_peoples_files_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "console.css").write_text("a{}")
    with pytest.raises(Refusal) as refused:
        Static(tmp_path)
    assert refused.value.kind is Kind.MISSING
    assert "bootstrap.min.css" in str(refused.value)
    assert "python3 build/make.py assets" in str(refused.value)


def test_the_first_page_needs_less_than_a_third_of_what_it_may() -> None:
    names = ["console.css", "console.js", "vendor/bootstrap.min.css", "vendor/htmx.min.js", "vendor/icons.svg"]
    sizes = [len(get(static(), static_url(name), "gzip")[2]) for name in names]
    assert sum(sizes) < 100_000
