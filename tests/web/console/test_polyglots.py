"""Every field of an inventory and every header as an attack; then every page that can be reached is read.

What is sent carries its number, so that a page that breaks names the field. Fields come from inventories as agents
send them (tests/golden), and from the search's own table.
"""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import pytest

from appliance.domain.messages import Inventory
from appliance.domain.search import FIELDS
from appliance.web.console.frame import HEADERS
from appliance.web.console.routes import routes
from appliance.wire import contact, envelope
from appliance.wire.malformed import Malformed
from tests.fakes.appliance import Running, build, device, inventory, must, prolog, report
from tests.web.api.conftest import _token
from tests.web.api.kit import Client, told
from tests.web.console import walk
from tests.web.console.conftest import Console
from tests.web.console.kit import ADMINISTRATOR, Browser

CAPTURES = Path(__file__).parents[2] / "golden" / "captures"
MANY = 250  # pages at most
MARK = re.compile(r"zq(\d+)")

OTHERS = (
    *("PRINTERS", "MONITORS", "VIDEOS", "SOUNDS", "MODEMS", "SLOTS", "PORTS", "INPUTS", "CONTROLLERS", "MEMORIES"),
    *("CPUS", "DRIVES", "STORAGES", "REGISTRY", "LOCAL_USERS", "LOCAL_GROUPS", "VIRTUALMACHINES", "BATTERIES"),
    *("USBDEVICES", "SIM", "NEVER_HEARD_OF"),
)
USUAL = (
    *("NAME", "CAPTION", "DESCRIPTION", "MANUFACTURER", "MODEL", "TYPE", "SERIALNUMBER", "COMMENTS", "DRIVER"),
    *("PORT", "VALUE", "SIZE"),
)

# {n} is the number; whatever is evaluated, opened or closed by one of them shows as `broken` does
POLYGLOTS = (
    "zq{n}<script>alert({n})</script>",
    "zq{n}\"'><img src=x onerror=alert({n})>",
    "zq{n}' autofocus onfocus=alert({n}) x='",
    "zq{n}</textarea></title></style></script></select><svg/onload=alert({n})>",
    "javascript:alert('zq{n}')",
    "=cmd|'/C calc'!A0 zq{n}",
    "@SUM(1+1) zq{n}",
    "zq{n}{{{{7*19100003}}}}${{7*19100003}}<%= 7*19100003 %>#{{7*19100003}}",
    "zq{n}' OR '1'='1'; DROP TABLE computer; --",
    "zq{n}%(name)s %s {{0}} {{name}} \\u003cimg\\u003e",
    "zq{n}\r\nSet-Cookie: a=b\r\n\r\n<b>",
    "zq{n}\u202e\u0000\u200b&lt;b&gt;&amp;#60;".replace("\0", ""),
    "zq{n}-->]]><!--<b onclick=alert({n})>",
    "zq{n}`;alert({n});//` '-alert({n})-' \\'",
)


class Hostile:
    """Numbered polyglots."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, where: str, *, style: int | None = None) -> str:
        self.names.append(where)
        n = len(self.names) - 1
        return POLYGLOTS[(n if style is None else style) % len(POLYGLOTS)].format(n=n)


def fields() -> dict[str, set[str]]:
    """Every section with every field that any inventory of ours has."""
    found: dict[str, set[str]] = {}
    for path in CAPTURES.glob("*.req.bin"):
        try:
            message = contact.decode_request(envelope.unpack(path.read_bytes(), 2**26)[0])
        except Malformed:  # some of them are meant to be
            continue
        if isinstance(message, Inventory):
            for name, values in message.sections:
                found.setdefault(name, set()).update(values)
    for name in FIELDS:
        section, _, field = str(name).rpartition(".")
        found.setdefault(section or "HARDWARE", set()).add(field)
    for section in OTHERS:
        found.setdefault(section, set()).update(USUAL)
    return found


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
    known = fields()
    assert sum(len(names) for names in known.values()) > 100
    for style in range(len(POLYGLOTS)):  # each field is once each polyglot
        sections = []
        for section, names in known.items():
            values = {name: hostile(f"{section}.{name}", style=style + n) for n, name in enumerate(sorted(names))}
            sections.append((section, values))
        tags = [("TAG", hostile("TAG", style=style)), (f"FIELD{style}", hostile("account", style=style))]
        said = inventory(device(f"hostile-{style}"), *sections, account=tags)
        agent = re.sub(r"[^\x20-\x7e]", "", hostile("User-Agent", style=style))
        assert server.post(said, agent).status == 200
        assert server.post(prolog(device(f"hostile-{style}")), agent).status == 200
    package = build(data, hostile("package name")[:50], "--description", hostile("description"))
    must("package", "activate", package, "--unchecked", data=data)
    must("package", "affect", package, "--all", data=data)
    for style in range(len(POLYGLOTS)):
        assert server.post(prolog(device(f"hostile-{style}"))).status == 200
        answer = server.post(report(device(f"hostile-{style}"), package, hostile("result", style=style)))
        assert answer.status in (200, 400)
    for style in range(len(POLYGLOTS)):  # sessions show the browser; failed sign-ins show the name
        browser = console.visitor()
        agent = re.sub(r"[^\x20-\x7e]", "", hostile("browser", style=style))
        browser.get("/sign-in", User_Agent=agent, Referer=agent, Accept_Language=agent, Cookie=f"__Host-theme={agent}")
    browser = console.visitor().get("/sign-in")
    browser.submit("Sign in", name=hostile("a name that signs in", style=1), password="wrong one")
    return console, hostile, site


def test_no_page_that_can_be_reached_breaks_whatever_agents_and_browsers_say(
    attacked: tuple[Console, Hostile, walk.Site],
) -> None:
    console, hostile, site = attacked
    line, cookies = walk.Line(console.server), console.browser.cookies
    before = walk.kept(console.data)
    waiting = [site.path(route) for route in routes() if route.method == "GET"]
    waiting += [f"/computers?q={quote(text.format(n=99999))}" for text in POLYGLOTS]
    waiting += [f"/{quote(text.format(n=99999), safe='')}" for text in POLYGLOTS]
    seen: set[str] = set()
    met: set[str] = set()
    while waiting and len(seen) < MANY:
        path = waiting.pop(0)
        if path in seen or path.startswith("/sign-out"):
            continue
        seen.add(path)
        answer = line.ask("GET", path, cookies)
        assert answer.status < 500, path
        assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS, path
        assert all("a=b" not in cookie for cookie in answer.cookies), path
        kind, text = answer.headers.get("content-type", ""), answer.body.decode(errors="replace")
        if "html" in kind:
            reader = Reader()
            reader.feed(text)
            assert reader.broken == [], (path, [hostile.names[int(n)] for n in MARK.findall(str(reader.broken))])
            assert walk.faults(text) == [], path
            assert "zq" not in text or "133700021" not in text, f"{path}: something was evaluated"
            met.update(MARK.findall(unescape(text)))
            for link in reader.links:
                there = urlsplit(urljoin(path, link))
                shape = re.sub(r"\d+", "0", there.path) + there.query.partition("=")[0]
                if sum(re.sub(r"\d+", "0", urlsplit(one).path) + urlsplit(one).query.partition("=")[0] == shape
                       for one in (*seen, *waiting)) < 12:  # fmt: skip
                    waiting.append(there.path + (f"?{there.query}" if there.query else ""))
        elif "csv" in kind:
            for row in csv.reader(io.StringIO(text)):
                bad = [cell for cell in row if MARK.search(cell) and cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
                assert bad == [], (path, "a spreadsheet would run this")
        elif "json" in kind:
            json.loads(text)
    line.close()
    assert walk.kept(console.data) == before, "reading changes nothing"
    assert len(seen) > 60
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
