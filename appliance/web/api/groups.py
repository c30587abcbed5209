"""Groups: static and dynamic, who is in and why. A user's token sees visible static ones and its user's computers."""

from __future__ import annotations

from typing import Any

from appliance.clock import iso
from appliance.domain.account import Right
from appliance.domain.group import LONGEST_DESCRIPTION, LONGEST_NAME, MEMBERSHIP, Check, Group
from appliance.domain.search import from_lists
from appliance.operations.computers import show_computer
from appliance.operations.groups import (
    Change,
    add_members,
    change_group,
    create_group,
    delete_group,
    explain_membership,
    forget_exceptions,
    group_members,
    list_groups,
    remove_members,
    show_group,
)
from appliance.operations.identity import members as joined_members
from appliance.web.api.computers import COMPUTER, computer_told
from appliance.web.api.frame import ApiRoute, Call, Doc
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
from appliance.web.api.selection import SEARCH, SELECTION, search_told, selection_of

GROUP = named(
    "Group",
    told(
        id=number(),
        name=text(),
        description=text(),
        kind=one_of(["static", "dynamic"]),
        search=or_null(SEARCH),
        visible=flag("Whether users may put their own computers in."),
        created=moment(),
        changed=moment(),
    ),
)
COUNTED = named("CountedGroup", with_keys(GROUP, members=number(), packages=number()))
DETAILS = named(
    "GroupDetails",
    with_keys(
        GROUP,
        members=number(),
        packages=rows(
            told(
                id=text(),
                name=text(),
                activation=or_null(number()),
                schedule=text(),
                post_command=text(),
                at=moment(),
            )
        ),
        overrides=table(number(low=-(2**53))),
        left_out=rows(told(id=number(), computer=text(), deviceid=text()), "Left out by hand."),
    ),
)
MEMBERS = named(
    "MemberPage",
    told(
        total=number(),
        page=number(low=1),
        size=number(low=1),
        computers=rows(with_keys(COMPUTER, by_hand=flag())),
    ),
)
WHY = named(
    "Membership",
    told(
        group=text(),
        computer=text(),
        deviceid=text(),
        member=flag(),
        why=text(),
        search=rows(
            rows(told(field=text(), operator=text(), value=text(), holds=flag(), here=rows(text()))),
            "Every criterion held against the computer.",
        ),
    ),
)
FIELDS: dict[str, Schema] = {
    "name": text(maxLength=LONGEST_NAME),
    "description": text(maxLength=LONGEST_DESCRIPTION),
    "visible": flag(),
}
PAGING: dict[str, Schema] = {"page": number(low=1, high=2**31, default=1), "size": number(low=1, high=500, default=50)}
CHOSEN = asked("selection", selection=SELECTION)
COUNT = told(count=number("How many computers."))


async def listed(call: Call) -> object:
    """The groups with their members, counted now."""
    found = await list_groups(call.desk)
    return {"groups": [{**_group(one.group), "members": one.members, "packages": one.packages} for one in found]}


async def create(call: Call) -> object:
    """A new group: static without a search, else dynamic."""
    body = call.body
    search = body.get("search")
    group = await create_group(
        call.desk,
        body["name"],
        description=body.get("description", ""),
        search=None if search is None else from_lists(search),
        visible=body.get("visible", False),
    )
    return _group(group)


async def show(call: Call) -> object:
    """One group: its packages and settings, and who was left out."""
    facts = await show_group(call.desk, call.number("group"))
    return {
        **_group(facts.group),
        "members": facts.members,
        "packages": [
            {
                "id": one.package,
                "name": one.package_name,
                "activation": one.activation,
                "schedule": one.schedule,
                "post_command": one.post_command,
                "at": iso(one.affected_at),
            }
            for one in facts.packages
        ],
        "overrides": dict(facts.overrides),
        "left_out": [{"id": one.id, "computer": one.name, "deviceid": one.device_id} for one in facts.left_out],
    }


async def change(call: Call) -> object:
    """Change what is given; the rest stays. A search is for dynamic groups."""
    body = call.body
    search = body.get("search")
    wanted = Change(
        body.get("name"), body.get("description"), None if search is None else from_lists(search), body.get("visible")
    )
    return _group(await change_group(call.desk, call.number("group"), wanted))


async def delete(call: Call) -> None:
    """Delete a group; what waits for its sake goes, what was notified goes on."""
    await delete_group(call.desk, call.number("group"))


async def members(call: Call) -> object:
    """Who is in now, a page at a time."""
    found = await group_members(call.desk, call.number("group"), page=call.query["page"], size=call.query["size"])
    joined = await joined_members(call.desk)
    return {
        "total": found.total,
        "page": found.page,
        "size": found.size,
        "computers": [{**computer_told(one.computer, joined), "by_hand": one.by_hand} for one in found.members],
    }


async def add(call: Call) -> object:
    """Put computers in by hand: how many were not in. In a dynamic group they stay, whatever its search says."""
    selection = await selection_of(call.desk, call.body["selection"])
    return {"count": await add_members(call.desk, call.number("group"), selection)}


async def remove(call: Call) -> object:
    """Take computers out by hand: how many. A dynamic group does not take them back."""
    selection = await selection_of(call.desk, call.body["selection"])
    return {"count": await remove_members(call.desk, call.number("group"), selection)}


async def free(call: Call) -> object:
    """Let a dynamic group's search decide again about computers that were put in or left out by hand."""
    selection = await selection_of(call.desk, call.body["selection"])
    return {"count": await forget_exceptions(call.desk, call.number("group"), selection)}


async def why(call: Call) -> object:
    """Why a computer is or is not a member."""
    device_id = (await show_computer(call.desk, call.number("computer"))).computer.device_id
    group, computer, membership = await explain_membership(call.desk, call.number("group"), device_id)
    return {
        "group": group.name,
        "computer": computer.name,
        "deviceid": computer.device_id,
        "member": membership.is_member,
        "why": MEMBERSHIP[membership.ground].format(computer=computer.name, group=group.name),
        "search": [[_check(one) for one in some] for some in membership.alternatives],
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "kind": "dynamic" if group.is_dynamic else "static",
        "search": None if group.search is None else search_told(group.search),
        "visible": group.visible,
        "created": iso(group.created_at),
        "changed": iso(group.changed_at),
    }


def _check(check: Check) -> dict[str, Any]:
    asked_for = check.criterion
    return {
        "field": asked_for.field,
        "operator": asked_for.operator.value,
        "value": asked_for.value,
        "holds": check.holds,
        "here": list(check.own),
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/groups", listed, Right.SIGNED_IN, Doc(told(groups=rows(COUNTED)))),
    ApiRoute(
        "POST",
        "/api/v1/groups",
        create,
        doc=Doc(GROUP, asked("name", **FIELDS, search=or_null(SEARCH)), status=201),
    ),
    ApiRoute("GET", "/api/v1/groups/{group}", show, Right.SIGNED_IN, Doc(DETAILS)),
    ApiRoute("PATCH", "/api/v1/groups/{group}", change, doc=Doc(GROUP, asked("", **FIELDS, search=SEARCH))),
    ApiRoute("DELETE", "/api/v1/groups/{group}", delete),
    ApiRoute("GET", "/api/v1/groups/{group}/members", members, Right.SIGNED_IN, Doc(MEMBERS, query=PAGING)),
    ApiRoute("POST", "/api/v1/groups/{group}/members/add", add, Right.SIGNED_IN, Doc(COUNT, CHOSEN)),
    ApiRoute("POST", "/api/v1/groups/{group}/members/remove", remove, Right.SIGNED_IN, Doc(COUNT, CHOSEN)),
    ApiRoute("POST", "/api/v1/groups/{group}/members/free", free, doc=Doc(COUNT, CHOSEN)),
    ApiRoute("GET", "/api/v1/groups/{group}/why/{computer}", why, Right.SIGNED_IN, Doc(WHY)),
)
