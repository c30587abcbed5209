"""The log of who did what and when: searched, paged by number, verified."""

from __future__ import annotations

from appliance.clock import iso
from appliance.domain.log import Deed
from appliance.operations.logbook import PAGE, read_log, verify_log
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import moment, named, number, one_of, or_null, rows, table, text, told

ENTRY = named(
    "LogEntry",
    told(
        id=number(),
        at=moment(),
        actor=text(),
        through=text("console, api, command line or server."),
        deed=text(),
        subject=text(),
        detail=table(text()),
    ),
)


async def read(call: Call) -> object:
    """The log, the newest entries first."""
    query = call.query
    found = await read_log(call.desk, query["words"], query.get("deed", ""), query.get("before"), query["size"])
    return {
        "entries": [
            {
                "id": one.id,
                "at": iso(one.at),
                "actor": one.actor,
                "through": one.through,
                "deed": one.deed,
                "subject": one.subject,
                "detail": one.detail,
            }
            for one in found.entries
        ],
        "before": found.more,
    }


async def verify(call: Call) -> object:
    """Whether somebody changed the log: a walk along its chain of digests."""
    verdict = await verify_log(call.desk)
    return {"entries": verdict.entries, "broken_at": verdict.broken_at, "head": verdict.head}


ROUTES = (
    ApiRoute(
        "GET",
        "/api/v1/log",
        read,
        doc=Doc(
            told(entries=rows(ENTRY), before=or_null(number("The query that goes on from here; null: no more."))),
            query={
                "words": text("All of them are somewhere in an entry.", maxLength=200, default=""),
                "deed": one_of([deed.value for deed in Deed]),
                "before": number("Entries that are older than this one."),
                "size": number(low=1, high=500, default=PAGE),
            },
        ),
    ),
    ApiRoute(
        "GET",
        "/api/v1/log/verify",
        verify,
        doc=Doc(
            told(
                entries=number("Good ones, from the first on."),
                broken_at=or_null(number("The first that does not follow from those before it.")),
                head=text("Digest of the last good one: kept elsewhere, it shows when later ones were cut off."),
            )
        ),
    ),
)
