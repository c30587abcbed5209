"""Every page of the console, found by its routes: what axe-core says in light and dark, 400 pixels, the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest
from playwright.sync_api import Page, expect

from appliance.web.console.routes import routes
from tests.whole.browser.kit import Console, axe, drawn, fits
from tests.whole.browser.seed import furnish
from tests.whole.browser.steps import order, press
from tests.whole.site import noise, targz

OpenPage = Callable[..., Page]

# What answers with no page of its own: files, what scripts ask, work that ended, what only a second factor asks.
APART = {
    "/computers.csv",
    "/computers.json",
    "/certificates/cacert.pem",
    "/certificates/request.pem",
    "/packages/drafts/{draft:[0-9a-f]{32}}/file",
    "/jobs/{job:[0-9a-f]{8,64}}",
    "/second-factor",
    "/first/{secret}",
    r"/groups/{group:\d+}/why",  # leads on
}
# Pages that others lead to by what was asked of them.
ASKED = (
    "/search?f=OSNAME&o=LIKE&v=Windows&j=and&f=SOFTWARE&o=LIKE&v=7-Zip&j=or&add=1",
    "/search?f=MEMORY&o=MORE&v=much&j=and",
    "/computers?q=nobody&c=DEVICEID&c=MEMORY",
    "/selection?deed=deploy&whole=1",
    "/selection?deed=group&whole=1",
    "/selection?deed=settings&id=1",
    "/packages/build?recipe=shell",
    "/packages/build?recipe=agent",
    "/packages/{forms}/validate?button=all",
    "/packages/{player}/statistics?stage=error",
    "/packages/{player}/activate?info-url=127.0.0.1/download",
    "/packages/drafts/{draft}?change=1",
    "/groups/new?search=[[]]",
    "/groups/2/why/1",
    "/no-such-page",
)
PLACES = {
    "/selection": "/selection?deed=delete&id=1&id=2",
    r"/packages/{package:\d{10}}/validate": "/packages/{player}/validate?button=success",
    r"/packages/{package:\d{10}}": "/packages/{forms}",
}


@pytest.fixture(scope="module")
def ids(browser_site: Console, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A site with something on every page: ids by short names."""
    found = furnish(browser_site.site, 60)
    page = browser_site.open()
    file = targz(tmp_path_factory.mktemp("draft") / "draft.tar.gz", {"data": noise(400_000)})
    order(page, file, name="Begun", os="LINUX", action="STORE", path="/opt/begun")
    press(page, "Send")
    expect(page.locator("#count")).to_have_text("1")
    found["begun"] = page.url.rpartition("/")[2]
    page.goto("/search?f=OSNAME&o=LIKE&v=Windows&j=and")
    page.locator("#keep-name").fill("All Windows")
    press(page, "Keep")
    assert browser_site.close() == []
    return found


def paths(ids: Mapping[str, str]) -> list[str]:
    """An address for every route that answers with a page, and ASKED."""
    values = {
        "computer": "1", "group": "1", "package": ids["player"], "draft": ids["begun"], "id": "1",
    }  # fmt: skip
    found = []
    for route in routes():
        if route.method == "GET" and route.path not in APART:
            place = PLACES.get(route.path, re.sub(r"\{(\w+)(:[^{}]*(\{[^{}]*\})?)?\}", r"{\1}", route.path))
            found.append(place.format(**{**ids, **values}))
    found += [path.format(**{**ids, "draft": ids["begun"]}) for path in ASKED]
    return found


def unfolded(page: Page) -> None:
    """All that can be unfolded is, apart from the menu of narrow windows."""
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")


def test_every_page_is_without_fault_in_light_and_dark_and_at_400_pixels(
    browser_site: Console, open_page: OpenPage, ids: Mapping[str, str]
) -> None:
    faults: list[str] = []
    visited = paths(ids)
    assert len(visited) > 40
    page = open_page()
    for path in visited:
        answer = page.goto(path)
        assert answer is not None
        expected = {"/no-such-page": 404, "/search?f=MEMORY&o=MORE&v=much&j=and": 400}.get(path, 200)
        if answer.status != expected:
            faults.append(f"{path}: answers {answer.status}")
            continue
        expect(page.locator("h1")).to_have_count(1)
        unfolded(page)
        for look in (axe, fits, drawn):
            try:
                look(page)
            except AssertionError as fault:
                faults.append(str(fault))
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        try:
            axe(page, only=("color-contrast", "link-in-text-block"))
        except AssertionError as fault:
            faults.append(f"in the dark: {fault}")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 400, "height": 800})
        try:
            fits(page)
        except AssertionError as fault:
            faults.append(str(fault))
        page.set_viewport_size({"width": 1280, "height": 900})
    assert faults == [], "\n".join(faults)
    browser_site.forgive("Failed to load resource")  # the pages that answer 404 and 400 on purpose


def test_the_keyboard_reaches_every_form_and_skips_the_menu(open_page: OpenPage, ids: Mapping[str, str]) -> None:
    page = open_page()
    for path in ("/packages/build", "/search", "/users/create", "/configuration", f"/packages/{ids['draft']}/activate"):
        page.goto(path)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null"), path
        field = page.locator("main form :is(input:not([type=hidden]), select, textarea)").first
        for _ in range(40):
            if field.evaluate("one => one === document.activeElement"):
                break
            page.keyboard.press("Tab")
        expect(field).to_be_focused()
        outline = field.evaluate("one => getComputedStyle(one).outlineStyle + getComputedStyle(one).boxShadow")
        assert outline != "nonenone", f"{path}: nobody sees where the focus is"


def test_a_package_is_built_by_the_keyboard_alone(open_page: OpenPage, ids: Mapping[str, str]) -> None:
    page = open_page("/packages/build")
    page.locator("[name=name]").focus()
    page.keyboard.type("Typed")
    fields = {"os": "L", "action": "E"}
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.name || document.activeElement.id")
        if name in fields:
            page.keyboard.type(fields[name])
        elif name == "command":
            page.keyboard.type("id")
        elif name == "send":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Build")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Linux")


def test_the_menu_of_a_narrow_window_opens_by_keyboard(open_page: OpenPage) -> None:
    page = open_page("/", width=400, height=800)
    build = page.get_by_role("link", name="Build", exact=True)
    expect(build).to_be_hidden()
    page.locator("summary", has_text="Menu").focus()
    page.keyboard.press("Enter")
    expect(build).to_be_visible()
    fits(page)
    build.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/packages/build")


def test_names_are_text_and_nothing_else(browser_site: Console, page: Page, ids: Mapping[str, str]) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a name ran: {dialog.message}"))
    browser_site.site.ask(
        "package", "build", "--name", "<img src=x onerror=alert(1)>", "--os", "linux", "--action", "execute",
        "--command", "echo '<script>alert(2)</script>'",
    )  # fmt: skip
    for path in ("/packages", "/log"):
        page.goto(path)
        expect(page.locator("img[src=x]")).to_have_count(0)
        assert "onerror" in page.locator("main").inner_text(), path
