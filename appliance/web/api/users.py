"""Users, as administrators manage them. What proves a password is in no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.clock import iso
from appliance.domain.account import (
    LANGUAGES,
    LONGEST_FULL_NAME,
    LONGEST_NAME,
    LONGEST_TAG,
    MOST_TAGS,
    Account,
    Profile,
    Role,
)
from appliance.operations import accounts, tokens
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import Schema, asked, flag, moment, named, number, one_of, or_null, rows, text, told

LONGEST_PASSWORD = 1024
USER = named(
    "User",
    told(
        id=number(),
        name=text(),
        full_name=text(),
        role=one_of([role.value for role in Role]),
        tags=rows(text(), "A user sees the computers with one of these TAGs."),
        language=one_of([*LANGUAGES], '"": the browser\'s.'),
        disabled=flag(),
        second_factor=flag(),
        created_at=moment(),
        last_login=or_null(moment()),
        blocked_till=or_null(moment("After failed sign-ins.")),
    ),
)
TOKEN = named(
    "Token",
    told(
        id=number(),
        name=text(),
        created_at=moment(),
        expires_at=moment(),
        used_at=or_null(moment()),
    ),
)
NEW_TOKEN = named("NewToken", told(id=number(), name=text(), token=text("It is shown this once.")))
TOKEN_WANTED = asked(
    "name",
    name=text("To know it by.", maxLength=tokens.LONGEST_NAME),
    days=number("How long it is good.", 1, tokens.LONGEST_DAYS, default=90),
)
TOKENS = Doc(told(tokens=rows(TOKEN)))
PASSWORD = text(maxLength=LONGEST_PASSWORD)
PROFILE: Mapping[str, Schema] = {
    "full_name": text(maxLength=LONGEST_FULL_NAME),
    "role": one_of([role.value for role in Role]),
    "tags": rows(text(maxLength=LONGEST_TAG), maxItems=MOST_TAGS),
    "language": one_of([*LANGUAGES]),
    "disabled": flag(),
}


async def listed(call: Call) -> object:
    """All users, by name."""
    return {"users": [user_told(one) for one in await accounts.list_users(call.desk)]}


async def create(call: Call) -> object:
    """A new user."""
    body = call.body
    profile = Profile(
        body["name"],
        Role(body.get("role", Role.USER.value)),
        body.get("full_name", ""),
        frozenset(body.get("tags", ())),
        body.get("language", ""),
        body.get("disabled", False),
    )
    return user_told(await accounts.create_user(call.desk, profile, body["password"]))


async def show(call: Call) -> object:
    """One user."""
    return user_told(await accounts.show_user(call.desk, call.number("user")))


async def change(call: Call) -> object:
    """Change what is given; the rest stays. Another role, or to be disabled, ends the user's sessions."""
    body = call.body
    account = await accounts.change_user(
        call.desk,
        call.number("user"),
        full_name=body.get("full_name"),
        role=Role(body["role"]) if "role" in body else None,
        tags=frozenset(body["tags"]) if "tags" in body else None,
        language=body.get("language"),
        disabled=body.get("disabled"),
    )
    return user_told(account)


async def delete(call: Call) -> None:
    """Delete a user with all sessions and tokens; the log keeps the name."""
    await accounts.delete_user(call.desk, call.number("user"))


async def reset_password(call: Call) -> None:
    """Give a user a new password: sessions end, and a block for failed sign-ins is lifted."""
    await accounts.reset_password(call.desk, call.number("user"), call.body["password"])


async def take_second_factor(call: Call) -> None:
    """Switch a user's second factor off, for one who lost it."""
    await accounts.take_second_factor(call.desk, call.number("user"))


async def list_tokens(call: Call) -> object:
    """A user's tokens, the newest first."""
    return await tokens_told(call, call.number("user"))


async def make_token(call: Call) -> object:
    """A token for a user."""
    return await new_token(call, call.number("user"))


async def revoke_token(call: Call) -> None:
    """Revoke a user's token at once."""
    await tokens.revoke_token(call.desk, call.number("token"), user=call.number("user"))


async def tokens_told(call: Call, user: int | None) -> dict[str, Any]:
    """The tokens of a user; None: of whoever calls."""
    return {
        "tokens": [
            {
                "id": token.id,
                "name": token.name,
                "created_at": iso(token.created_at),
                "expires_at": iso(token.expires_at),
                "used_at": iso(token.used_at) if token.used_at else None,
            }
            for token in await tokens.list_tokens(call.desk, user)
        ]
    }


async def new_token(call: Call, user: int | None) -> dict[str, Any]:
    """Make a token for a user; None: for whoever calls."""
    name = " ".join(call.body["name"].split())
    made = await tokens.make_token(call.desk, name, call.body["days"], user=user)
    return {"id": int(made.split("_")[1]), "name": name, "token": made}


def user_told(account: Account) -> dict[str, Any]:
    """A user; the command line's keys, and the number."""
    return {
        "id": account.id,
        "name": account.name,
        "full_name": account.profile.full_name,
        "role": account.profile.role.value,
        "tags": sorted(account.profile.tags),
        "language": account.profile.language,
        "disabled": account.profile.disabled,
        "second_factor": account.second_factor,
        "created_at": iso(account.created_at),
        "last_login": iso(account.last_login) if account.last_login else None,
        "blocked_till": iso(account.blocked_till) if account.blocked_till else None,
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/users", listed, doc=Doc(told(users=rows(USER)))),
    ApiRoute(
        "POST",
        "/api/v1/users",
        create,
        doc=Doc(
            USER, asked("name password", name=text(maxLength=LONGEST_NAME), password=PASSWORD, **PROFILE), status=201
        ),
    ),
    ApiRoute("GET", "/api/v1/users/{user}", show, doc=Doc(USER)),
    ApiRoute("PATCH", "/api/v1/users/{user}", change, doc=Doc(USER, asked("", **PROFILE))),
    ApiRoute("DELETE", "/api/v1/users/{user}", delete),
    ApiRoute(
        "POST",
        "/api/v1/users/{user}/password",
        reset_password,
        doc=Doc(body=asked("password", password=PASSWORD)),
    ),
    ApiRoute("DELETE", "/api/v1/users/{user}/second-factor", take_second_factor),
    ApiRoute("GET", "/api/v1/users/{user}/tokens", list_tokens, doc=TOKENS),
    ApiRoute("POST", "/api/v1/users/{user}/tokens", make_token, doc=Doc(NEW_TOKEN, TOKEN_WANTED, status=201)),
    ApiRoute("DELETE", "/api/v1/users/{user}/tokens/{token}", revoke_token),
)
