"""A page that is watched: whatever it does that nobody asked for, and whatever in its document no template wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Dialog, Error, Frame, Page, Request, Response

WEB = Path(__file__).resolve().parents[3] / "appliance" / "web"
# The hand in a text that ran is __owned; __violated tells what the page's policy stopped, which nobody may try either.
LISTEN = """
addEventListener("securitypolicyviolation", (event) =>
  __violated(`${event.effectiveDirective} stopped ${event.blockedURI} ${event.sample}`), true);
"""
# Everything is opened, pointed at and given the focus, as far as handlers can tell.
STIR = """
() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  for (const one of document.querySelectorAll("body *"))
    for (const kind of ["pointerenter", "mouseenter", "mouseover", "focus", "focusin", "blur"])
      one.dispatchEvent(new Event(kind));
}
"""
# What no template wrote, the numbers that somebody can read, and what was encoded twice.
READ = r"""
() => {
  const wrong = [], names = {}, read = new Set();
  const note = (what, one) => wrong.push(`${what} in ${one.outerHTML.slice(0, 300)}`);
  for (const one of document.querySelectorAll("*")) {
    names[`<${one.localName}>`] ??= one.outerHTML.slice(0, 300);
    if (one.localName === "script" && (!one.getAttribute("src") || one.textContent)) note("a script", one);
    if (one.localName === "style" && /zq\d/.test(one.textContent)) note("a text", one);
    for (const {name, value} of one.attributes) {
      names[name] ??= one.outerHTML.slice(0, 300);
      if (/zq\d|^on|^(data-)?hx-(on|vals|vars)|^style$|^srcdoc$/.test(name)) note(`the attribute ${name}`, one);
      if (/^(href|src|action|formaction|data|poster|background|hx-(get|post|put|delete))$/.test(name)) {
        const there = new URL(value, location);
        const leaves = one.localName === "a" && /^(https|mailto|otpauth):$/.test(there.protocol);
        if (there.origin !== location.origin && !leaves) note(`the address ${there}`, one);
      }
    }
  }
  const comments = document.createNodeIterator(document, NodeFilter.SHOW_COMMENT);
  for (let one; (one = comments.nextNode());) wrong.push(`a comment: ${one.data.slice(0, 300)}`);
  const texts = [document.title, document.body.innerText];
  for (const one of document.querySelectorAll("input:not([type=hidden]), textarea")) texts.push(one.value);
  for (const text of texts) {
    for (const [, number] of text.matchAll(/zq(\d+)/g)) read.add(Number(number));
    const twice = text.match(/zq\d+.{0,80}?&(#3[49];|amp;lt;|lt;script)/);
    if (twice) wrong.push(`encoded twice: ${twice[0]}`);
  }
  const links = [...document.querySelectorAll("a[href]")].map((one) => one.getAttribute("href"));
  return {wrong, names, read: [...read], links: links.filter((link) => /^[/?]/.test(link))};
}
"""
# What a page asks for by itself after a while, now.
REFRESH = """
async () => {
  const one = document.querySelector("#live[hx-get]");
  if (!one) return false;
  const settled = new Promise((done) => document.addEventListener("htmx:afterSettle", done, {once: true}));
  one.setAttribute("hx-trigger", "now");
  htmx.process(one);
  htmx.trigger(one, "now");
  await settled;
  return true;
}
"""


@cache
def written() -> set[str]:
    """The <elements> that templates and scripts write, and every word in them: no attribute has another name."""
    sources = [path.read_text() for path in sorted(WEB.glob("console/templates/*.html"))]
    bare = [re.sub(r"(?s)\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", " ", source) for source in sources]
    scripts = [path.read_text() for path in sorted(WEB.glob("static/*.js"))]
    tags = {tag for source in bare for tag in re.findall(r"<([a-z][\w-]*)", source)}
    tags |= {tag for source in scripts for tag in re.findall(r'createElement\("(\w+)"\)', source)}
    return {f"<{tag}>" for tag in tags} | {
        word for source in (*sources, *scripts) for word in re.findall(r"[\w:-]+", source)
    }


@dataclass
class Watch:
    """A page, and what it did that is wrong: (kind, what, where). `home`: the address of its site.

    `read`: numbers of polyglots that somebody could read, on all its pages; `links`: of the last one, within the site.
    """

    page: Page
    home: str
    read: set[int] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    _faults: list[tuple[str, str, str]] = field(default_factory=list)
    _asked: set[str] = field(default_factory=set)  # documents that were asked for
    _moves: list[str] = field(default_factory=list)  # of the page, since it was sent somewhere

    def __post_init__(self) -> None:
        page = self.page
        page.expose_binding("__owned", lambda _, *what: self._note("ran", what))
        page.expose_binding("__violated", lambda _, what: self._note("policy", what))
        page.add_init_script(LISTEN)
        page.on("dialog", self._dialog)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._note("exception", error))
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)
        page.on("popup", self._popup)
        page.on("download", lambda file: self._note("download", file.url))
        page.on("websocket", lambda socket: self._note("request", socket.url))
        page.on("worker", lambda worker: self._note("worker", worker.url))
        page.on("frameattached", lambda frame: self._note("frame", frame.name))
        page.on("framenavigated", self._moved)

    def go(self, path: str) -> Response:
        """Open an address and look at what comes."""
        self._begin()
        answer = self.page.goto(path)
        assert answer is not None
        self.look()
        return answer

    def be_at(self, path: str) -> None:
        """Open an address without a look at what comes."""
        self._begin()
        self.page.goto(path)

    def press(self, deed: Callable[[], object]) -> None:
        """Do what leads to another page, and look at that."""
        self._begin()
        with self.page.expect_navigation():
            deed()
        self.look()

    def look(self) -> None:
        """Stir everything on the page, and read its document."""
        self.page.evaluate(STIR)
        found = self.page.evaluate(READ)
        self.read.update(found["read"])
        self.links = found["links"]
        for what in found["wrong"]:
            self._note("document", what)
        for name in found["names"].keys() - written():
            self._note("document", f"{name} in {found['names'][name]}")

    def refresh(self) -> bool:
        """Have the page do now what it does after a while, and look at it; False where that is nothing."""
        there: bool = self.page.evaluate(REFRESH)
        self.look()
        return there

    def take(self) -> list[tuple[str, str, str]]:
        """What was wrong since the last time."""
        self._settle()
        faults, self._faults = self._faults, []
        return faults

    def _begin(self) -> None:
        self._settle()
        self._moves.clear()

    def _settle(self) -> None:
        with suppress(Error):  # it is leaving, which is told too
            self.page.evaluate("() => new Promise((done) => setTimeout(done))")  # what came late is told first
        for url in self._moves[1:]:
            self._note("left for", url)
        del self._moves[1:]

    def _note(self, kind: str, what: object) -> None:
        self._faults.append((kind, str(what)[:1000], self.page.url))

    def _dialog(self, dialog: Dialog) -> None:
        self._note("dialog", dialog.message)
        dialog.dismiss()

    def _popup(self, other: Page) -> None:
        self._note("window", other.url)
        other.close()

    def _moved(self, frame: Frame) -> None:
        if frame == self.page.main_frame:
            self._moves.append(frame.url)

    def _console(self, said: ConsoleMessage) -> None:
        refused = said.location["url"] in self._asked and said.text.startswith("Failed to load resource")
        if said.text.startswith("The specified value "):  # of a field for numbers that shows what was refused
            return
        if said.type in ("error", "warning") and not refused:  # a page may be a refusal
            self._note("console", said.text)

    def _request(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._asked.add(request.url)
        if not request.url.startswith((f"{self.home}/", "data:")):
            self._note("request", request.url)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # what ends because the page is left
            self._note("request", f"{request.failure} {request.url}")

    def _response(self, answer: Response) -> None:
        if answer.status >= 500 or (answer.status >= 400 and answer.url not in self._asked):
            self._note("answer", f"{answer.status} {answer.url}")
