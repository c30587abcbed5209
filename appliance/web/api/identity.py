"""Who computers are: tokens to join with, the doubts that wait for a decision, certificates that are void."""

from __future__ import annotations

from typing import Any

from appliance.clock import iso
from appliance.domain.computer import ComputerId
from appliance.domain.identity import Case, Decision, Doubt, JoinToken, Mode
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
STANDING = named(
    "Identity",
    told(
        mode=one_of([mode.value for mode in Mode], "Changed as the setting IDENTITY_MODE."),
        joined=number("Computers that joined."),
        waiting=number("Doubts that wait."),
        doubts=rows(DOUBT),
        tokens=rows(TOKEN),
    ),
)


async def show(call: Call) -> object:
    """The mode, the doubts and the tokens."""
    found = await standing(call.desk)
    return {
        "mode": found.mode.value,
        "joined": found.joined,
        "waiting": found.waiting,
        "doubts": [_doubt(case) for case in found.cases],
        "tokens": [_token(token) for token in found.tokens],
    }


async def make(call: Call) -> object:
    """A token with which computers join; it is told this once."""
    body = call.body
    made = await make_token(call.desk, uses=body["uses"], days=body["days"], tag=body["tag"], group=body["group"])
    return {"token": made}


async def revoke(call: Call) -> None:
    """Nobody joins with that token any more."""
    await revoke_token(call.desk, call.number("token"))


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
    ApiRoute("POST", "/api/v1/identity/doubts/{doubt}", settle, doc=Doc(DOUBT, asked("accept", accept=flag()))),
    ApiRoute("DELETE", "/api/v1/computers/{computer}/membership", end),
)
