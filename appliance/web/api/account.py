"""Everyone's own account: language, password, sessions of the console, the second factor, tokens."""

from __future__ import annotations

from appliance.clock import iso
from appliance.domain.account import LANGUAGES, Right
from appliance.operations import own_account, tokens
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import asked, moment, named, number, one_of, rows, text, told, with_keys
from appliance.web.api.users import (
    NEW_TOKEN,
    PASSWORD,
    TOKEN_WANTED,
    TOKENS,
    USER,
    new_token,
    tokens_told,
    user_told,
)

ACCOUNT = named("Account", with_keys(USER, recovery_codes=number("How many are left.")))
SESSION = named(
    "Session",
    told(id=text(), address=text(), user_agent=text(), created_at=moment(), used_at=moment()),
)
SHOWN = 16  # of a session's key: enough to name it among one's own
CODE = text(maxLength=64)


async def show(call: Call) -> object:
    """The account that the token speaks for."""
    account = await own_account.own_account(call.desk)
    return {**user_told(account), "recovery_codes": await own_account.recovery_codes_left(call.desk)}


async def change(call: Call) -> object:
    """Take another language for the console."""
    if "language" in call.body:
        await own_account.choose_language(call.desk, call.body["language"])
    return await show(call)


async def change_password(call: Call) -> None:
    """Take another password; all sessions end, tokens stay."""
    await own_account.change_own_password(call.desk, call.body["old"], call.body["new"])


async def sessions(call: Call) -> object:
    """One's sessions of the console, the last used first."""
    return {
        "sessions": [
            {
                "id": one.key[:SHOWN],
                "address": one.address,
                "user_agent": one.user_agent,
                "created_at": iso(one.created_at),
                "used_at": iso(one.used_at),
            }
            for one in await own_account.own_sessions(call.desk)
        ]
    }


async def end_session(call: Call) -> None:
    """End one of one's sessions."""
    shown = call.path("session")
    keys = [one.key for one in await own_account.own_sessions(call.desk) if one.key[:SHOWN] == shown]
    await own_account.end_own_session(call.desk, keys[0] if keys else shown)


async def end_sessions(call: Call) -> object:
    """End all of one's sessions: how many."""
    return {"count": await own_account.end_other_sessions(call.desk, "")}


async def offer_second_factor(call: Call) -> object:
    """A secret for an app that makes codes; nothing is switched on yet."""
    seed = await own_account.offer_second_factor(call.desk)
    return {"seed": seed.seed, "address": seed.address}


async def switch_on_second_factor(call: Call) -> object:
    """Switch the second factor on with a first code: recovery codes, shown this once. All sessions end."""
    body = call.body
    return {
        "recovery_codes": await own_account.switch_on_second_factor(
            call.desk, body["seed"], body["code"], body["password"]
        )
    }


async def switch_off_second_factor(call: Call) -> None:
    """Switch the second factor off; all sessions end."""
    await own_account.switch_off_second_factor(call.desk, call.body["password"])


async def list_tokens(call: Call) -> object:
    """One's tokens, the newest first."""
    return await tokens_told(call, None)


async def make_token(call: Call) -> object:
    """A token that can do what its user can."""
    return await new_token(call, None)


async def revoke_token(call: Call) -> None:
    """Revoke one of one's tokens at once."""
    await tokens.revoke_token(call.desk, call.number("token"))


ROUTES = (
    ApiRoute("GET", "/api/v1/account", show, Right.SIGNED_IN, Doc(ACCOUNT)),
    ApiRoute(
        "PATCH",
        "/api/v1/account",
        change,
        Right.SIGNED_IN,
        Doc(ACCOUNT, asked("", language=one_of([*LANGUAGES], '"": the browser\'s.'))),
    ),
    ApiRoute(
        "POST",
        "/api/v1/account/password",
        change_password,
        Right.SIGNED_IN,
        Doc(body=asked("old new", old=PASSWORD, new=PASSWORD)),
    ),
    ApiRoute("GET", "/api/v1/account/sessions", sessions, Right.SIGNED_IN, Doc(told(sessions=rows(SESSION)))),
    ApiRoute("DELETE", "/api/v1/account/sessions", end_sessions, Right.SIGNED_IN, Doc(told(count=number()))),
    ApiRoute("DELETE", "/api/v1/account/sessions/{session}", end_session, Right.SIGNED_IN),
    ApiRoute(
        "POST",
        "/api/v1/account/second-factor/offer",
        offer_second_factor,
        Right.SIGNED_IN,
        Doc(told(seed=text(), address=text("otpauth://, for a picture."))),
    ),
    ApiRoute(
        "POST",
        "/api/v1/account/second-factor",
        switch_on_second_factor,
        Right.SIGNED_IN,
        Doc(
            told(recovery_codes=rows(text())),
            asked("seed code password", seed=CODE, code=CODE, password=PASSWORD),
        ),
    ),
    ApiRoute(
        "POST",
        "/api/v1/account/second-factor/off",
        switch_off_second_factor,
        Right.SIGNED_IN,
        Doc(body=asked("password", password=PASSWORD)),
    ),
    ApiRoute("GET", "/api/v1/account/tokens", list_tokens, Right.SIGNED_IN, TOKENS),
    ApiRoute("POST", "/api/v1/account/tokens", make_token, Right.SIGNED_IN, Doc(NEW_TOKEN, TOKEN_WANTED, status=201)),
    ApiRoute("DELETE", "/api/v1/account/tokens/{token}", revoke_token, Right.SIGNED_IN),
)
