"""Identity: what computers may do that did not join, tokens to join with, passwords for agents, and posts that wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.computer import ComputerId
from appliance.domain.group import Group
from appliance.domain.identity import ACCEPT, ASKED, DECIDED, MEANING, REFUSE, Case, Decision, Mode
from appliance.domain.refusal import Refusal, invalid
from appliance.operations.agent_passwords import MadePassword, make_password, revoke_password
from appliance.operations.configure import set_settings
from appliance.operations.groups import list_groups
from appliance.operations.identity import Standing, decide, end_membership, standing
from appliance.operations.join import make_token, revoke_token
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import Route, Visit


@dataclass(frozen=True)
class Line:
    """A doubt as it is shown. `accept` and `refuse`: what the buttons say; empty: there is no such button."""

    case: Case
    asked: str
    decided: str
    accept: str
    refuse: str


@dataclass(frozen=True)
class IdentityPage:
    """The mode, the doubts, the tokens, the passwords and the forms."""

    standing: Standing
    waiting: Sequence[Line]
    decided: Sequence[Line]
    groups: Sequence[Group]  # that a computer can be put into
    modes: Mapping[Mode, str]
    mode: Form
    token: Form
    password: Form


@dataclass(frozen=True)
class JoinTokenPage:
    """A token that was made."""

    text: str


@dataclass(frozen=True)
class AgentPasswordPage:
    """A password for agents that was made."""

    made: MadePassword


async def identity_page(visit: Visit) -> web.StreamResponse:
    """The page."""
    return visit.page("identity.html", await _page(visit))


async def change_mode(visit: Visit) -> web.StreamResponse:
    """Another mode, other networks; both or none."""
    form = visit.fields
    wanted: dict[str, str | None] = {"IDENTITY_MODE": form.text("mode")}
    if "networks" in form.values:
        wanted["IDENTITY_NETWORKS"] = form.text("networks") or None
    try:
        await set_settings(visit.desk, wanted)
    except Refusal as refusal:
        field = "networks" if refusal.field == "IDENTITY_NETWORKS" else "mode"
        page = await _page(visit, mode=form.refused(field, visit.words.refusal(refusal)))
        return visit.refused("identity.html", page, refusal)
    return visit.go("/identity", "Mode and networks are kept; they hold from the next contact on.")


async def token(visit: Visit) -> web.StreamResponse:
    """A token. It stands in the answer itself, and nowhere else."""
    form = visit.fields
    try:
        text = await make_token(
            visit.desk,
            uses=form.whole("uses", 1) or 0,
            days=form.whole("days", 1) or 0,
            tag=form.text("tag"),
            group=form.text("group"),
        )
    except Refusal as refusal:
        return visit.refused("identity.html", await _page(visit, token=visit.with_error(form, refusal)), refusal)
    return visit.page("identity_token.html", JoinTokenPage(text))


async def revoke(visit: Visit) -> web.StreamResponse:
    """Take a token back."""
    await revoke_token(visit.desk, visit.number("token"))
    return visit.go("/identity", "The token was revoked.")


async def password(visit: Visit) -> web.StreamResponse:
    """A password for agents. It stands in the answer itself, and nowhere else."""
    form = visit.fields
    try:
        made = await make_password(visit.desk, form.text("name"))
    except Refusal as refusal:
        return visit.refused("identity.html", await _page(visit, password=visit.with_error(form, refusal)), refusal)
    return visit.page("identity_password.html", AgentPasswordPage(made))


async def revoke_agents(visit: Visit) -> web.StreamResponse:
    """Take a password for agents back."""
    await revoke_password(visit.desk, visit.number("password"))
    return visit.go("/identity", "The password was revoked; agents that have it are not answered any more.")


async def decide_doubt(visit: Visit) -> web.StreamResponse:
    """Decide one doubt."""
    decision = visit.fields.text("decision")
    if decision not in ("accept", "refuse"):
        raise invalid("decision", "choose what to do.")
    found = await decide(visit.desk, visit.number("doubt"), accept=decision == "accept")
    return visit.go("/identity", "It is decided: {name}.", name=found.name or found.device_id)


async def end(visit: Visit) -> web.StreamResponse:
    """A computer's certificate is void from now on."""
    number = visit.number("computer")
    await end_membership(visit.desk, ComputerId(number))
    return visit.go(f"/computers/{number}", "The certificate of this computer is void; it can join again.")


def _line(case: Case) -> Line:
    return Line(case, ASKED[case.doubt], DECIDED[case.decision], ACCEPT[case.doubt] or "", REFUSE[case.doubt])


async def _page(
    visit: Visit, *, mode: Form | None = None, token: Form | None = None, password: Form | None = None
) -> IdentityPage:
    found = await standing(visit.desk)
    lines = [_line(case) for case in found.cases]
    return IdentityPage(
        found,
        [line for line in lines if line.case.decision is Decision.OPEN],
        [line for line in lines if line.case.decision is not Decision.OPEN],
        [one.group for one in await list_groups(visit.desk) if not one.group.is_dynamic],
        MEANING,
        mode or form_of(mode=found.mode.value, networks=found.networks),
        token or form_of(uses=1, days=1),
        password or Form(),
    )


ROUTES = (
    Route("GET", "/identity", identity_page),
    Route("POST", "/identity/mode", change_mode),
    Route("POST", "/identity/tokens", token),
    Route("POST", r"/identity/tokens/{token:\d+}/revoke", revoke),
    Route("POST", "/identity/passwords", password),
    Route("POST", r"/identity/passwords/{password:\d+}/revoke", revoke_agents),
    Route("POST", r"/identity/doubts/{doubt:\d+}", decide_doubt),
    Route("POST", r"/computers/{computer:\d+}/end-membership", end),
)
