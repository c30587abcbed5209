"""Every field of an inventory and every header as an attack; then every page that can be reached is read.

What is sent carries its number, so that a page that breaks names the field. Fields come from inventories as agents
send them (tests/golden), and from the search's own table.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from appliance.web.console.frame import HEADERS
from appliance.web.console.routes import routes
from appliance.wire import envelope
from tests.fakes.appliance import Running, build, must
from tests.web.api.conftest import _token
from tests.web.api.kit import Client, told
from tests.web.console import walk
from tests.web.console.conftest import Console
from tests.web.console.kit import ADMINISTRATOR, Browser
from tests.web.console.polyglots import MARK, POLYGLOTS, STYLES, Hostile, Waiting, finish, introduce

MANY = 250  # pages at most


class Reader(HTMLParser):
    """Tags and attributes that only a broken page has, and the links of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.broken: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        strange = [
            name for name in have if name.startswith("on") or MARK.search(name) or name in ("autofocus x", "src=x")
        ]
        if strange or (tag == "img" and have.get("src") == "x") or (tag == "b" and MARK.search(str(have))):
            self.broken.append(f"<{tag} {have}>")
        for name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
            if have.get(name, "").strip().lower().startswith(("javascript:", "data:text", "vbscript:")):
                self.broken.append(f"<{tag} {have}>")
        if tag == "a" and have.get("href", "").startswith(("/", "?")):
            self.links.append(have["href"])

    def handle_comment(self, data: str) -> None:
        if MARK.search(data):
            self.broken.append(data[:200])

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("script", "style") and MARK.search(data):
            self.broken.append(data[:200])


@pytest.fixture(scope="module")
def attacked(running: tuple[Running, dict[str, str]]) -> tuple[Console, Hostile, walk.Site]:
    """A console whose every field, header and name is hostile."""
    server, cookies = running
    console = Console(server, Browser(server))
    console.browser.cookies.update(cookies)
    hostile, data = Hostile(), console.data
    site = walk.furnish(console)

    def post(xml: bytes, headers: Mapping[str, str]) -> int:
        sent = {"Content-Type": "application/x-compress", **headers}
        return server.ask("POST", "/ocsinventory", envelope.pack(xml), sent).status

    attackers = introduce(post, hostile)
    package = build(data, hostile("package name")[:50], "--description", hostile("description"))
    must("package", "activate", package, "--unchecked", data=data)
    must("package", "affect", package, "--all", data=data)
    finish(post, hostile, attackers, package)
    for style in STYLES:  # sessions show the browser; failed sign-ins show the name
        agent = hostile.header("browser", style=style)
        headers = {"User_Agent": agent, "Referer": agent, "Accept_Language": agent, "Cookie": f"__Host-theme={agent}"}
        console.visitor().get("/sign-in", **headers)
    browser = console.visitor().get("/sign-in")
    browser.submit("Sign in", name=hostile("a name that signs in", style=1), password="wrong one")
    return console, hostile, site


def test_no_page_that_can_be_reached_breaks_whatever_agents_and_browsers_say(
    attacked: tuple[Console, Hostile, walk.Site],
) -> None:
    console, hostile, site = attacked
    line, cookies = walk.Line(console.server), console.browser.cookies
    before = walk.kept(console.data)
    first = [site.path(route) for route in routes() if route.method == "GET"]
    first += [f"/computers?q={quote(text.format(n=99999))}" for text in POLYGLOTS]
    first += [f"/{quote(text.format(n=99999), safe='')}" for text in POLYGLOTS]
    waiting = Waiting(first, alike=12, most=MANY)
    met: set[str] = set()
    for path in waiting:
        answer = line.ask("GET", path, cookies)
        assert answer.status < 500, path
        assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS, path
        assert all("a=b" not in cookie for cookie in answer.cookies), path
        kind, text = answer.headers.get("content-type", ""), answer.body.decode(errors="replace")
        if "html" in kind:
            reader = Reader()
            reader.feed(text)
            assert reader.broken == [], (path, hostile.blame(str(reader.broken)))
            assert walk.faults(text) == [], path
            assert "zq" not in text or "133700021" not in text, f"{path}: something was evaluated"
            met.update(MARK.findall(unescape(text)))
            waiting.add(path, reader.links)
        elif "csv" in kind:
            for row in csv.reader(io.StringIO(text)):
                bad = [cell for cell in row if MARK.search(cell) and cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
                assert bad == [], (path, "a spreadsheet would run this")
        elif "json" in kind:
            json.loads(text)
    line.close()
    assert walk.kept(console.data) == before, "reading changes nothing"
    assert len(waiting.seen) > 60
    assert len(met) > 300, "what agents said is on the pages"


def test_the_log_of_the_server_stays_one_line_for_each_event(attacked: tuple[Console, Hostile, walk.Site]) -> None:
    for text in attacked[0].server.log.read_text().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ocs[.\w]* [A-Z]+ ", text), text
        assert text.isprintable()


def test_the_api_says_the_same_words_as_they_came(attacked: tuple[Console, Hostile, walk.Site]) -> None:
    console = attacked[0]
    client = Client(console.server, console.desk(_token, ADMINISTRATOR))
    found = client.post("/computers/search", {"search": []})
    shown = 0
    for computer in found["computers"]:
        answer = client.ask("GET", f"/computers/{computer['id']}")
        assert answer.headers["content-type"].startswith("application/json")
        shown += len(MARK.findall(json.dumps(told(answer))))
    client.close()
    assert shown > 100
