"""One computer: what it is and has, its packages and why they stand where they stand, Customization, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.computer import Computer
from appliance.domain.group import Group
from appliance.domain.identity import Member
from appliance.domain.refusal import Refusal, invalid
from appliance.domain.status import Stage
from appliance.operations.affect import affect, unaffect
from appliance.operations.computers import ComputerFacts, change_computer, delete_computer, show_computer
from appliance.operations.configure import Value, get_settings
from appliance.operations.groups import add_members, groups_of_computer, open_groups, remove_members
from appliance.operations.identity import identity_of
from appliance.operations.override import override_computers
from appliance.operations.package_facts import PackageFacts, list_packages
from appliance.operations.selection import Selection
from appliance.web.console.asking import FIELD_NAMES
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import Route, Visit
from appliance.web.console.selection import terms_of
from appliance.web.console.stages import EVENT_NAMES, STAGE_NAMES

FACTS = (
    "TAG", "USERID", "OSNAME", "OSVERSION", "OSCOMMENTS", "WORKGROUP", "USERDOMAIN", "DESCRIPTION", "IPADDR", "ARCH",
    "PROCESSORT", "PROCESSORN", "PROCESSORS", "MEMORY", "SWAP", "SMANUFACTURER", "SMODEL", "SSN", "BVERSION", "UUID",
)  # fmt: skip
LONGEST_TABLE = 2000  # rows of one section on the page


@dataclass(frozen=True)
class Table:
    """One section of the inventory."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    left_out: int


@dataclass(frozen=True)
class ComputerDetails:
    """All that is known of a computer."""

    facts: ComputerFacts
    shown: tuple[tuple[str, str | int | None], ...]
    groups: Sequence[Group]
    open_groups: Sequence[Group]  # static ones that it is not in and that the visitor may put it into
    tables: tuple[Table, ...]
    settings: Sequence[Value]
    packages: Sequence[PackageFacts]
    form: Form
    member: Member | None  # None: it did not join
    stage_names: Mapping[Stage, str]
    event_names: Mapping[str, str]

    @property
    def setting_names(self) -> tuple[str, ...]:
        """The fields of the settings' form."""
        return tuple(value.setting.name for value in self.settings)


async def show(visit: Visit) -> web.StreamResponse:
    """The page."""
    return await _page(visit)


async def _page(visit: Visit, form: Form | None = None, refusal: Refusal | None = None) -> web.Response:
    number = visit.number("computer")
    facts = await show_computer(visit.desk, number)
    computer = facts.computer
    mine = await groups_of_computer(visit.desk, computer.device_id)
    member = {group.id for group in mine}
    others = [group for group in await open_groups(visit.desk) if not group.is_dynamic and group.id not in member]
    manages = visit.may(Right.ADMINISTRATOR)
    settings = await _settings(visit, computer) if manages else []
    if form is None:
        own = {value.setting.name: value.own for value in settings}
        form = form_of(TAG=computer.tag, **own)
    elif refusal is not None:
        form = visit.with_error(form, refusal)
    here = {stand.package for stand in facts.stands}
    packages = [p for p in await list_packages(visit.desk) if p.package.id not in here] if manages else []
    page = ComputerDetails(
        facts,
        tuple((FIELD_NAMES[key], computer.tag if key == "TAG" else computer.facts[key]) for key in FACTS),
        mine,
        others,
        tables_of(facts),
        settings,
        packages,
        form,
        (await identity_of(visit.desk, computer.id)).member,
        STAGE_NAMES,
        EVENT_NAMES,
    )
    return visit.refused("computer.html", page, refusal) if refusal else visit.page("computer.html", page)


def tables_of(facts: ComputerFacts) -> tuple[Table, ...]:
    """The inventory's sections in the order of the message, each with the columns that any of its rows has."""
    if facts.inventory is None:
        return ()
    rows: dict[str, list[dict[str, str]]] = {}
    for name, fields in facts.inventory.sections:
        rows.setdefault(name, []).append(fields)
    return tuple(
        Table(
            name,
            tuple(dict.fromkeys(column for row in some for column in row)),
            tuple(some[:LONGEST_TABLE]),
            max(0, len(some) - LONGEST_TABLE),
        )
        for name, some in sorted(rows.items())
    )


async def _computer(visit: Visit) -> Computer:
    return (await show_computer(visit.desk, visit.number("computer"))).computer


async def _settings(visit: Visit, computer: Computer) -> list[Value]:
    """What can differ from computer to computer, as it stands for this one."""
    values = await get_settings(visit.desk, computer=computer.device_id)
    return [value for value in values if value.setting.per_computer]


def _back(visit: Visit, part: str) -> str:
    return f"/computers/{visit.number('computer')}#{part}"


async def affect_package(visit: Visit) -> web.StreamResponse:
    """Affect a package to this computer."""
    form = visit.fields
    try:
        if not form.text("package"):
            raise invalid("package", "choose a package.")
        selection = Selection(ids=(visit.number("computer"),))
        await affect(visit.desk, form.text("package"), selection, terms_of(form))
    except Refusal as refusal:
        return await _page(visit, form, refusal)
    return visit.go(_back(visit, "packages"), "The package is affected to this computer.")


async def unaffect_package(visit: Visit) -> web.StreamResponse:
    """Take a package from this computer."""
    await unaffect(visit.desk, visit.fields.text("package"), Selection(ids=(visit.number("computer"),)))
    return visit.go(_back(visit, "packages"), "The package is no longer affected to this computer.")


async def change_settings(visit: Visit) -> web.StreamResponse:
    """This computer's own settings; an empty field goes back to what holds for its groups and for all."""
    form = visit.fields
    computer = await _computer(visit)
    now = {value.setting.name: value.own for value in await _settings(visit, computer)}
    changes = {name: form.text(name) or None for name, own in now.items() if form.text(name) != own}
    try:
        if changes:
            await override_computers(visit.desk, Selection(ids=(computer.id,)), changes)
    except Refusal as refusal:
        return await _page(visit, form, refusal)
    return visit.go(_back(visit, "customization"), "The settings of this computer are kept.")


async def change_account(visit: Visit) -> web.StreamResponse:
    """TAG and account values; a new one where its name is filled in."""
    form = visit.fields
    account = dict(zip(form.many("key"), form.many("value"), strict=False))
    try:
        new = account.pop("", "")
        if form.text("new-key"):
            account[form.text("new-key")] = new or form.text("new-value")
        await change_computer(visit.desk, visit.number("computer"), tag=form.raw("TAG"), account=account)
    except Refusal as refusal:
        return await _page(visit, form, refusal)
    return visit.go(
        _back(visit, "account"), "TAG and account values are kept; the computer is told at its next inventory."
    )


async def join_group(visit: Visit) -> web.StreamResponse:
    """Put it into a static group."""
    number = visit.fields.whole("group")
    if number is None:
        raise invalid("group", "choose a group.")
    await add_members(visit.desk, number, Selection(ids=(visit.number("computer"),)))
    return visit.go(_back(visit, "groups"), "The computer is in the group.")


async def leave_group(visit: Visit) -> web.StreamResponse:
    """Take it out of a group."""
    number = visit.fields.whole("group")
    if number is None:
        raise invalid("group", "choose a group.")
    await remove_members(visit.desk, number, Selection(ids=(visit.number("computer"),)))
    return visit.go(_back(visit, "groups"), "The computer is out of the group.")


async def delete(visit: Visit) -> web.StreamResponse:
    """Delete it with all that is known of it."""
    if not visit.fields.ticked("sure"):
        raise invalid("sure", "tick the box to say that you mean it.")
    gone = await delete_computer(visit.desk, visit.number("computer"))
    return visit.go("/computers", "{name} is deleted.", name=gone.name)


ROUTES = (
    Route("GET", r"/computers/{computer:\d+}", show, Right.SIGNED_IN),
    Route("POST", r"/computers/{computer:\d+}/affect", affect_package),
    Route("POST", r"/computers/{computer:\d+}/unaffect", unaffect_package),
    Route("POST", r"/computers/{computer:\d+}/settings", change_settings),
    Route("POST", r"/computers/{computer:\d+}/account", change_account),
    Route("POST", r"/computers/{computer:\d+}/join", join_group, Right.SIGNED_IN),
    Route("POST", r"/computers/{computer:\d+}/leave", leave_group, Right.SIGNED_IN),
    Route("POST", r"/computers/{computer:\d+}/delete", delete),
)
