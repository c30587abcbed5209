"""A site with one of everything, every address of the console filled in for it, and what a page must not have in it."""

from __future__ import annotations

import contextlib
import http.client
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

from appliance.domain.account import Actor, Role, user_actor
from appliance.domain.search import Criterion, Operator
from appliance.operations import drafts, groups, searches, tokens
from appliance.operations.certificates import request_certificate
from appliance.operations.desk import Desk
from appliance.store import accounts
from appliance.web.console.frame import Route
from tests.fakes.appliance import SECONDS, Answer, Running, build, device, inventory, must
from tests.web.console.conftest import Console
from tests.web.console.kit import ADMINISTRATOR, Browser

TAG = "paris"
USER = "ben"
# What a page wants to be asked, where it says nothing without.
ASKED = {
    "/selection": "?deed=group&id=1",
    r"/packages/{package:\d{10}}/validate": "?button=all",
    r"/groups/{group:\d+}/why": f"?computer={device('pc-1')}",
}
HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}%s"


@dataclass
class Site:
    """A running console with one of everything. `known`: what stands behind a part of a path, such as `computers`."""

    console: Console
    user: Browser  # with the user role, for the TAG of the only computer
    known: Mapping[str, str]

    def path(self, route: Route) -> str:
        """A route's path, its places filled in with what there is."""
        return address(route, self.known)


def address(route: Route, known: Mapping[str, str]) -> str:
    """A route's path, its places filled in."""
    path, before = "", ""
    for part in re.split(r"(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})", route.path):
        if part.startswith("{"):
            name, _, pattern = part[1:-1].partition(":")
            part = _fitting(known, before, name, pattern)
        else:
            words = re.findall(r"[\w-]+", part)
            before = words[-1] if words else before
        path += part
    return path + ASKED.get(route.path, "")


def _fitting(known: Mapping[str, str], before: str, name: str, pattern: str) -> str:
    wanted = known.get(before) or known.get(name)
    for text in (wanted, "1", "a", known["packages"], known["drafts"]):
        if text and (not pattern or re.fullmatch(pattern, text)):
            return text
    raise AssertionError(f"tests/web/console/walk.py does not know what {name!r} after {before!r} may be")


def furnish(console: Console) -> Site:
    """Put one of everything into a console."""
    data, server = console.data, console.server
    said = inventory(device("pc-1"), ("HARDWARE", {"NAME": HOSTILE, "OSNAME": "Debian"}), account=[("TAG", TAG)])
    assert server.post(said).status == 200
    package = build(data, "Media player")
    must("package", "activate", package, "--unchecked", data=data)
    must("package", "affect", package, "--all", data=data)
    user = console.user(USER, [TAG])

    async def fill(desk: Desk) -> dict[str, str]:
        owner, mine = desk.acting(await _actor(desk, ADMINISTRATOR)), desk.acting(await _actor(desk, USER))
        group = await groups.create_group(owner, f"Here {HOSTILE}", visible=True)
        search = await searches.keep_search(
            owner, f"Linux {HOSTILE}", ((Criterion("OSNAME", Operator.LIKE, "Debian"),),)
        )
        draft = await drafts.open_draft(owner, {"name": HOSTILE, "os": "linux"})
        token = await tokens.make_token(mine, "nightly", 9)
        await request_certificate(owner, ["ocs.example.org"])
        return {
            "computers": "1",
            "packages": package,
            "activations": "1",
            "groups": str(group.id),
            "kept": str(search.id),
            "drafts": draft.id,
            "users": str(mine.actor.user),
            "tokens": token.split("_")[1],
            "jobs": "0123456789abcdef0123456789abcdef",
            "first": "a-secret-that-is-none",
        }

    return Site(console, user, console.desk(fill))


async def _actor(desk: Desk, name: str) -> Actor:
    async with desk.store.reading() as tx:
        account = await accounts.named(tx, name)
    assert account
    return user_actor(name, "console", Role(account.profile.role), account.id, account.profile.tags)


class Line:
    """One connection for many requests: a handshake for each would be most of their time."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        method: str,
        path: str,
        cookies: Mapping[str, str],
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with a form where there are fields."""
        sent = {"Accept-Language": "en", **(headers or {})}
        if cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        body = None
        if fields is not None:
            body = urlencode(fields).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            return self._once(method, path, body, sent)
        except (http.client.HTTPException, ConnectionError):  # the server closed what was idle, or after an error
            self.close()
            return self._once(method, path, body, sent)

    def close(self) -> None:
        """Hang up."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self._connection is None or self._connection.sock is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", timeout=SECONDS)
            self._connection.sock = self._server.connect(console=True)
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read(), tuple(response.headers.get_all("Set-Cookie") or ()))


def kept(data: Path) -> list[str]:
    """Every row that there is but those of sessions, which note when they were last used."""
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "session"')]


@dataclass
class Faults(HTMLParser):
    """What is wrong in a page: what the Content-Security-Policy would stop, and what a screen reader stumbles over."""

    found: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    fields: list[tuple[str, str]] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    meant: set[str] = field(default_factory=set)  # ids that something else on the page refers to
    _inside: list[str] = field(default_factory=list)
    _form: str = ""
    _token: bool = False
    _said: str = ""
    _pressed: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        shown = f"<{tag} {have}>"
        self._policy(tag, have, shown)
        if "id" in have:
            self.ids.append(have["id"])
        self.meant.update(f"{have.get('aria-labelledby', '')} {have.get('aria-describedby', '')}".split())
        if tag == "label":
            self.labels.add(have.get("for", ""))
        if (
            tag in ("input", "select", "textarea")
            and have.get("type") not in ("hidden", "submit")
            and "hidden" not in have
        ):
            named = have.get("aria-label") or have.get("aria-labelledby") or "label" in self._inside
            if not named:
                self.fields.append((have.get("id", ""), shown))
        if tag == "form":
            self._form, self._token = have.get("method", "get").lower(), False
        if tag == "input" and have.get("name") == "csrf":
            self._token = True
        if tag in ("a", "button"):
            self._pressed, self._said = shown, have.get("aria-label", "")
        if tag == "th" and "scope" not in have:
            self.found.append(f"{shown} has no scope")
        if tag == "img" and "alt" not in have:
            self.found.append(f"{shown} has no alt")
        if re.fullmatch("h[1-6]", tag) and "main" in self._inside:
            self.headings.append(int(tag[1]))
        if tag not in ("area", "base", "br", "col", "hr", "img", "input", "link", "meta"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass
        if tag == "form" and self._form == "post" and not self._token:
            self.found.append("a form that changes something has no token")
        if tag in ("a", "button") and not self._said.strip():
            self.found.append(f"{self._pressed} has no text")

    def handle_data(self, data: str) -> None:
        self._said += data
        if self._inside and self._inside[-1] == "script" and data.strip():
            self.found.append("a script stands in the page")

    def _policy(self, tag: str, have: Mapping[str, str], shown: str) -> None:
        if tag in ("style", "base", "iframe", "object", "embed", "applet") or (tag == "script" and "src" not in have):
            self.found.append(f"{shown} stands in the page")
        for name, value in have.items():
            if name == "style" or name.startswith(("on", "hx-on", "hx-vals", "hx-vars")) or name == "srcdoc":
                self.found.append(f"{shown} has {name}")
            if (
                name in ("src", "action", "formaction", "hx-get", "hx-post")
                and not value.startswith(("/", "?", "#"))
                and value
            ):
                self.found.append(f"{shown} leads elsewhere")
        if tag == "link" and not have.get("href", "").startswith("/"):
            self.found.append(f"{shown} leads elsewhere")
        if tag == "a" and not re.match(r"[/?#]|https://|otpauth:|mailto:", have.get("href", "/")):
            self.found.append(f"{shown} leads to a strange place")

    def told(self) -> list[str]:
        """All that is wrong, once the page was read."""
        twice = sorted({one for one in self.ids if self.ids.count(one) > 1})
        unnamed = [shown for one, shown in self.fields if one not in self.labels]
        jumps = [pair for pair in zip(self.headings, self.headings[1:], strict=False) if pair[1] > pair[0] + 1]
        return [
            *self.found,
            *(f"the id {one!r} is there twice" for one in twice),
            *(f"{shown} has no label" for shown in unnamed),
            *(f"the id {one!r} is meant and not there" for one in sorted(self.meant - set(self.ids))),
            *([] if self.headings.count(1) == 1 else [f"the headings are {self.headings}"]),
            *(f"a heading of level {after} follows one of level {before}" for before, after in jumps),
        ]


def faults(html: str) -> list[str]:
    """What is wrong in a page."""
    reader = Faults()
    reader.feed(html)
    return reader.told()
