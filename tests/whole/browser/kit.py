"""A browser for tests of the console: pages of one site, what may not happen on any of them, axe-core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, StorageState, sync_playwright

from tests.whole.site import Site, site

NAME, PASSWORD = "ada", "three quiet brown horses"
SECONDS = 15.0
# Nothing but what a page asks for: no look for updates, no calls home.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
ICONS = Path(__file__).resolve().parents[3] / "appliance" / "web" / "console" / "icons.txt"
SERIOUS = ("serious", "critical")


@dataclass
class Console:
    """A site with its first administrator. `state`: the cookies of that administrator, signed in.

    `first` is the one-time address that made the account.
    """

    site: Site
    browser: Browser
    first: str
    state: StorageState | None = None
    visits: list[Visit] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The console's address without a slash at its end."""
        return self.site.console.rstrip("/")

    def open(
        self,
        path: str | None = None,
        *,
        signed_in: bool = True,
        locale: str = "en-GB",
        javascript: bool = True,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        watched: bool = True,
    ) -> Page:
        """A page in a fresh browser context, at `path` where one is given."""
        context = self.browser.new_context(
            base_url=self.url,
            ignore_https_errors=True,
            locale=locale,
            java_script_enabled=javascript,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            storage_state=self.state if signed_in else None,
        )
        context.set_default_timeout(SECONDS * 1000)
        visit = Visit(context, self.url)
        self.visits.append(visit)
        page = context.new_page()
        if watched:
            visit.watch(page)
        if path is not None:
            page.goto(path)
        return page

    def close(self) -> list[str]:
        """Close all pages that were opened; what should not have happened on them."""
        faults = [fault for visit in self.visits for fault in visit.faults]
        for visit in self.visits:
            visit.context.close()
        self.visits.clear()
        return faults

    def forgive(self, *texts: str) -> None:
        """A test that provokes a fault (a 403, say) takes it out of the list here, by a part of its text."""
        faults = [fault for visit in self.visits for fault in visit.faults]
        assert any(text in fault for fault in faults for text in texts), f"nothing like {texts} happened: {faults}"
        for visit in self.visits:
            visit.faults[:] = [fault for fault in visit.faults if not any(text in fault for text in texts)]


@dataclass
class Visit:
    """A browser context and what went wrong in it."""

    context: BrowserContext
    url: str
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Write down errors and warnings of the console, exceptions, failed and foreign requests."""
        page.on("console", lambda said: said.type in ("error", "warning") and self.note(said.text, page))
        page.on("pageerror", lambda error: self.note(f"exception: {error}", page))
        page.on("request", lambda request: self.foreign(request) and self.note(f"asks for {request.url}", page))
        page.on("requestfailed", lambda request: self.failed(request, page))
        page.on("response", lambda answer: answer.status >= 500 and self.note(f"{answer.status} {answer.url}", page))

    def note(self, text: str, page: Page) -> None:
        """One fault."""
        self.faults.append(f"{page.url}: {text}")

    def foreign(self, request: Request) -> bool:
        """Whether a page asks another server for something."""
        return not request.url.startswith((f"{self.url}/", "data:", "blob:", "about:"))

    def failed(self, request: Request, page: Page) -> None:
        """A request without an answer; one that ends because the page is left, or becomes a download, is none."""
        if request.failure != "net::ERR_ABORTED":
            self.note(f"{request.failure} {request.url}", page)


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """Debian's Chromium, without a screen, with nothing of the account's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def console(pyz: Path, folder: Path, browser: Browser) -> Iterator[Console]:
    """The built file serving, with the first administrator made the way a person makes it."""
    with site(pyz, folder) as running:
        made = Console(running, browser, running.first_address())
        make_administrator(made)
        yield made


def make_administrator(console: Console) -> None:
    """Fill in the page of the one-time address, and keep the session."""
    page = console.open(signed_in=False)
    page.goto(console.first)
    for field_name, value in {"name": NAME, "full-name": "Ada", "password": PASSWORD, "again": PASSWORD}.items():
        page.fill(f"[name={field_name}]", value)
    page.click("main form:has([name=again]) button")
    page.wait_for_url(lambda url: url != console.first)
    if "/sign-in" in page.url:
        sign_in(page, NAME, PASSWORD)
    console.state = page.context.storage_state()
    assert console.close() == []


def sign_in(page: Page, name: str, password: str) -> None:
    """Through the form, as a person does."""
    if "/sign-in" not in page.url:
        page.goto("/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.click("main form:has([name=password]) button")
    page.wait_for_url(lambda url: "/sign-in" not in url)


def axe(page: Page, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Have axe-core look at the page: no serious or critical violation. All that it found is given back.

    `only`: names of the rules that are asked, else all but `without`, with a reason beside the call.
    """
    assert page.evaluate("matchMedia('(scripting: enabled)').matches"), "axe-core needs a page with scripts"
    if page.evaluate("typeof axe === 'undefined'"):
        devtools = page.context.new_cdp_session(page)  # not the page's own eval, which its policy forbids
        devtools.send("Runtime.evaluate", {"expression": axe_source()})
        devtools.detach()
    options: dict[str, Any] = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in without}}
    if only:
        options["runOnly"] = {"type": "rule", "values": only}
    found: list[dict[str, Any]] = page.evaluate(
        "options => axe.run(document, options).then(result => result.violations)", options
    )
    faults = [
        f"{fault['impact']}: {fault['id']}: {fault['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]
    assert not faults, f"{page.url}\n" + "\n".join(faults)
    return found


def fits(page: Page) -> None:
    """The page is not wider than its window: nobody has to move it sideways to read it."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window, f"{page.url} is {wide} pixels wide in a window of {window}"


def drawn(page: Page) -> None:
    """Every icon of the page is in the sprite; a name that is not there would be an empty place."""
    used = page.eval_on_selector_all("svg use", "all => all.map(one => one.getAttribute('href').split('#')[1])")
    assert sorted(set(used) - set(ICONS.read_text().split())) == [], f"{page.url}: put them into {ICONS.name}"


def flawless(page: Page) -> None:
    """Nothing serious for axe-core, nothing wider than the window, every icon there."""
    axe(page)
    fits(page)
    drawn(page)


@cache
def axe_source() -> str:
    """axe-core, out of the wheel that carries it."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
