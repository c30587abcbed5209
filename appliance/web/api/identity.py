"""Who computers are: tokens to join with, passwords for agents, doubts that wait, certificates that are void."""

from __future__ import annotations

from typing import Any

from appliance.clock import iso
from appliance.domain.computer import ComputerId
from appliance.domain.identity import LONGEST_NAME, AgentPassword, Case, Decision, Doubt, JoinToken, Mode
from appliance.operations.agent_passwords import make_password, revoke_password
from appliance.operations.identity import decide, end_membership, standing
from appliance.operations.join import make_token, revoke_token
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import asked, flag, moment, named, number, one_of, or_null, rows, text, told

TOKEN = named(
    "JoinToken",
    told(
        id=number(),
        created_at=moment(),
        created_by=text(),
        expires_at=moment(),
        uses=number("Left."),
        tag=text(),
        group=text('"": none.'),
    ),
)
DOUBT = named(
    "Doubt",
    told(
        id=number(),
        doubt=one_of([doubt.value for doubt in Doubt]),
        computer=number("Its id."),
        name=text(),
        deviceid=text(),
        other=or_null(number("The other computer's id.")),
        other_name=text(),
        address=text(),
        detail=text(),
        first_at=moment(),
        last_at=moment(),
        count=number(),
        held=flag("Whether nothing is announced until it is decided."),
        decision=one_of([decision.value for decision in Decision], '"": it waits.'),
    ),
)
PASSWORD = named(
    "AgentPassword",
    told(
        id=number(),
        name=text("The user name."),
        created_at=moment(),
        created_by=text(),
        used_at=or_null(moment("To the hour.")),
    ),
)
STANDING = named(
    "Identity",
    told(
        mode=one_of([mode.value for mode in Mode], "Changed as the setting IDENTITY_MODE."),
        joined=number("Computers that joined."),
        waiting=number("Doubts that wait."),
        doubts=rows(DOUBT),
        tokens=rows(TOKEN),
        networks=text("From which mode closed answers all agents. Changed as the setting IDENTITY_NETWORKS."),
        passwords=rows(PASSWORD),
    ),
)
MADE_PASSWORD = told(
    name=text("The user name."),
    password=text("Shown this once. OCS Unix agents want it, and the user name, as base64."),
    realm=text(),
    server=text('URL for agents. "": the server was never started.'),
    unix=text("Lines for ocsinventory-agent.cfg."),
    windows=text("Options for the installer of the OCS Windows agent."),
)


async def show(call: Call) -> object:
    """The mode, the doubts, the tokens, and what else mode closed lets in."""
    found = await standing(call.desk)
    return {
        "mode": found.mode.value,
        "joined": found.joined,
        "waiting": found.waiting,
        "doubts": [_doubt(case) for case in found.cases],
        "tokens": [_token(token) for token in found.tokens],
        "networks": found.networks,
        "passwords": [_password(password) for password in found.passwords],
    }


async def make(call: Call) -> object:
    """A token with which computers join; it is told this once."""
    body = call.body
    made = await make_token(call.desk, uses=body["uses"], days=body["days"], tag=body["tag"], group=body["group"])
    return {"token": made}


async def revoke(call: Call) -> None:
    """Nobody joins with that token any more."""
    await revoke_token(call.desk, call.number("token"))


async def make_for_agents(call: Call) -> object:
    """A password for agents that cannot join; it is told this once."""
    made = await make_password(call.desk, call.body["name"])
    return {
        "name": made.name,
        "password": made.password,
        "realm": made.realm,
        "server": made.server,
        "unix": made.unix,
        "windows": made.windows,
    }


async def revoke_for_agents(call: Call) -> None:
    """No agent is answered with that password any more."""
    await revoke_password(call.desk, call.number("password"))


async def settle(call: Call) -> object:
    """Decide a doubt that waits."""
    return _doubt(await decide(call.desk, call.number("doubt"), accept=call.body["accept"]))


async def end(call: Call) -> None:
    """A computer's certificates are void at once; it can join again."""
    await end_membership(call.desk, ComputerId(call.number("computer")))


def _token(token: JoinToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "created_at": iso(token.created_at),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
        "uses": token.uses,
        "tag": token.tag,
        "group": token.group_name,
    }


def _password(password: AgentPassword) -> dict[str, Any]:
    return {
        "id": password.id,
        "name": password.name,
        "created_at": iso(password.created_at),
        "created_by": password.created_by,
        "used_at": iso(password.used_at) if password.used_at else None,
    }


def _doubt(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "doubt": case.doubt.value,
        "computer": case.computer,
        "name": case.name,
        "deviceid": case.device_id,
        "other": case.other,
        "other_name": case.other_name,
        "address": case.address,
        "detail": case.detail,
        "first_at": iso(case.first_at),
        "last_at": iso(case.last_at),
        "count": case.count,
        "held": case.held,
        "decision": case.decision.value,
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/identity", show, doc=Doc(STANDING)),
    ApiRoute(
        "POST",
        "/api/v1/identity/tokens",
        make,
        doc=Doc(
            told(token=text("Shown this once.")),
            asked(
                "",
                uses=number(low=1, high=100_000, default=1),
                days=number(low=1, high=365, default=1),
                tag=text(maxLength=255, default=""),
                group=text(maxLength=255, default=""),
            ),
        ),
    ),
    ApiRoute("DELETE", "/api/v1/identity/tokens/{token}", revoke),
    ApiRoute(
        "POST",
        "/api/v1/identity/passwords",
        make_for_agents,
        doc=Doc(MADE_PASSWORD, asked("name", name=text(minLength=1, maxLength=LONGEST_NAME))),
    ),
    ApiRoute("DELETE", "/api/v1/identity/passwords/{password}", revoke_for_agents),
    ApiRoute("POST", "/api/v1/identity/doubts/{doubt}", settle, doc=Doc(DOUBT, asked("accept", accept=flag()))),
    ApiRoute("DELETE", "/api/v1/computers/{computer}/membership", end),
)
