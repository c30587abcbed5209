"""Sign in, second factor, sign out, and the one-time address of the first administrator."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.refusal import Refusal, forbidden, invalid
from appliance.operations import accounts, sign_in
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import SESSION_COOKIE, Route, Visit
from appliance.web.console.preferences import own_path


@dataclass(frozen=True)
class SignInPage:
    """The form; `empty`: there is no account at all."""

    form: Form
    empty: bool


@dataclass(frozen=True)
class FormPage:
    """A page with one form."""

    form: Form


async def sign_in_page(visit: Visit) -> web.StreamResponse:
    """The form, or on to the console where somebody is signed in already."""
    if visit.actor:
        return visit.go("/")
    form = form_of(next=own_path(visit.query.raw("next")))
    return visit.page("sign_in.html", SignInPage(form, not await accounts.has_users(visit.desk)))


async def enter(visit: Visit) -> web.StreamResponse:
    """Name and password for a session."""
    form = visit.fields
    try:
        secret = await sign_in.sign_in(visit.desk, form.text("name"), form.raw("password"), *_whence(visit))
    except Refusal as refusal:
        return visit.refused("sign_in.html", SignInPage(visit.with_error(form, refusal), False), refusal)
    visit.cookies[SESSION_COOKIE] = secret
    return visit.go(own_path(form.raw("next")))


async def factor_page(visit: Visit) -> web.StreamResponse:
    """The form for the code."""
    if visit.session is None or visit.session.complete:
        return visit.go("/")
    return visit.page("second_factor.html", FormPage(Form()))


async def factor(visit: Visit) -> web.StreamResponse:
    """A code for a whole session, which gets a new secret."""
    if visit.session is None or visit.session.complete:
        return visit.go("/")
    secret = visit.request.cookies.get(SESSION_COOKIE, "")
    try:
        visit.cookies[SESSION_COOKIE] = await sign_in.second_factor(visit.desk, secret, visit.fields.text("code"))
    except Refusal as refusal:
        return visit.refused("second_factor.html", FormPage(visit.with_error(visit.fields, refusal)), refusal)
    return visit.go("/")


async def leave(visit: Visit) -> web.StreamResponse:
    """End the session."""
    await sign_in.sign_out(visit.desk, visit.request.cookies.get(SESSION_COOKIE, ""))
    visit.cookies[SESSION_COOKIE] = ""
    return visit.go("/sign-in", "You are signed out.")


async def first_page(visit: Visit) -> web.StreamResponse:
    """The form of the one-time address. Raises Refusal where it is used up."""
    if not await accounts.first_is_open(visit.desk, visit.path("secret")):
        raise forbidden("this address is used up or over; start the server again, or use 'ocs.pyz user create'.")
    return visit.page("first.html", FormPage(Form()))


async def first(visit: Visit) -> web.StreamResponse:
    """Create the first administrator, who is signed in at once."""
    form = visit.fields
    try:
        if form.raw("password") != form.raw("again"):
            raise invalid("again", "the two passwords differ; type them again.")
        await accounts.create_first(
            visit.desk, visit.path("secret"), form.text("name"), form.raw("password"), form.text("full-name")
        )
        secret = await sign_in.sign_in(visit.desk, form.text("name"), form.raw("password"), *_whence(visit))
    except Refusal as refusal:
        return visit.refused("first.html", FormPage(visit.with_error(form, refusal)), refusal)
    visit.cookies[SESSION_COOKIE] = secret
    return visit.go("/", "Welcome. The steps below lead to the first deployed package.")


def _whence(visit: Visit) -> tuple[str, str]:
    return visit.request.remote or "", visit.request.headers.get("User-Agent", "")[:200]


ROUTES = (
    Route("GET", "/sign-in", sign_in_page, Right.ANYONE),
    Route("POST", "/sign-in", enter, Right.ANYONE),
    Route("GET", "/second-factor", factor_page, Right.ANYONE),
    Route("POST", "/second-factor", factor, Right.ANYONE),
    Route("POST", "/sign-out", leave, Right.ANYONE),
    Route("GET", "/first/{secret}", first_page, Right.ANYONE),
    Route("POST", "/first/{secret}", first, Right.ANYONE),
)
