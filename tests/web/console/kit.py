"""A browser without scripts for tests: cookies, forms with hidden fields, redirects, and what a person reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

from tests.fakes.appliance import Answer, Running

# Words before and after these stay apart.
APART = frozenset(["br", "dd", "div", "dt", "h1", "h2", "h3", "h4", "li", "option", "p", "section", "td", "th", "tr"])
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
ADMINISTRATOR, PASSWORD = "anna", "four horses in a meadow"


@dataclass(frozen=True)
class Button:
    """What sends a form: its text, the field that it adds, and where it sends it instead."""

    text: str
    name: str
    value: str
    action: str


@dataclass
class FormFound:
    """A form of a page: where it goes, and its fields as they would be sent."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)


class Reader(HTMLParser):
    """Forms, links and visible text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[FormFound] = []
        self.links: list[tuple[str, str]] = []  # text, address
        self.said: list[str] = []
        self._form: FormFound | None = None
        self._hidden = 0
        self._select = self._area = self._link = ""
        self._button: dict[str, str] | None = None
        self._chosen = -1
        self._caught: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        if tag in ("script", "style", "title", "head"):
            self._hidden += 1
        if tag in APART:
            self.said.append(" ")
        if tag == "form":
            self._form = FormFound(have.get("action", ""), have.get("method", "get"))
            self.forms.append(self._form)
        elif tag == "a" and "href" in have:
            self._link, self._caught = have["href"], []
        elif tag == "button":
            self._button, self._caught = have, []
        elif self._form and "name" in have and "disabled" not in have:
            kind = have.get("type", "text")
            if (
                tag == "input"
                and kind not in ("submit", "file")
                and (kind not in ("checkbox", "radio") or "checked" in have)
            ):
                self._form.fields.append((have["name"], have.get("value", "on" if kind == "checkbox" else "")))
            elif tag == "select":
                self._select, self._chosen = have["name"], -1
            elif tag == "textarea":
                self._area, self._caught = have["name"], []
        if tag == "option" and self._select and self._form:
            pair = (self._select, have.get("value", ""))
            if self._chosen < 0:  # the first one, unless another is selected
                self._form.fields.append(pair)
                self._chosen = len(self._form.fields) - 1
            elif "selected" in have:
                self._form.fields[self._chosen] = pair

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "title", "head"):
            self._hidden -= 1
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._form and self._area:
            self._form.fields.append((self._area, "".join(self._caught).removeprefix("\n")))
            self._area = ""
        elif tag == "a" and self._link:
            self.links.append((_tidy("".join(self._caught)), self._link))
            self._link = ""
        elif tag == "button" and self._button is not None:
            if self._form:
                have = self._button
                text = _tidy("".join(self._caught))
                made = Button(text, have.get("name", ""), have.get("value", ""), have.get("formaction", ""))
                self._form.buttons.append(made)
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._link or self._button is not None or self._area:
            self._caught.append(data)
        if not self._hidden and not self._area:
            self.said.append(data)


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


class Browser:
    """One visitor of a running console."""

    def __init__(self, server: Running, language: str = "en") -> None:
        self.server = server
        self.language = language
        self.cookies: dict[str, str] = {}
        self.path = "/"
        self.answer = Answer(0, {}, b"")
        self.page = Reader()

    def get(self, path: str, **headers: str) -> Browser:
        """Open an address and follow where it leads."""
        return self._follow("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, fields: dict[str, object] | list[tuple[str, str]], **headers: str) -> Browser:
        """Send fields as they are; `submit` is what a person would do."""
        pairs = [(k, str(v)) for k, v in (fields.items() if isinstance(fields, dict) else fields)]
        return self._follow("POST", path, pairs, {k.replace("_", "-"): v for k, v in headers.items()})

    def post_once(self, path: str, fields: dict[str, str]) -> Answer:
        """Send fields as they are and go nowhere: the very answer."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        return self.server.ask("POST", path, urlencode(fields).encode(), sent, console=True)

    def submit(self, button: str = "", /, **changes: object) -> Browser:
        """Send the page's form that has that button (else the one with these fields), changed as said.

        A field is named with __ for -; None takes a field away, a list sends it several times.
        """
        wanted = {name.replace("__", "-"): value for name, value in changes.items()}
        form, pressed = self._form(button, set(wanted))
        pairs = [(name, value) for name, value in form.fields if name not in wanted]
        for name, value in wanted.items():
            many = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
            pairs += [(name, str(one)) for one in many]
        if pressed and pressed.name:
            pairs.append((pressed.name, pressed.value))
        target = urljoin(self.path, (pressed and pressed.action) or form.action or self.path)
        if form.method.lower() == "get" and not (pressed and pressed.action):
            return self.get(f"{urlsplit(target).path}?{urlencode(pairs)}")
        return self.post(target, pairs)

    def follow(self, link: str) -> Browser:
        """Click the link with that text."""
        for text, address in self.page.links:
            if text == link:
                return self.get(urljoin(self.path, address))
        raise AssertionError(f"no link {link!r} among {[text for text, _ in self.page.links]}")

    def sign_in(self, name: str = ADMINISTRATOR, password: str = PASSWORD) -> Browser:
        """Sign in by the form."""
        self.get("/sign-in").submit("Sign in" if self.language == "en" else "", name=name, password=password)
        assert self.status == 200, self.text
        assert not self.path.startswith("/sign-in"), self.text
        return self

    @property
    def status(self) -> int:
        """The status of the last answer."""
        return self.answer.status

    @property
    def html(self) -> str:
        """The last answer's text."""
        return self.answer.body.decode()

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return _tidy("".join(self.page.said))

    @property
    def token(self) -> str:
        """The token of the page's forms."""
        return next(value for form in self.page.forms for name, value in form.fields if name == "csrf")

    def _form(self, button: str, names: set[str]) -> tuple[FormFound, Button | None]:
        fitting = [form for form in self.page.forms if names <= {name for name, _ in form.fields}]
        for form in [*fitting, *self.page.forms] if button else []:
            for pressed in form.buttons:
                if pressed.text == button:
                    return form, pressed
        if not button and fitting:
            return fitting[0], None
        buttons = [pressed.text for form in self.page.forms for pressed in form.buttons]
        raise AssertionError(
            f"no form with button {button!r} and fields {names}; buttons: {buttons}; {self.text[:500]}"
        )

    def _follow(self, method: str, path: str, pairs: list[tuple[str, str]] | None, headers: dict[str, str]) -> Browser:
        for _ in range(6):
            sent = {"Accept-Language": self.language, **headers}
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            body = None
            if pairs is not None:
                body = urlencode(pairs).encode()
                sent["Content-Type"] = "application/x-www-form-urlencoded"
            self.answer = self.server.ask(method, path, body, sent, console=True)
            self._keep(self.answer)
            self.path = path
            if self.answer.status not in (302, 303):
                break
            method, pairs, headers = "GET", None, {}
            path = urljoin(path, self.answer.headers["location"])
        self.page = Reader()
        if "html" in self.answer.headers.get("content-type", ""):
            self.page.feed(self.html)
        return self

    def _keep(self, answer: Answer) -> None:
        for cookie in answer.cookies:
            name, _, rest = cookie.partition("=")
            value = rest.split(";")[0].strip('"')
            if value and "max-age=0" not in cookie.lower():
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
