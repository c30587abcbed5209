"""Whom a call is for: computers by number or name, those that a search finds, a group, or all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.domain.search import (
    EVERY,
    LONGEST_VALUE,
    MOST_CRITERIA,
    Criterion,
    Operator,
    Search,
    all_of,
    from_lists,
    takes_everyone,
    to_json,
)
from appliance.operations.computers import numbers_of, show_computer
from appliance.operations.desk import Desk
from appliance.operations.groups import show_group
from appliance.operations.selection import Selection
from appliance.web.api.schema import Schema, asked, flag, named, number, one_of, rows, text, wrong

MOST_IDS = 100_000
MOST_NAMES = 1000

NOBODY = "it chooses nobody."
NOT_ALL = "false chooses nobody; give ids, computers, a search or a group instead."

CRITERION = named(
    "Criterion",
    asked(
        "field operator",
        field=text(
            "NAME, SECTION.FIELD of the inventory or ACCOUNT.KEY; /api/v1/searches/fields has them.", maxLength=300
        ),
        operator=one_of([operator.value for operator in Operator]),
        value=text("What the field is held against.", maxLength=LONGEST_VALUE, default=""),
    ),
)
SEARCH = named(
    "Search",
    rows(
        rows(CRITERION, "All of these.", maxItems=MOST_CRITERIA),
        "Alternatives, of which one must fit; [] takes every computer.",
        maxItems=MOST_CRITERIA,
    ),
)
PARTS: Mapping[str, Schema] = {
    "ids": rows(number(), "Computers by number.", maxItems=MOST_IDS),
    "computers": rows(text(maxLength=255), "Computers by name or DEVICEID.", maxItems=MOST_NAMES),
    "search": SEARCH,
    "group": {"type": ["integer", "string"], "description": "A group by number or name.", "maxLength": 255},
    "all": flag("true: every computer that the token's user sees."),
}
SELECTION = named(
    "Selection", {**asked("", **PARTS), "minProperties": 1, "maxProperties": 1, "description": "Exactly one of these."}
)


async def selection_of(desk: Desk, told: Mapping[str, Any]) -> Selection:
    """The selection that a body has. Raises Refusal."""
    if "ids" in told:
        return Selection(ids=tuple(told["ids"]))
    if "computers" in told:
        return Selection(computers=tuple(told["computers"]))
    if "search" in told:
        search = from_lists(told["search"])
        return Selection(everyone=True) if takes_everyone(search) else Selection(search=search)
    if "group" in told:
        return Selection(group=(await show_group(desk, told["group"])).group.name)
    if not told["all"]:
        raise wrong("selection.all", NOT_ALL)
    return Selection(everyone=True)


async def numbers_in(desk: Desk, selection: Selection) -> Sequence[int]:
    """The numbers of the computers selected. Raises Refusal."""
    if selection.ids or selection.computers:
        named_ones = [(await show_computer(desk, name)).computer.id for name in selection.computers]
        return list(dict.fromkeys([*selection.ids, *named_ones]))
    if selection.group:
        return await numbers_of(desk, all_of([Criterion("GROUP", Operator.BELONG, selection.group)]))
    if not selection.everyone and selection.search is None:
        raise wrong("selection", NOBODY)
    return await numbers_of(desk, selection.search or EVERY)


def search_told(search: Search) -> list[list[dict[str, str]]]:
    """A search as JSON."""
    found: list[list[dict[str, str]]] = json.loads(to_json(search))
    return found
