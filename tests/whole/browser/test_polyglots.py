"""Every page of the console in a browser, with scripts, where all that agents send and administrators type is hostile.

tests/web/console/test_polyglots.py reads more pages, faster, and what no browser shows: CSV, the API, the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from html import unescape
from urllib.parse import quote

import pytest
from playwright.sync_api import Error, FilePayload, Page, Route, expect

from appliance.web.console.routes import routes
from tests.web.console import walk
from tests.web.console.polyglots import POLYGLOTS, STYLES, Hostile, Waiting, shape
from tests.whole.browser.hostile import Furnished, furnish
from tests.whole.browser.kit import NAME, PASSWORD, Console, sign_in
from tests.whole.browser.steps import fill_in, press
from tests.whole.browser.watch import Watch

FILES = (".csv", ".json", ".pem", "/file")  # no browser shows them
MANY = 90  # pages at most
ELSEWHERE = 99_999  # the number of what stands in an address only
TYPED = "textarea, input:not([type=hidden], [type=checkbox], [type=radio], [type=file], [type=number], [type^=date])"
ODD = "[type=number], [type^=date]"  # what a browser keeps people from typing there does not keep away
FORMS = """
(all, [typed, odd]) => all.map((form) => [
  new URL(form.getAttribute("action") || "", location).pathname,
  [...form.querySelectorAll(typed)].map((one) => one.name), form.querySelectorAll(odd).length])
"""
FILL = """
([number, fields, texts]) => {
  const form = document.querySelectorAll("main form")[number];
  for (const one of form.querySelectorAll(fields)) {
    if (one.localName === "input") one.type = "text";
    one.disabled = false;
    one.value = texts.pop();
  }
  form.noValidate = true;
  form.requestSubmit(form.querySelector("button:not([type=button])"));
}
"""
SECTIONS = """
all => all.map((section) => [
  section.querySelector("summary").firstChild.textContent.trim(),
  [...section.querySelectorAll("dt")].map((one) => [one.innerText, one.nextElementSibling.innerText]),
  [...section.querySelectorAll("th")].map((one) => one.innerText),
  [...section.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((one) => one.innerText))])
"""
PLACES = """
all => all.map((one) => one.getBoundingClientRect())
  .filter((box) => box.width && box.top > 0 && box.bottom < innerHeight).slice(0, 4)
  .map((box) => [box.left + box.width / 2, box.top + box.height / 2])
"""


@pytest.fixture(scope="module")
def hostile() -> Hostile:
    return Hostile()


@pytest.fixture(scope="module")
def watch(browser_site: Console) -> Iterator[Watch]:
    """The administrator's page, the only one."""
    yield Watch(browser_site.open(watched=False), browser_site.url)
    browser_site.close()
    assert "Traceback" not in browser_site.site.log()


@pytest.fixture(scope="module")
def furnished(browser_site: Console, watch: Watch, hostile: Hostile) -> Furnished:
    found = furnish(browser_site, watch.page, hostile)
    assert [fault for fault in watch.take() if fault[0] != "left for"] == []  # it was sent to many pages
    return found


@pytest.fixture(scope="module")
def pages(furnished: Furnished) -> list[str]:
    """An address for each route that a browser shows."""
    found = [walk.address(route, furnished.known) for route in routes() if route.method == "GET"]
    return [path for path in found if not path.partition("?")[0].endswith(FILES)]


def faults(watch: Watch, hostile: Hostile, did: str) -> list[str]:
    """What went wrong since the last time, and whose texts were in it."""
    return [f"{did}: {kind}: {what} at {url} {hostile.blame(what)}" for kind, what, url in watch.take()]


def test_no_page_does_or_has_what_others_say_and_all_of_it_can_be_read(
    watch: Watch, hostile: Hostile, furnished: Furnished, pages: list[str]
) -> None:
    first = [*pages, *(f"/{quote(text.format(n=ELSEWHERE), safe='')}" for text in POLYGLOTS[::4])]
    waiting, met = Waiting(first, alike=3, most=MANY), list[str]()
    for path in waiting:
        if not path.partition("?")[0].endswith(FILES):
            answer = watch.go(path)
            met += faults(watch, hostile, path)
            assert answer.status < 500, path
            waiting.add(path, watch.links)
    assert met == [], "\n".join(met)
    assert len(waiting.seen) > 70
    read = {hostile.names[number] for number in watch.read if number < ELSEWHERE}
    unread = {name for name in furnished.names if "." not in name} - read  # fields of sections are looked at apart
    assert unread == {"account", "account key"}, "of what an agent says of its account, the TAG alone is kept"


def test_every_field_of_every_inventory_is_shown_as_it_was_sent(
    watch: Watch, hostile: Hostile, furnished: Furnished
) -> None:
    for number, attacker in enumerate(furnished.attackers, 1):
        path = f"/computers/{number}"
        watch.go(path)
        shown: list[tuple[str, dict[str, str]]] = []
        for section, pairs, names, rows in watch.page.eval_on_selector_all("#inventory > details", SECTIONS):
            shown += [(section, dict(pairs or zip(names, row, strict=True))) for row in rows or [[]]]
        sent = [(name, {key: " ".join(text.split()) for key, text in row.items()}) for name, row in attacker.sections]
        assert sorted(shown, key=str) == sorted(sent, key=str)
        assert faults(watch, hostile, path) == []


# The watch itself: on a console that forgets to encode, it must not be silent


def forgetful(html: str) -> str:
    """A page as it would be if what others say were not encoded."""
    return re.sub(r"zq\d+[^<>]*", lambda found: unescape(found[0]), html)


def opened(html: str) -> int:
    """How many elements and comments begin."""
    return len(re.findall("<[a-z!]", html))


@pytest.fixture
def spoil(watch: Watch) -> Iterator[Callable[..., set[str]]]:
    """`spoil(policy=True)`: from now on pages and parts of them are forgetful. The addresses of those that are."""
    spoilt: set[str] = set()

    def start(*, policy: bool) -> set[str]:
        def answer(route: Route) -> None:
            if not route.request.url.startswith(f"{watch.home}/"):
                route.abort()
            elif route.request.resource_type not in ("document", "xhr"):
                route.continue_()
            else:
                with suppress(Error):  # the page that asked is not there any more
                    fulfil(route)

        def fulfil(route: Route) -> None:
            found = route.fetch()
            text, headers = found.text(), dict(found.headers)
            if not policy:
                del headers["content-security-policy"]
            if opened(forgetful(text)) > opened(text):
                spoilt.add(route.request.url)
            route.fulfill(response=found, headers=headers, body=forgetful(text))

        watch.page.route("**/*", answer)
        return spoilt

    yield start
    leave(watch)


def leave(watch: Watch) -> None:
    """Back to a page of the console, and nothing is known against it."""
    watch.page.unroute_all(behavior="ignoreErrors")
    watch.page.goto("/help")
    watch.take()


def test_a_console_that_forgets_to_encode_is_caught_on_every_page(
    watch: Watch, pages: list[str], spoil: Callable[..., set[str]]
) -> None:
    spoilt, caught = spoil(policy=True), dict[str, set[str]]()
    for path in pages:
        with suppress(Error):  # it went away under our hands, which is a fault as well
            watch.go(path)
        caught[f"{watch.home}{path}"] = {kind for kind, _, _ in watch.take()}
    assert len(spoilt) > 20
    assert {url: caught[url] for url in spoilt if not caught[url] & {"document", "policy"}} == {}


def test_a_part_that_comes_later_and_is_not_encoded_is_caught(
    watch: Watch, furnished: Furnished, spoil: Callable[..., set[str]]
) -> None:
    watch.go(f"/packages/{furnished.known['packages']}/statistics")
    assert watch.take() == []
    spoil(policy=True)
    assert watch.refresh()
    assert {"document", "policy"} <= {kind for kind, _, _ in watch.take()}


def test_a_script_that_writes_html_is_caught(watch: Watch, hostile: Hostile, furnished: Furnished) -> None:
    def answer(route: Route) -> None:
        found = route.fetch()
        route.fulfill(response=found, body=found.text().replace("textContent", "innerHTML"))

    watch.page.route("**/upload.js", answer)
    try:
        refused_upload(watch, hostile)
        assert "document" in {kind for kind, _, _ in watch.take()}
    finally:
        leave(watch)


def test_without_the_second_wall_what_others_say_would_run(
    watch: Watch, furnished: Furnished, spoil: Callable[..., set[str]]
) -> None:
    spoil(policy=False)
    watch.go("/computers")
    assert {"dialog", "ran", "request", "frame", "document"} <= {kind for kind, _, _ in watch.take()}


@pytest.mark.parametrize(
    ("kind", "html"),
    [
        ("dialog", "<script>alert(1)</script>"),
        ("ran", "<script>__owned(1)</script>"),
        ("exception", "<script>throw Error('odd')</script>"),
        ("console", "<script>console.warn('odd')</script>"),
        ("request", "<script>fetch('//elsewhere.invalid/').catch(() => 0)</script>"),
        ("left for", "<script>setTimeout(() => { location = '/help'; }, 20)</script>"),
        ("window", "<script>open('/help')</script>"),
        ("download", "<a href=/computers.csv id=a>x</a><script>setTimeout(() => a.click(), 20)</script>"),
        ("worker", "<script>new Worker(URL.createObjectURL(new Blob(['1'])))</script>"),
        ("frame", "<iframe></iframe>"),
        ("answer", "<img src=/nothing>"),
        ("policy", "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><svg onload=1></svg>"),
        ("document", "<p><b title=x>bold</b>"),
        ("document", "<p onclick=x>"),
        ("document", "<p zq1=x>"),
        ("document", "<p style=x>"),
        ("document", "<!--zq1"),
        ("document", "<a href='javascript:1'>x</a>"),
        ("document", "<form action='//elsewhere.invalid/'></form>"),
        ("document", "<p>zq1&amp;lt;script&amp;gt;"),
    ],
)
def test_the_watch_sees(watch: Watch, kind: str, html: str) -> None:
    def answer(route: Route) -> None:
        if route.request.url.endswith("/spoilt"):
            route.fulfill(content_type="text/html", body=f"<!DOCTYPE html><title>x</title>{html}")
        elif route.request.url.startswith(f"{watch.home}/"):
            route.continue_()
        else:
            route.abort()

    watch.page.route("**/*", answer)
    seen: set[str] = set()
    with suppress(Error):
        watch.go("/spoilt")
    for _ in range(100):
        seen |= {found for found, _, _ in watch.take()}
        if kind in seen:
            break
        watch.page.wait_for_timeout(20)
    leave(watch)
    assert kind in seen


# What administrators type, which from here on changes what is there


def test_what_changes_on_a_page_is_text(watch: Watch, hostile: Hostile, furnished: Furnished) -> None:
    page, known = watch.page, furnished.known
    watch.be_at("/computers")
    for style in STYLES[:8]:  # those with HTML in them
        text = hostile("quick filter", style=style)
        page.locator("#q").fill(text)
        watch.press(partial(page.keyboard.press, "Enter"))
        assert page.locator("#q").input_value().split() == text.split()
    page.locator("#q").fill("")
    page.eval_on_selector_all("details.columns input", "all => all.forEach((one) => { one.checked = true; })")
    watch.press(page.get_by_role("button", name="Show these").click)
    for path in ("/", "/statistics", f"/packages/{known['packages']}/statistics"):
        watch.go(path)
        assert watch.refresh(), path
    watch.go(f"/packages/drafts/{known['drafts']}")
    page.locator("#fragments").fill(hostile("a number of fragments", style=1))
    page.keyboard.press("Tab")  # what is computed from it comes anew
    expect(page.locator("#fragments-fault")).to_contain_text("onerror")
    watch.look()
    program = refused_upload(watch, hostile)
    expect(page.get_by_role("alert")).to_contain_text(program)
    draft = f"left for: {watch.home}/packages/drafts/"  # which the page is told to be from now on
    assert [fault for fault in faults(watch, hostile, "here") if draft not in fault] == []


def refused_upload(watch: Watch, hostile: Hostile) -> str:
    """A file that the server does not want, which a script of the page says: what that is about."""
    watch.go("/packages/build")
    file = FilePayload(name=hostile("file name", style=1), mimeType="text/plain", buffer=b"x")
    watch.page.set_input_files("[name=file]", file)
    program = hostile("program", style=0)
    fill_in(watch.page, name=hostile("package", style=1), os="LINUX", action="LAUNCH", command=program)
    press(watch.page, "Send")
    expect(watch.page.get_by_role("alert")).to_be_visible()
    watch.look()
    return program


def test_before_anybody_is_signed_in(watch: Watch, hostile: Hostile, pages: list[str]) -> None:
    page = watch.page
    watch.be_at("/")
    watch.press(page.get_by_role("button", name="Sign out").click)
    try:
        for style in STYLES[:3]:
            watch.go(f"/sign-in?next={quote(hostile('next', style=style))}")
            name = hostile("a name that signs in", style=style)
            page.locator("[name=name]").fill(name)
            page.locator("[name=password]").fill("wrong one")
            watch.press(page.get_by_role("button", name="Sign in").click)
            assert page.locator("[name=name]").input_value() == name
            assert faults(watch, hostile, "sign-in") == []
    finally:
        sign_in(page, NAME, PASSWORD)
        watch.take()


def test_in_spanish_by_keyboard_and_mouse_and_whatever_is_typed_into_any_form(
    watch: Watch, hostile: Hostile, pages: list[str]
) -> None:
    page, met, done = watch.page, list[str](), set[str]()
    watch.be_at("/")
    watch.press(page.get_by_role("button", name="Español").click)
    try:
        for path in pages:
            watch.go(path)
            assert page.locator("html").get_attribute("lang") == "es"
            by_hand(page)
            met += faults(watch, hostile, path)
            is_fresh = True
            for number, (to, names, odd) in enumerate(page.eval_on_selector_all("main form", FORMS, [TYPED, ODD])):
                for fields in (TYPED, f"{TYPED}, {ODD}") if odd else (TYPED,):
                    form = f"{shape(to)} {names} {fields}"
                    if form not in done and (names or fields != TYPED):
                        done.add(form)
                        if not is_fresh:
                            watch.be_at(path)
                        is_fresh = False
                        texts = [hostile(f"a field of {to}") for _ in range(len(names) + odd)]
                        watch.press(partial(page.evaluate, FILL, [number, fields, texts]))
                        met += faults(watch, hostile, f"{to} from {path}")
        assert met == [], "\n".join(met)
        assert len(done) > 30
    finally:
        watch.be_at("/")
        watch.press(page.get_by_role("button", name="English").click)


def by_hand(page: Page) -> None:
    """Really point at some things of the page's main part, and walk through some by keyboard."""
    for x, y in page.eval_on_selector_all("main :is(a, button, input, select, textarea, td, dd)", PLACES):
        page.mouse.move(x, y)
    page.locator("#main").focus()
    for _ in range(5):
        page.keyboard.press("Tab")
