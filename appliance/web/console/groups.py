"""Groups: static and dynamic, who is in and why, what is affected to them and set for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.computer import Computer
from appliance.domain.group import MEMBERSHIP, Group, Membership
from appliance.domain.refusal import Refusal, invalid
from appliance.domain.search import Criterion, Operator, Search, from_json
from appliance.operations.affect import affect, unaffect
from appliance.operations.computers import show_computer
from appliance.operations.configure import Value, get_settings
from appliance.operations.groups import (
    Change,
    Counted,
    GroupFacts,
    MemberPage,
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
from appliance.operations.override import override_group
from appliance.operations.package_facts import PackageFacts, list_packages
from appliance.operations.selection import Selection
from appliance.web.console import asking
from appliance.web.console.asking import FIELD_NAMES, OPERATOR_NAMES
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import Route, Visit, address
from appliance.web.console.selection import terms_of


@dataclass(frozen=True)
class GroupsPage:
    """All groups that the visitor may see."""

    groups: Sequence[Counted]


@dataclass(frozen=True)
class NewGroupPage:
    """The form of a new group; with a search it becomes a dynamic one."""

    form: Form
    search: Search | None
    criteria: tuple[tuple[str, ...], ...]  # alternatives of criteria as text


@dataclass(frozen=True)
class GroupPage:
    """One group."""

    facts: GroupFacts
    members: MemberPage
    criteria: tuple[tuple[str, ...], ...]
    search_link: str
    settings: Sequence[Value]
    packages: Sequence[PackageFacts]
    form: Form
    pages: int

    def page_link(self, number: int) -> str:
        """Another page of the members."""
        return address(f"/groups/{self.facts.group.id}", page=number)

    @property
    def shown(self) -> tuple[str, ...]:
        """The fields that show their own faults."""
        return ("name", "description", "schedule", "post-command", *(value.setting.name for value in self.settings))


@dataclass(frozen=True)
class WhyPage:
    """Why one computer is or is not a member."""

    group: Group
    computer: Computer
    membership: Membership
    sentence: str
    field_names: Mapping[str, str] = field(default_factory=lambda: FIELD_NAMES)
    operator_names: Mapping[Operator, str] = field(default_factory=lambda: OPERATOR_NAMES)


def criteria_of(visit: Visit, search: Search | None) -> tuple[tuple[str, ...], ...]:
    """A search as text for people: alternatives of criteria."""

    def said(criterion: Criterion) -> str:
        name = FIELD_NAMES.get(criterion.field)
        parts = [visit.say(name) if name else criterion.field, visit.say(OPERATOR_NAMES[criterion.operator])]
        return " ".join([*parts, f"“{criterion.value}”"] if criterion.value else parts)

    return tuple(tuple(said(criterion) for criterion in some) for some in search or ())


async def listed(visit: Visit) -> web.StreamResponse:
    """All groups."""
    return visit.page("groups.html", GroupsPage(await list_groups(visit.desk)))


async def new(visit: Visit) -> web.StreamResponse:
    """The form of a new group."""
    return _new_page(visit, visit.query)


def _new_page(visit: Visit, form: Form, refusal: Refusal | None = None) -> web.Response:
    search = from_json(form.raw("search")) if form.raw("search") else None
    shown = visit.with_error(form, refusal) if refusal else form
    page = NewGroupPage(shown, search, criteria_of(visit, search))
    return visit.refused("group_new.html", page, refusal) if refusal else visit.page("group_new.html", page)


async def create(visit: Visit) -> web.StreamResponse:
    """Make a group."""
    form = visit.fields
    try:
        search = from_json(form.raw("search")) if form.raw("search") else None
        group = await create_group(
            visit.desk,
            form.text("name"),
            description=form.text("description"),
            search=search,
            visible=form.ticked("visible"),
        )
    except Refusal as refusal:
        return _new_page(visit, form, refusal)
    return visit.go(f"/groups/{group.id}", "The group “{name}” is there.", name=group.name)


async def show(visit: Visit) -> web.StreamResponse:
    """One group."""
    return await _page(visit)


async def _page(visit: Visit, form: Form | None = None, refusal: Refusal | None = None) -> web.Response:
    number = visit.number("group")
    members = await group_members(visit.desk, number, page=visit.query.whole("page", 1) or 1)
    facts = await show_group(visit.desk, number, members.total)
    manages = visit.may(Right.ADMINISTRATOR)
    settings = await _settings(visit, number) if manages else []
    group = facts.group
    if form is None:
        own = {value.setting.name: value.own for value in settings}
        form = form_of(name=group.name, description=group.description, visible=group.visible, **own)
    elif refusal is not None:
        form = visit.with_error(form, refusal)
    here = {one.package for one in facts.packages}
    packages = [p for p in await list_packages(visit.desk) if p.package.id not in here] if manages else []
    page = GroupPage(
        facts,
        members,
        criteria_of(visit, group.search),
        address("/search", group=group.id),
        settings,
        packages,
        form,
        max(1, -(-members.total // members.size)),
    )
    return visit.refused("group.html", page, refusal) if refusal else visit.page("group.html", page)


async def _settings(visit: Visit, number: int) -> list[Value]:
    return [value for value in await get_settings(visit.desk, group=number) if value.setting.per_computer]


async def change(visit: Visit) -> web.StreamResponse:
    """Name, description, whether users see it."""
    form = visit.fields
    try:
        await change_group(
            visit.desk,
            visit.number("group"),
            Change(name=form.text("name"), description=form.text("description"), visible=form.ticked("visible")),
        )
    except Refusal as refusal:
        return await _page(visit, form, refusal)
    return visit.go(f"/groups/{visit.number('group')}", "The group is changed.")


async def change_search(visit: Visit) -> web.StreamResponse:
    """Another search for a dynamic group, from the form of the search."""
    search = asking.search_of(asking.rows_of(visit.fields))
    await change_group(visit.desk, visit.number("group"), Change(search=search))
    return visit.go(f"/groups/{visit.number('group')}", "The group has another search.")


async def change_settings(visit: Visit) -> web.StreamResponse:
    """The group's own settings; an empty field goes back to what holds for all."""
    form, number = visit.fields, visit.number("group")
    try:
        now = {value.setting.name: value.own for value in await _settings(visit, number)}
        changes = {name: form.text(name) or None for name, own in now.items() if form.text(name) != own}
        await override_group(visit.desk, number, changes)
    except Refusal as refusal:
        return await _page(visit, form, refusal)
    return visit.go(f"/groups/{number}#settings", "The settings of the group are kept.")


async def affect_package(visit: Visit) -> web.StreamResponse:
    """Affect a package to the group: members get it, and those that join later."""
    form, number = visit.fields, visit.number("group")
    try:
        if not form.text("package"):
            raise invalid("package", "choose a package.")
        group = (await show_group(visit.desk, number)).group
        count = await affect(visit.desk, form.text("package"), Selection(group=group.name), terms_of(form))
    except Refusal as refusal:
        return await _page(visit, form, refusal)
    return visit.go(
        f"/groups/{number}#packages",
        "The package is affected to the group. Computers that wait for it now: {count}.",
        count=count,
    )


async def unaffect_package(visit: Visit) -> web.StreamResponse:
    """Take a package from the group."""
    number = visit.number("group")
    group = (await show_group(visit.desk, number)).group
    count = await unaffect(visit.desk, visit.fields.text("package"), Selection(group=group.name))
    return visit.go(
        f"/groups/{number}#packages",
        "The package is taken from the group. Computers that no longer wait for it: {count}.",
        count=count,
    )


async def remove(visit: Visit) -> web.StreamResponse:
    """Take ticked members out."""
    number, ids = visit.number("group"), visit.fields.numbers("id")
    if not ids:
        raise invalid("id", "tick at least one computer.")
    count = await remove_members(visit.desk, number, Selection(ids=ids))
    return visit.go(f"/groups/{number}#members", "Computers taken out of the group: {count}.", count=count)


async def add(visit: Visit) -> web.StreamResponse:
    """Put one computer in, by name or DEVICEID."""
    number, name = visit.number("group"), visit.fields.text("computer")
    try:
        if not name:
            raise invalid("computer", "name a computer.")
        count = await add_members(visit.desk, number, Selection(computers=(name,)))
    except Refusal as refusal:
        return await _page(visit, visit.fields, refusal)
    return visit.go(f"/groups/{number}#members", "Computers added to the group: {count}.", count=count)


async def free(visit: Visit) -> web.StreamResponse:
    """Let the search decide again about computers that were put in or left out by hand."""
    number = visit.number("group")
    count = await forget_exceptions(visit.desk, number, Selection(ids=visit.fields.numbers("id")))
    return visit.go(
        f"/groups/{number}#members", "Computers about which the search decides again: {count}.", count=count
    )


async def why(visit: Visit) -> web.StreamResponse:
    """Why one computer is or is not a member."""
    computer = (await show_computer(visit.desk, visit.number("computer"))).computer
    group, one, membership = await explain_membership(visit.desk, visit.number("group"), computer.device_id)
    sentence = visit.say(MEMBERSHIP[membership.ground], computer=one.name, group=group.name)
    return visit.page("group_why.html", WhyPage(group, one, membership, sentence))


async def ask_why(visit: Visit) -> web.StreamResponse:
    """On to the page of the computer that was named."""
    name = visit.query.text("computer")
    if not name:
        raise invalid("computer", "name a computer.")
    computer = (await show_computer(visit.desk, name)).computer
    return visit.go(f"/groups/{visit.number('group')}/why/{computer.id}")


async def delete(visit: Visit) -> web.StreamResponse:
    """Delete a group."""
    if not visit.fields.ticked("sure"):
        raise invalid("sure", "tick the box to say that you mean it.")
    gone = await delete_group(visit.desk, visit.number("group"))
    return visit.go("/groups", "The group “{name}” is gone.", name=gone.name)


ROUTES = (
    Route("GET", "/groups", listed, Right.SIGNED_IN),
    Route("GET", "/groups/new", new),
    Route("POST", "/groups/new", create),
    Route("GET", r"/groups/{group:\d+}", show, Right.SIGNED_IN),
    Route("POST", r"/groups/{group:\d+}", change),
    Route("POST", r"/groups/{group:\d+}/search", change_search),
    Route("POST", r"/groups/{group:\d+}/settings", change_settings),
    Route("POST", r"/groups/{group:\d+}/affect", affect_package),
    Route("POST", r"/groups/{group:\d+}/unaffect", unaffect_package),
    Route("POST", r"/groups/{group:\d+}/add", add, Right.SIGNED_IN),
    Route("POST", r"/groups/{group:\d+}/remove", remove, Right.SIGNED_IN),
    Route("POST", r"/groups/{group:\d+}/free", free),
    Route("POST", r"/groups/{group:\d+}/delete", delete),
    Route("GET", r"/groups/{group:\d+}/why", ask_why, Right.SIGNED_IN),
    Route("GET", r"/groups/{group:\d+}/why/{computer:\d+}", why, Right.SIGNED_IN),
)
