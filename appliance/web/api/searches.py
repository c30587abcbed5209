"""Searches that are kept under a name, and what can be searched for."""

from __future__ import annotations

from typing import Any

from appliance.clock import iso
from appliance.domain.account import Right
from appliance.domain.search import FIELDS, KeptSearch, from_lists, kind_of, operators_of
from appliance.operations.computers import account_fields
from appliance.operations.searches import LONGEST_NAME, delete_search, find_kept, keep_search, kept_searches
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import asked, flag, moment, named, number, rows, text, told
from appliance.web.api.selection import SEARCH, search_told

KEPT = named("KeptSearch", told(id=number(), name=text(), search=SEARCH, created_at=moment()))
INVENTORY = "SECTION.FIELD"  # as an example of all fields of the inventory that have no name of their own


async def listed(call: Call) -> object:
    """All searches that are kept, by name."""
    return {"searches": [_kept(one) for one in await kept_searches(call.desk)]}


async def keep(call: Call) -> object:
    """Keep a search under a name; with replace, instead of the one that has the name."""
    body = call.body
    kept = await keep_search(call.desk, body["name"], from_lists(body["search"]), replace=body["replace"])
    return _kept(kept)


async def show(call: Call) -> object:
    """One kept search."""
    return _kept(await find_kept(call.desk, call.number("search")))


async def delete(call: Call) -> None:
    """Keep a search no longer; groups that were made from it have their own."""
    await delete_search(call.desk, call.number("search"))


async def fields(call: Call) -> object:
    """What can be searched for, and what each field can be asked; SECTION.FIELD stands for all of the inventory."""
    names = [*FIELDS, INVENTORY, *(f"ACCOUNT.{key}" for key in await account_fields(call.desk))]
    return {
        "fields": [
            {"field": name, "kind": kind.value, "operators": [operator.value for operator in operators_of(name)]}
            for name in names
            if (kind := kind_of(name)) is not None
        ]
    }


def _kept(kept: KeptSearch) -> dict[str, Any]:
    return {
        "id": kept.id,
        "name": kept.name,
        "search": search_told(kept.search),
        "created_at": iso(kept.created_at),
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/searches", listed, Right.SIGNED_IN, Doc(told(searches=rows(KEPT)))),
    ApiRoute(
        "POST",
        "/api/v1/searches",
        keep,
        doc=Doc(
            KEPT,
            asked("name search", name=text(maxLength=LONGEST_NAME), search=SEARCH, replace=flag(default=False)),
            status=201,
        ),
    ),
    ApiRoute(
        "GET",
        "/api/v1/searches/fields",
        fields,
        Right.SIGNED_IN,
        Doc(told(fields=rows(told(field=text(), kind=text(), operators=rows(text()))))),
    ),
    ApiRoute("GET", "/api/v1/searches/{search}", show, Right.SIGNED_IN, Doc(KEPT)),
    ApiRoute("DELETE", "/api/v1/searches/{search}", delete),
)
