"""What every page shares: who comes, what they may, the token of each form, headers, errors. Source: security.md 4.

A page module has a tuple ROUTES of Route; a handler takes a Visit and answers with `visit.page` or `visit.go`.
Rights are declared on the route, checked here and nowhere else; a route that declares none is the administrators'.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web

from appliance.domain.account import Actor, Right
from appliance.domain.eligibility import MOMENTS, SENTENCES, Reason
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.desk import Desk
from appliance.operations.jobs import Jobs
from appliance.operations.sign_in import Session, session_of
from appliance.web.console import pages
from appliance.web.console.forms import LARGEST_FORM, MOST_FIELDS, Form
from appliance.web.console.words import N_, Words, chosen_language, words
from appliance.web.keys import DESK, JOBS
from appliance.web.refusals import STATUS, Handler, is_gone

LOG = logging.getLogger("ocs.console")

SESSION_COOKIE = "__Host-session"
VISIT_COOKIE = "__Host-visit"  # before a login: what the token of the login form is made from
SAID_COOKIE = "__Host-said"
LANGUAGE_COOKIE = "__Host-language"
THEME_COOKIE = "__Host-theme"
COLUMNS_COOKIE = "__Host-columns"
FACTOR_PATH = "/account/second-factor"
THEMES = ("auto", "light", "dark")
TOKEN_FIELD, TOKEN_HEADER = "csrf", "X-CSRF-Token"
YEAR = 365 * 86_400
LASTING = {LANGUAGE_COOKIE: YEAR, THEME_COOKIE: YEAR, COLUMNS_COOKIE: YEAR, SAID_COOKIE: 60}  # others: the session

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


@dataclass
class Visit:
    """One request to the console, with who makes it and in which language."""

    request: web.Request
    desk: Desk  # acting for whoever comes
    session: Session | None
    words: Words
    theme: str
    token: str  # of the forms on the page that is answered
    said: str = ""  # what the page before this one wants to have said
    cookies: dict[str, str] = field(default_factory=dict)  # to be set
    fields: Form = field(default_factory=Form)  # of a POST

    @property
    def actor(self) -> Actor | None:
        """Whoever is signed in."""
        return self.session.actor if self.session and self.session.complete else None

    @property
    def owes_factor(self) -> bool:
        """Whether whoever is signed in must switch on a second factor before anything else."""
        return self.session is not None and self.session.complete and self.session.owing

    def may(self, right: Right) -> bool:
        """Whether whoever comes has a right."""
        return right is Right.ANYONE or (self.actor is not None and self.actor.may(right))

    @property
    def rights(self) -> tuple[Right, ...]:
        """All the rights of whoever comes; the menu follows them."""
        if self.owes_factor:
            return (Right.ANYONE,)
        return tuple(right for right in Right if self.may(right))

    @property
    def jobs(self) -> Jobs:
        """The long work that runs."""
        return self.request.app[JOBS]

    @property
    def query(self) -> Form:
        """The fields of the address."""
        return _form(self.request.query)

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def number(self, name: str) -> int:
        """A part of the path that is a number; the route's pattern sees to that."""
        return int(self.request.match_info[name][:18])

    @property
    def trouble(self) -> str:
        """Why nothing can be changed at all, in the visitor's language; "" usually."""
        stopped = self.desk.store.stopped
        return self.words.refusal(stopped) if stopped and self.actor else ""

    def say(self, text: str, /, **values: object) -> str:
        """A text of ours in the visitor's language."""
        return self.words.say(text, **values)

    def why(self, reason: Reason) -> str:
        """The sentence of a reason."""
        values = {
            name: self.words.moment(int(value)) if name in MOMENTS else value for name, value in reason.values.items()
        }
        return self.words.say(SENTENCES[reason.cause], **values)

    def iso(self, seconds: int) -> str:
        """A moment for machines."""
        return datetime.fromtimestamp(seconds, UTC).isoformat()

    def page(self, template: str, page: object, *, status: int = 200) -> web.Response:
        """A page made from a template and its one value."""
        html = pages.render(template, page, self)
        return web.Response(text=html, content_type="text/html", status=status)

    def refused(self, template: str, page: object, refusal: Refusal) -> web.Response:
        """The form's page once more, which shows what was refused."""
        return self.page(template, page, status=STATUS[refusal.kind])

    def with_error(self, form: Form, refusal: Refusal) -> Form:
        """The form with a refusal's sentence at its field."""
        return form.refused(refusal.field, self.words.refusal(refusal))

    def go(self, address: str, text: str = "", /, **values: object) -> web.Response:
        """On to another page, which says `text` at its top."""
        if text:
            self.cookies[SAID_COOKIE] = quote(self.say(text, **values)[:800])
        if "HX-Request" in self.request.headers:
            return web.Response(status=204, headers={"HX-Redirect": address})
        return web.Response(status=303, headers={"Location": address})

    def check_token(self, given: str) -> None:
        """Raises Refusal(FORBIDDEN) where a form's token is not this visitor's."""
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise Refusal(Kind.FORBIDDEN, "the form is too old or came from elsewhere; open the page again and repeat.")


Page = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """An address of the console. `streams`: what is no small form is read by the handler, which checks the token.

    `factor`: it switches a second factor on, so it is there also for whoever must do that before anything else.
    """

    method: str
    path: str
    page: Page
    right: Right = Right.ADMINISTRATOR
    streams: bool = False
    factor: bool = False


def mount(app: web.Application, routes: Iterable[Route]) -> None:
    """Put routes into the application."""
    for route in routes:
        app.router.add_route(route.method, route.path, _answering(route), name=None)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, _answering(route))


def _answering(route: Route) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        visit = await enter(request)
        try:
            response = await _admitted(route, visit) or await route.page(visit)
        except Refusal as refusal:
            response = error_page(visit, STATUS[refusal.kind], visit.words.refusal(refusal))
        return _dressed(visit, response)

    return answer


async def enter(request: web.Request) -> Visit:
    """Find out who comes; nothing is refused yet."""
    desk = request.app[DESK]
    secret = request.cookies.get(SESSION_COOKIE, "")[:200]
    session = await session_of(desk, secret) if secret else None
    cookies: dict[str, str] = {}
    if session is None:
        secret = request.cookies.get(VISIT_COOKIE, "")[:200]
        if len(secret) < 40:
            secret = cookies[VISIT_COOKIE] = secrets.token_urlsafe(32)
    wanted = (session.language if session else "") or request.cookies.get(LANGUAGE_COOKIE, "")
    language = chosen_language(wanted, request.headers.get("Accept-Language", ""))
    theme = request.cookies.get(THEME_COOKIE, "")
    return Visit(
        request,
        desk.acting(session.actor) if session else desk,
        session,
        words(language),
        theme if theme in THEMES else THEMES[0],
        hashlib.sha256(f"form of {secret}".encode()).hexdigest(),
        unquote(request.cookies.get(SAID_COOKIE, ""))[:800],
        cookies,
    )


async def _admitted(route: Route, visit: Visit) -> web.StreamResponse | None:
    """None where the visitor may go on, else the answer that says why not. Reads a POST's fields."""
    reads = route.method in ("GET", "HEAD")
    if not reads and not _from_here(visit.request):
        raise Refusal(Kind.FORBIDDEN, "the request came from another site; open the console itself.")
    if visit.owes_factor and route.right is not Right.ANYONE and not route.factor:
        return visit.go(FACTOR_PATH)
    if not visit.may(route.right):
        if visit.actor is not None:
            raise Refusal(Kind.FORBIDDEN, "only an administrator may see this page; ask one.")
        if visit.session is not None:
            return visit.go("/second-factor")
        if reads and "HX-Request" not in visit.request.headers:
            return visit.go(f"/sign-in?next={quote(visit.request.path_qs)}")
        return error_page(visit, 401, visit.say("You are signed out; sign in and try again."))
    if not reads:
        given = visit.request.headers.get(TOKEN_HEADER, "")
        if not route.streams or visit.request.content_type == "application/x-www-form-urlencoded":
            visit.fields = _form(await _read(visit.request))
            given = given or visit.fields.raw(TOKEN_FIELD)
            visit.check_token(given)
        elif given:
            visit.check_token(given)
    return None


async def _read(request: web.Request) -> Mapping[str, Any]:
    if request.content_type not in ("application/x-www-form-urlencoded", "application/octet-stream", ""):
        raise Refusal(Kind.INVALID, "the form came in a shape that is not known; open the page again.")
    try:
        return await request.post()
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(
            Kind.TOO_LARGE, "the form is larger than {largest} bytes; send less at once.", largest=LARGEST_FORM
        ) from None
    except ValueError:
        raise Refusal(Kind.INVALID, "the form came in a shape that is not known; open the page again.") from None


def _form(fields: Mapping[str, Any]) -> Form:
    items = list(fields.items())
    if len(items) > MOST_FIELDS:
        raise Refusal(Kind.TOO_LARGE, "the form has more than {most} fields; send less at once.", most=MOST_FIELDS)
    values: dict[str, list[str]] = {}
    for name, value in items:
        if isinstance(value, str):
            values.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\0", ""))
    return Form(values)


def _from_here(request: web.Request) -> bool:
    """Whether a browser says that its own page sent this; a program that says nothing still needs the token."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def error_page(visit: Visit, status: int, sentence: str) -> web.Response:
    """A page that says one sentence."""
    return visit.page("error.html", pages.ErrorPage(status, sentence), status=status)


def _dressed(visit: Visit, response: web.StreamResponse) -> web.StreamResponse:
    """Cookies that the visit wants to be kept."""
    if response.prepared:
        return response
    if SAID_COOKIE in visit.request.cookies and SAID_COOKIE not in visit.cookies and response.status == 200:
        response.del_cookie(SAID_COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
    for name, value in visit.cookies.items():
        if value:
            lasts = LASTING.get(name)
            response.set_cookie(name, value, max_age=lasts, path="/", secure=True, httponly=True, samesite="Strict")
        else:
            response.del_cookie(name, path="/", secure=True, httponly=True)
    return response


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost layer of the console: headers on everything, a page for every error, nothing told about bugs."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        status, text = answer.status, _SENTENCES.get(answer.status, answer.reason)
    except ConnectionError:
        raise
    except Refusal as refusal:
        status, text = STATUS[refusal.kind], str(refusal)
    except Exception as error:
        if isinstance(error, RuntimeError) and is_gone(request):
            raise ConnectionResetError("the connection was cut") from error
        LOG.exception("a page ended in a bug")
        status, text = 500, _SENTENCES[500]
    try:
        visit = await enter(request)
        return _dressed(visit, error_page(visit, status, visit.say(text)))
    except Refusal:  # the database itself is what fails
        return web.Response(status=status, text=f"{text}\n")


_SENTENCES = {
    404: N_("There is no such page."),
    405: N_("This address does not take that kind of request."),
    413: N_("That was larger than this page takes."),
    500: N_("Something in the server went wrong; its log says what. Nothing was changed halfway."),
}


async def sign(_: web.Request, response: web.StreamResponse) -> None:
    """What every answer of the console carries."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def json_of(value: object) -> str:
    """JSON for a data attribute."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def address(path: str, **query: object) -> str:
    """A path with a query made of what is not empty; lists come several times."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one not in (None, "", False):
                pairs.append((name, "1" if one is True else str(one)))
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    return f"{path}?{text}" if text else path
