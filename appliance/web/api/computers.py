"""Computers: list and search, one with all that is known of it, its TAG and account values, delete."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from appliance.clock import iso
from appliance.domain.account import Right
from appliance.domain.computer import Computer, ComputerId
from appliance.domain.eligibility import Cause, sentence
from appliance.domain.search import EVERY, FieldKind, Search, from_lists
from appliance.domain.status import Stage
from appliance.operations.computers import (
    COLUMNS,
    LARGEST_PAGE,
    LONGEST_TEXT,
    USUAL_COLUMNS,
    ComputerFacts,
    change_computer,
    computer_page,
    delete_computer,
    delete_computers,
    export,
    show_computer,
)
from appliance.operations.groups import groups_of_computer
from appliance.operations.identity import members
from appliance.operations.jobs import Progress
from appliance.operations.package_facts import Stand
from appliance.web.api import jobs
from appliance.web.api.frame import JSON, ApiRoute, Call, Doc
from appliance.web.api.schema import (
    Schema,
    asked,
    flag,
    moment,
    named,
    number,
    one_of,
    or_null,
    rows,
    table,
    text,
    told,
    with_keys,
)
from appliance.web.api.selection import SEARCH, SELECTION, numbers_in, selection_of

FACTS = {  # what an inventory says, in the order of the console's columns
    name: kind for name, kind in COLUMNS
    if kind is not FieldKind.MOMENT and name not in ("NAME", "DEVICEID", "TAG", "USERAGENT", "ADDRESS")
}  # fmt: skip
COMPUTER = named(
    "Computer",
    told(
        id=number(),
        computer=text("Its name."),
        deviceid=text(),
        tag=text(),
        agent=text("What it calls itself."),
        address=text("Where the last contact came from."),
        identity=one_of(["anonymous", "joined"], "Whether it proves who it is."),
        first_seen=moment(),
        last_contact=moment(),
        last_inventory=or_null(moment()),
        **{
            name.lower(): or_null(text() if kind is FieldKind.TEXT else number(low=-(2**53)))
            for name, kind in FACTS.items()
        },
    ),
)
STAND: dict[str, Schema] = {
    "stage": one_of([stage.value for stage in Stage]),
    "status": text("In the manual's words."),
    "received": text("The code as the agent sent it."),
    "at": moment("Of the last change."),
    "cause": one_of([cause.value for cause in Cause], "Why, for programs."),
    "why": text("Why, for people."),
    "group": text('The group that it came from; "": affected to the computer itself.'),
}
DETAILS = named(
    "ComputerDetails",
    with_keys(
        COMPUTER,
        account=table(text(), "Account values, TAG included."),
        overrides=table(number(low=-(2**53)), "Settings of its own."),
        groups=rows(told(id=number(), name=text())),
        packages=rows(told(id=text(), name=text(), **STAND)),
        events=rows(told(at=moment(), package=text(), kind=text(), detail=text()), "The newest first."),
        inventory=table(rows(table(text())), "Sections of the last inventory, as it was sent."),
    ),
)
PAGE = named(
    "ComputerPage",
    told(
        total=number(),
        page=number(low=1),
        pages=number(low=1),
        size=number(low=1),
        computers=rows(COMPUTER),
    ),
)
ORDER: dict[str, Schema] = {
    "q": text("Part of the name, user, address, TAG or system.", maxLength=255, default=""),
    "sort": one_of([name for name, _ in COLUMNS], default="NAME"),
    "descending": flag(default=False),
}
PAGING: dict[str, Schema] = {
    "page": number(low=1, high=2**31, default=1),
    "size": number(low=1, high=LARGEST_PAGE, default=50),
}
ACCOUNT = table(text(maxLength=LONGEST_TEXT), 'Account values to change; "" forgets one.', maxProperties=100)
EXPORT_COLUMNS = rows(text("A column of the list, or ACCOUNT.KEY.", maxLength=300), maxItems=100)


async def listed(call: Call) -> object:
    """Computers, a page at a time."""
    return await _page(call, EVERY, call.query)


async def searched(call: Call) -> object:
    """The computers that a search finds, a page at a time."""
    return await _page(call, from_lists(call.body["search"]), call.body)


async def _page(call: Call, search: Search, given: Mapping[str, Any]) -> dict[str, Any]:
    found = await computer_page(
        call.desk,
        search,
        given["q"],
        given["sort"],
        given["descending"],
        given["page"],
        given["size"],
    )
    joined = await members(call.desk)
    return {
        "total": found.total,
        "page": found.page,
        "pages": found.pages,
        "size": found.size,
        "computers": [computer_told(row.computer, joined) for row in found.rows],
    }


async def exported(call: Call) -> web.StreamResponse:
    """All computers that a search finds, by column, in one list."""
    body = call.body
    columns = list(dict.fromkeys(body.get("columns", USUAL_COLUMNS)))
    source = export(
        call.desk,
        from_lists(body.get("search", [])),
        columns,
        body["q"],
        body["sort"],
        body["descending"],
    )
    some: list[dict[str, str | int | None]] = await anext(
        source, []
    )  # what is refused is refused before the first byte
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(call.request)
    begin = "["
    while some:
        await response.write((begin + ",\n".join(json.dumps(row) for row in some)).encode())
        some, begin = await anext(source, []), ",\n"
    await response.write(b"[]" if begin == "[" else b"]")
    await response.write_eof()
    return response


async def show(call: Call) -> object:
    """One computer: inventory, packages, groups, events."""
    facts = await show_computer(call.desk, call.number("computer"))
    groups = await groups_of_computer(call.desk, facts.computer.device_id)
    told_of = _details(facts, await members(call.desk))
    return {**told_of, "groups": [{"id": group.id, "name": group.name} for group in groups]}


async def change(call: Call) -> object:
    """Change a computer's TAG and account values, which it is told at its next inventory."""
    body = call.body
    computer = await change_computer(
        call.desk, call.number("computer"), tag=body.get("tag"), account=body.get("account")
    )
    return computer_told(computer, await members(call.desk))


async def delete(call: Call) -> None:
    """Delete a computer with all that is known of it; at its next contact it comes back as new."""
    await delete_computer(call.desk, call.number("computer"))


async def delete_many(call: Call) -> object:
    """Delete computers with all that is known of them; the job's result is their count."""
    selection = await selection_of(call.desk, call.body["selection"])

    async def work(progress: Progress) -> dict[str, object]:
        ids = await numbers_in(call.desk, selection)
        count = await delete_computers(call.desk, ids, lambda done, total: progress("delete", done, total))
        return {"count": count}

    return await jobs.begin(call, "Delete computers", "/computers", work)


def computer_told(computer: Computer, joined: Collection[ComputerId]) -> dict[str, Any]:
    """A computer in a list; the command line's keys, and its number. `joined`: the computers that joined."""
    return {
        "id": computer.id,
        "computer": computer.name,
        "deviceid": computer.device_id,
        "tag": computer.tag,
        "agent": computer.user_agent,
        "address": computer.address,
        "identity": "joined" if computer.id in joined else "anonymous",
        "first_seen": iso(computer.first_seen),
        "last_contact": iso(computer.last_contact),
        "last_inventory": iso(computer.last_inventory) if computer.last_inventory else None,
        **{name.lower(): computer.facts[name] for name in FACTS},
    }


def stand_told(stand: Stand) -> dict[str, Any]:
    """Where a package stands on a computer, and why."""
    return {
        "stage": stand.stage.value,
        "status": stand.status,
        "received": stand.received,
        "at": iso(stand.at),
        "cause": stand.why.cause.value,
        "why": sentence(stand.why, iso),
        "group": stand.group,
    }


def _details(facts: ComputerFacts, joined: Collection[ComputerId]) -> dict[str, Any]:
    sections: dict[str, list[dict[str, str]]] = {}
    for name, fields in facts.inventory.sections if facts.inventory else ():
        sections.setdefault(name, []).append(fields)
    return {
        **computer_told(facts.computer, joined),
        "account": facts.account,
        "overrides": facts.overrides,
        "packages": [{"id": s.package, "name": s.package_name, **stand_told(s)} for s in facts.stands],
        "events": [{"at": iso(e.at), "package": e.package, "kind": e.kind, "detail": e.detail} for e in facts.events],
        "inventory": sections,
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/computers", listed, Right.SIGNED_IN, Doc(PAGE, query={**ORDER, **PAGING})),
    ApiRoute(
        "POST",
        "/api/v1/computers/search",
        searched,
        Right.SIGNED_IN,
        Doc(PAGE, asked("search", search=SEARCH, **ORDER, **PAGING)),
    ),
    ApiRoute(
        "POST",
        "/api/v1/computers/export",
        exported,
        Right.SIGNED_IN,
        Doc(
            rows(table({"type": ["string", "integer", "null"]})),
            asked("", search=SEARCH, columns=EXPORT_COLUMNS, **ORDER),
        ),
    ),
    ApiRoute(
        "POST",
        "/api/v1/computers/delete",
        delete_many,
        doc=jobs.beginning(asked("selection", selection=SELECTION)),
    ),
    ApiRoute("GET", "/api/v1/computers/{computer}", show, Right.SIGNED_IN, Doc(DETAILS)),
    ApiRoute(
        "PATCH",
        "/api/v1/computers/{computer}",
        change,
        doc=Doc(COMPUTER, asked("", tag=text(maxLength=LONGEST_TEXT), account=ACCOUNT)),
    ),
    ApiRoute("DELETE", "/api/v1/computers/{computer}", delete),
)
