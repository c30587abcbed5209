"""Users, as administrators manage them: list, create, change, delete, a new password, the second factor taken away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.account import Account, Profile, Role
from appliance.domain.refusal import Refusal, invalid
from appliance.operations import accounts, tokens
from appliance.web.console.account import TokenLine, token_lines
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import Route, Visit
from appliance.web.console.words import N_

ROLES: Mapping[Role, str] = {Role.USER: N_("User"), Role.ADMINISTRATOR: N_("Administrator")}


@dataclass(frozen=True)
class UsersPage:
    """All users. `now`: a block that ends later still holds."""

    users: Sequence[Account]
    roles: Mapping[Role, str]
    now: int


@dataclass(frozen=True)
class NewUserPage:
    """The form for another user."""

    form: Form
    roles: Mapping[Role, str]


@dataclass(frozen=True)
class UserPage:
    """One user: the profile's form, the password's form, and the tokens."""

    user: Account
    form: Form
    password: Form
    tokens: Sequence[TokenLine]
    roles: Mapping[Role, str]
    blocked: bool
    own: bool


@dataclass(frozen=True)
class DeletePage:
    """What deleting a user takes along."""

    user: Account
    form: Form
    tokens: int
    own: bool


async def users_page(visit: Visit) -> web.StreamResponse:
    """The list."""
    return visit.page("users.html", UsersPage(await accounts.list_users(visit.desk), ROLES, visit.desk.clock.now()))


async def new_page(visit: Visit) -> web.StreamResponse:
    """The empty form."""
    return visit.page("user_new.html", NewUserPage(form_of(role=Role.USER.value), ROLES))


async def create(visit: Visit) -> web.StreamResponse:
    """Another user."""
    form = visit.fields
    try:
        _must_agree(form)
        user = await accounts.create_user(visit.desk, _profile(form), form.raw("password"))
    except Refusal as refusal:
        form = visit.with_error(form, _at_name(refusal))
        return visit.refused("user_new.html", NewUserPage(form, ROLES), refusal)
    return visit.go("/users", "User {name} was created.", name=user.name)


async def user_page(visit: Visit) -> web.StreamResponse:
    """One user."""
    return visit.page("user.html", await _page(visit))


async def change(visit: Visit) -> web.StreamResponse:
    """Another profile. The page's form has all of it, so an empty field empties it."""
    form, user = visit.fields, visit.number("id")
    try:
        wanted = _profile(form)
        account = await accounts.change_user(
            visit.desk,
            user,
            full_name=wanted.full_name,
            role=wanted.role,
            tags=wanted.tags,
            language=wanted.language,
            disabled=wanted.disabled,
        )
    except Refusal as refusal:
        return visit.refused("user.html", await _page(visit, form=visit.with_error(form, refusal)), refusal)
    return visit.go("/users", "User {name} was changed.", name=account.name)


async def reset_password(visit: Visit) -> web.StreamResponse:
    """A new password for one who forgot it, or who failed too often."""
    form, user = visit.fields, visit.number("id")
    try:
        _must_agree(form)
        await accounts.reset_password(visit.desk, user, form.raw("password"))
    except Refusal as refusal:
        return visit.refused("user.html", await _page(visit, password=visit.with_error(form, refusal)), refusal)
    return visit.go(f"/users/{user}", "The password was changed; all sessions of this user have ended.")


async def take_second_factor(visit: Visit) -> web.StreamResponse:
    """For one who lost it."""
    user = visit.number("id")
    await accounts.take_second_factor(visit.desk, user)
    return visit.go(f"/users/{user}", "The second factor is off; all sessions of this user have ended.")


async def revoke(visit: Visit) -> web.StreamResponse:
    """Revoke a token of the user."""
    user = visit.number("id")
    await tokens.revoke_token(visit.desk, visit.number("token"), user=user)
    return visit.go(f"/users/{user}", "The token was revoked.")


async def delete_page(visit: Visit) -> web.StreamResponse:
    """What deleting takes along."""
    return visit.page("user_delete.html", await _delete_page(visit, Form()))


async def delete(visit: Visit) -> web.StreamResponse:
    """Delete a user."""
    try:
        user = await accounts.delete_user(visit.desk, visit.number("id"))
    except Refusal as refusal:
        page = await _delete_page(visit, visit.with_error(visit.fields, refusal))
        return visit.refused("user_delete.html", page, refusal)
    return visit.go("/users", "User {name} was deleted.", name=user.name)


async def _page(visit: Visit, form: Form | None = None, password: Form | None = None) -> UserPage:
    user = await accounts.show_user(visit.desk, visit.number("id"))
    profile = user.profile
    shown = form_of(
        full_name=profile.full_name,
        role=profile.role.value,
        tags="\n".join(sorted(profile.tags, key=str.lower)),
        language=profile.language,
        disabled=profile.disabled,
    )
    return UserPage(
        user,
        form or shown,
        password or Form(),
        token_lines(await tokens.list_tokens(visit.desk, user.id), visit.desk.clock.now()),
        ROLES,
        user.blocked_till > visit.desk.clock.now(),
        user.id == visit.desk.actor.user,
    )


async def _delete_page(visit: Visit, form: Form) -> DeletePage:
    user = await accounts.show_user(visit.desk, visit.number("id"))
    count = len(await tokens.list_tokens(visit.desk, user.id))
    return DeletePage(user, form, count, user.id == visit.desk.actor.user)


def _profile(form: Form) -> Profile:
    role = next((role for role in Role if role.value == form.text("role")), None)
    if role is None:
        raise invalid("role", "{role!r} is no role; take user or administrator.", role=form.text("role")[:20])
    return Profile(
        form.text("name"),
        role,
        form.text("full_name"),
        frozenset(re.split(r"[\n,]", form.raw("tags"))),
        form.text("language"),
        form.ticked("disabled"),
    )


def _must_agree(form: Form) -> None:
    if form.raw("password") != form.raw("again"):
        raise invalid("again", "the two passwords differ; type them again.")


def _at_name(refusal: Refusal) -> Refusal:
    """What belongs to no field is about the name: somebody else has it."""
    return Refusal(refusal.kind, refusal.sentence, refusal.field or "name", **refusal.values)


ROUTES = (
    Route("GET", "/users", users_page),
    Route("GET", "/users/create", new_page),
    Route("POST", "/users/create", create),
    Route("GET", r"/users/{id:\d+}", user_page),
    Route("POST", r"/users/{id:\d+}", change),
    Route("POST", r"/users/{id:\d+}/password", reset_password),
    Route("POST", r"/users/{id:\d+}/second-factor", take_second_factor),
    Route("POST", r"/users/{id:\d+}/tokens/{token:\d+}/revoke", revoke),
    Route("GET", r"/users/{id:\d+}/delete", delete_page),
    Route("POST", r"/users/{id:\d+}/delete", delete),
)
