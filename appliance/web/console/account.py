"""Everyone's own page: language, password, sessions, the second factor, tokens for the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from appliance.domain.account import Account, Right
from appliance.domain.refusal import Refusal, invalid
from appliance.operations import own_account, tokens
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import FACTOR_PATH, LANGUAGE_COOKIE, Route, Visit
from appliance.web.console.words import words

DAYS = 90  # that a token is good for, unless another number is typed


class Token(Protocol):
    """A token, as far as a list shows it."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def name(self) -> str:
        """What its user calls it."""

    @property
    def created_at(self) -> int:
        """When it was made."""

    @property
    def expires_at(self) -> int:
        """Till when it is good."""

    @property
    def used_at(self) -> int | None:
        """When it was last used."""


@dataclass(frozen=True)
class TokenLine:
    """A token in a list. `over`: it has expired."""

    token: Token
    over: bool


@dataclass(frozen=True)
class SessionLine:
    """A session in a list. `here`: the page itself was asked for with it."""

    key: str
    address: str
    browser: str
    created_at: int
    used_at: int
    here: bool


@dataclass(frozen=True)
class AccountPage:
    """The account, and a form for each thing that can be changed on this page."""

    account: Account
    language: Form
    password: Form
    token: Form
    sessions: Sequence[SessionLine]
    tokens: Sequence[TokenLine]
    codes_left: int
    longest_days: int


@dataclass(frozen=True)
class FactorPage:
    """A second factor that is offered, or (`seed` None) the one that is on and can be switched off."""

    form: Form
    seed: own_account.Seed | None


@dataclass(frozen=True)
class CodesPage:
    """Recovery codes, this once."""

    codes: Sequence[str]


@dataclass(frozen=True)
class TokenPage:
    """A new token, this once."""

    name: str
    text: str


def token_lines(found: Sequence[Token], now: int) -> list[TokenLine]:
    """Tokens as a page shows them."""
    return [TokenLine(token, now >= token.expires_at) for token in found]


async def account_page(visit: Visit) -> web.StreamResponse:
    """The page."""
    return visit.page("account.html", await _page(visit))


async def choose_language(visit: Visit) -> web.StreamResponse:
    """Another language for the account; the empty one follows the browser."""
    language = visit.fields.text("language")
    try:
        await own_account.choose_language(visit.desk, language)
    except Refusal as refusal:
        return visit.refused(
            "account.html", await _page(visit, language=visit.with_error(visit.fields, refusal)), refusal
        )
    visit.cookies[LANGUAGE_COOKIE] = language
    if language:
        visit.words = words(language)  # what is said now is in the new one
    return visit.go("/account", "Your language was changed.")


async def change_password(visit: Visit) -> web.StreamResponse:
    """Another password; this session stays."""
    form = visit.fields
    try:
        if form.raw("new") != form.raw("again"):
            raise invalid("again", "the two passwords differ; type them again.")
        await own_account.change_own_password(visit.desk, form.raw("old"), form.raw("new"), _key(visit))
    except Refusal as refusal:
        return visit.refused("account.html", await _page(visit, password=visit.with_error(form, refusal)), refusal)
    return visit.go("/account", "Your password was changed; your other sessions have ended.")


async def end_session(visit: Visit) -> web.StreamResponse:
    """End one session."""
    await own_account.end_own_session(visit.desk, visit.fields.text("session"))
    return visit.go("/account", "The session has ended.")


async def end_others(visit: Visit) -> web.StreamResponse:
    """End all sessions but this one."""
    ended = await own_account.end_other_sessions(visit.desk, _key(visit))
    return visit.go("/account", "Your other sessions have ended: {ended}.", ended=ended)


async def factor_page(visit: Visit) -> web.StreamResponse:
    """Offer a second factor, or the way to switch it off."""
    on = (await own_account.own_account(visit.desk)).second_factor
    seed = None if on else await own_account.offer_second_factor(visit.desk)
    return visit.page("account_second_factor.html", FactorPage(Form(), seed))


async def switch_on(visit: Visit) -> web.StreamResponse:
    """Switch it on. The recovery codes stand in the answer itself: kept for another page, they would not be secret."""
    form = visit.fields
    try:
        codes = await own_account.switch_on_second_factor(
            visit.desk, form.text("seed"), form.text("code"), form.raw("password"), _key(visit)
        )
    except Refusal as refusal:
        account = await own_account.own_account(visit.desk)
        seed = None if account.second_factor else own_account.seed_shown(account, form.text("seed")[:64])
        page = FactorPage(visit.with_error(form, refusal), seed)
        return visit.refused("account_second_factor.html", page, refusal)
    return visit.page("account_codes.html", CodesPage(codes))


async def switch_off(visit: Visit) -> web.StreamResponse:
    """Switch it off."""
    form = visit.fields
    try:
        await own_account.switch_off_second_factor(visit.desk, form.raw("password"), _key(visit))
    except Refusal as refusal:
        on = (await own_account.own_account(visit.desk)).second_factor
        seed = None if on else await own_account.offer_second_factor(visit.desk)
        page = FactorPage(visit.with_error(form, refusal), seed)
        return visit.refused("account_second_factor.html", page, refusal)
    return visit.go("/account", "Your second factor is off; your other sessions have ended.")


async def make_token(visit: Visit) -> web.StreamResponse:
    """A token. It stands in the answer itself, and nowhere else."""
    form = visit.fields
    try:
        text = await tokens.make_token(visit.desk, form.text("name"), form.whole("days", DAYS) or 0)
    except Refusal as refusal:
        page = await _page(visit, token=visit.with_error(form, refusal))
        return visit.refused("account.html", page, refusal)
    return visit.page("account_token.html", TokenPage(form.text("name"), text))


async def revoke_token(visit: Visit) -> web.StreamResponse:
    """Revoke a token."""
    await tokens.revoke_token(visit.desk, visit.number("id"))
    return visit.go("/account", "The token was revoked.")


async def _page(
    visit: Visit, *, language: Form | None = None, password: Form | None = None, token: Form | None = None
) -> AccountPage:
    account = await own_account.own_account(visit.desk)
    sessions = [
        SessionLine(one.key, one.address, one.user_agent, one.created_at, one.used_at, one.key == _key(visit))
        for one in await own_account.own_sessions(visit.desk)
    ]
    return AccountPage(
        account,
        language or form_of(language=account.profile.language),
        password or Form(),
        token or form_of(days=DAYS),
        sessions,
        token_lines(await tokens.list_tokens(visit.desk), visit.desk.clock.now()),
        await own_account.recovery_codes_left(visit.desk) if account.second_factor else 0,
        tokens.LONGEST_DAYS,
    )


def _key(visit: Visit) -> str:
    return visit.session.key if visit.session else ""


ROUTES = (
    Route("GET", "/account", account_page, Right.SIGNED_IN),
    Route("POST", "/account/language", choose_language, Right.SIGNED_IN),
    Route("POST", "/account/password", change_password, Right.SIGNED_IN),
    Route("POST", "/account/sessions/end", end_session, Right.SIGNED_IN),
    Route("POST", "/account/sessions/end-others", end_others, Right.SIGNED_IN),
    Route("GET", FACTOR_PATH, factor_page, Right.SIGNED_IN, factor=True),
    Route("POST", FACTOR_PATH, switch_on, Right.SIGNED_IN, factor=True),
    Route("POST", "/account/second-factor/off", switch_off, Right.SIGNED_IN),
    Route("POST", "/account/tokens", make_token, Right.SIGNED_IN),
    Route("POST", r"/account/tokens/{id:\d+}/revoke", revoke_token, Right.SIGNED_IN),
)
