"""What is known about computers: list, details, change, delete. An actor sees those with the TAGs that are granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from appliance.clock import iso
from appliance.domain.account import Actor, Right
from appliance.domain.affectation import Happening
from appliance.domain.computer import Computer, ComputerId
from appliance.domain.group import is_open_to
from appliance.domain.log import Deed
from appliance.domain.messages import Inventory
from appliance.domain.refusal import Kind, Refusal, invalid, missing
from appliance.domain.search import EVERY, FIELDS, FieldKind, Search, field_named, kind_of
from appliance.operations.desk import Desk
from appliance.operations.package_facts import Stand, stands_of_computer
from appliance.operations.take_inventory import KEPT
from appliance.store import affectations, computers, groups, log, search
from appliance.store.database import Tx
from appliance.wire import contact
from appliance.wire.malformed import Malformed

EVENTS_SHOWN = 50
LARGEST_PAGE = 500
LONGEST_TEXT = 255  # of a TAG, an account value or its name
EXPORTED_AT_ONCE = 1000
DELETED_AT_ONCE = 100  # computers in one transaction and one entry of the log, which names them all

COLUMNS: tuple[tuple[str, FieldKind], ...] = tuple(
    (name, kind) for name, kind in FIELDS.items() if name in search.SORTS
)
"""What a list can show and be sorted by; ACCOUNT.KEY can be shown too."""
USUAL_COLUMNS = ("NAME", "USERID", "TAG", "OSNAME", "IPADDR", "LASTCONTACT")

Progress = Callable[[int, int], None]  # computers done, of so many


@dataclass(frozen=True)
class ComputerFacts:
    """A computer with its packages, overrides, newest events and last inventory."""

    computer: Computer
    account: dict[str, str]
    overrides: dict[str, int]
    stands: list[Stand]
    events: list[Happening]
    inventory: Inventory | None


@dataclass(frozen=True)
class ComputerRow:
    """A computer in a list."""

    computer: Computer
    account: Mapping[str, str]  # without TAG; only where a column asks for it

    def cell(self, column: str) -> str | int | None:
        """What stands in a column: a key of COLUMNS or ACCOUNT.KEY. Moments in seconds."""
        if column.startswith("ACCOUNT."):
            key = column.partition(".")[2].lower()
            return next((value for name, value in self.account.items() if name.lower() == key), None)
        return _CELLS[column](self.computer) if column in _CELLS else self.computer.facts[column]


_CELLS: dict[str, Callable[[Computer], str | int | None]] = {
    "NAME": lambda computer: computer.name,
    "DEVICEID": lambda computer: computer.device_id,
    "TAG": lambda computer: computer.tag,
    "USERAGENT": lambda computer: computer.user_agent,
    "ADDRESS": lambda computer: computer.address,
    "FIRSTSEEN": lambda computer: computer.first_seen,
    "LASTCONTACT": lambda computer: computer.last_contact,
    "LASTINVENTORY": lambda computer: computer.last_inventory,
}


@dataclass(frozen=True)
class ComputerPage:
    """Some of the computers that fit, and how many there are in all. Pages count from 1."""

    rows: tuple[ComputerRow, ...]
    total: int
    page: int
    pages: int
    size: int


# One computer


async def find_computer(tx: Tx, name: str | int, actor: Actor | None = None) -> Computer:
    """The computer of that name, DEVICEID or number; with `actor` only one that the actor sees.

    Raises Refusal where there is none, or more than one of the name.
    """
    if isinstance(name, int):
        found = await search.of_numbers(tx, [ComputerId(name)])
    else:
        found = await computers.named(tx, name)
    found = [computer for computer in found if actor is None or actor.sees(computer.tag)]
    exact = [computer for computer in found if computer.device_id == name]
    if not found:
        raise missing("there is no computer {name!r}; 'computer list' shows those that are there.", name=str(name)[:80])
    if len(found) > 1 and not exact:
        ids = ", ".join(computer.device_id for computer in found[:5])
        raise Refusal(
            Kind.CONFLICT,
            "{found} computers are called {name!r}; name one by DEVICEID: {ids}.",
            found=len(found),
            name=str(name)[:80],
            ids=ids,
        )
    return (exact or found)[0]


async def show_computer(desk: Desk, name: str | int) -> ComputerFacts:
    """One computer, by name, DEVICEID or number. Raises Refusal."""
    async with desk.store.reading() as tx:
        computer = await find_computer(tx, name, desk.actor)
        account = await computers.account(tx, computer.id)
        own = await computers.overrides(tx, computer.id)
        stands = await stands_of_computer(tx, computer)
        events = await affectations.events(tx, computer.id, EVENTS_SHOWN)
        xml = await computers.inventory_xml(tx, computer.id)
    inventory = await asyncio.to_thread(_read, xml) if xml else None
    return ComputerFacts(computer, account, own, stands, events, inventory)


def _read(xml: bytes) -> Inventory | None:
    try:
        request = contact.decode_request(xml, KEPT)
    except Malformed:
        return None
    return request if isinstance(request, Inventory) else None


async def change_computer(
    desk: Desk, name: str | int, *, tag: str | None = None, account: Mapping[str, str] | None = None
) -> Computer:
    """Change a computer's TAG and account values, which it is told at its next inventory. Raises Refusal.

    What is not given stays; an account value that is given empty is forgotten.
    """
    desk.must_have(Right.ADMINISTRATOR)
    changed = {**({} if tag is None else {"TAG": _text("TAG", tag)}), **_account(account or {})}
    async with desk.store.writing() as tx:
        computer = await find_computer(tx, name, desk.actor)
        before = await computers.account(tx, computer.id)
        changed = {key: value for key, value in changed.items() if before.get(key, "") != value}
        for key, value in changed.items():
            if key == "TAG":
                await computers.put_tag(tx, computer.id, value)
            else:
                await computers.put_account(tx, computer.id, key, value)
        if changed:
            said = "; ".join(f"{key}: {value}" for key, value in changed.items())
            await log.append(
                tx, desk.actor, Deed.COMPUTER_CHANGED, computer.device_id, name=computer.name, changed=said
            )
        return (await search.of_numbers(tx, [computer.id]))[0]


def _account(given: Mapping[str, str]) -> dict[str, str]:
    for key in given:
        if not key.strip() or len(key) > LONGEST_TEXT or not key.isprintable() or key.upper() == "TAG":
            raise invalid("account", "{key!r} cannot be the name of an account value.", key=key[:40])
    return {key.strip(): _text(key, value) for key, value in given.items()}


def _text(field: str, value: str) -> str:
    value = value.strip()
    if len(value) > LONGEST_TEXT or not value.isprintable():
        raise invalid(field, "it has control characters or more than {longest} characters.", longest=LONGEST_TEXT)
    return value


async def delete_computer(desk: Desk, name: str | int) -> Computer:
    """Delete a computer with all that is known of it; at its next contact it comes back as new. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        computer = await find_computer(tx, name, desk.actor)
        await computers.remove(tx, computer.id)
        await log.append(
            tx, desk.actor, Deed.COMPUTER_DELETED, computer.device_id, name=computer.name, tag=computer.tag
        )
        return computer


async def delete_computers(desk: Desk, ids: Sequence[int], progress: Progress | None = None) -> int:
    """Delete computers by number: how many there were. A hundred at a time, so that agents are answered meanwhile."""
    desk.must_have(Right.ADMINISTRATOR)
    deleted = 0
    for begin in range(0, len(ids), DELETED_AT_ONCE):
        some = [ComputerId(number) for number in ids[begin : begin + DELETED_AT_ONCE]]
        async with desk.store.writing() as tx:
            found = [computer for computer in await search.of_numbers(tx, some) if desk.actor.sees(computer.tag)]
            for computer in found:
                await computers.remove(tx, computer.id)
            if found:
                names = ", ".join(computer.name for computer in found)
                await log.append(tx, desk.actor, Deed.COMPUTER_DELETED, names, number=len(found), names=names)
        deleted += len(found)
        if progress is not None:
            progress(begin + len(some), len(ids))
    return deleted


# Many computers


async def list_computers(desk: Desk, asked: Search = EVERY) -> list[Computer]:
    """All computers that fit a search, by name: for scripts. Raises Refusal."""
    async with desk.store.reading() as tx:
        await _check(tx, desk.actor, asked)
        return await search.computers(tx, asked, tags=desk.actor.tags)


async def computer_page(
    desk: Desk,
    asked: Search = EVERY,
    quick: str = "",
    sort: str = "NAME",
    descending: bool = False,
    page: int = 1,
    size: int = 25,
    columns: Collection[str] = USUAL_COLUMNS,
) -> ComputerPage:
    """A page of the computers that fit a search and have `quick` in name, user, address, TAG or system.

    A page beyond the last is the last. Raises Refusal.
    """
    _must_be_columns([sort], "sort", also_account=False)
    _must_be_columns(columns, "columns")
    size = max(1, min(size, LARGEST_PAGE))
    page = max(1, min(page, 2**31))
    async with desk.store.reading() as tx:
        await _check(tx, desk.actor, asked)
        while True:
            found, total = await search.page(
                tx,
                asked,
                tags=desk.actor.tags,
                quick=quick,
                sort=sort,
                descending=descending,
                limit=size,
                offset=(page - 1) * size,
            )
            pages = max(1, -(-total // size))
            if page <= pages:
                break
            page = pages
        return ComputerPage(await _rows(tx, found, columns), total, page, pages, size)


async def numbers_of(
    desk: Desk, asked: Search = EVERY, quick: str = "", sort: str = "", descending: bool = False
) -> list[ComputerId]:
    """The numbers of all computers that `computer_page` goes through. Raises Refusal."""
    async with desk.store.reading() as tx:
        await _check(tx, desk.actor, asked)
        return await search.numbers(tx, asked, tags=desk.actor.tags, quick=quick, sort=sort, descending=descending)


async def export(
    desk: Desk,
    asked: Search = EVERY,
    columns: Sequence[str] = USUAL_COLUMNS,
    quick: str = "",
    sort: str = "NAME",
    descending: bool = False,
) -> AsyncIterator[list[dict[str, str | int | None]]]:
    """The computers that `computer_page` goes through, a thousand at a time, by column; moments as ISO 8601.

    Raises Refusal before the first. What changes meanwhile may be seen.
    """
    _must_be_columns([sort], "sort", also_account=False)
    _must_be_columns(columns, "columns")
    moments = {column for column in columns if kind_of(column) is FieldKind.MOMENT}
    ids = await numbers_of(desk, asked, quick, sort, descending)
    for begin in range(0, len(ids), EXPORTED_AT_ONCE):
        async with desk.store.reading() as tx:
            found = await search.of_numbers(tx, ids[begin : begin + EXPORTED_AT_ONCE])
            rows = await _rows(tx, found, columns)
        yield [{column: _exported(row.cell(column), is_moment=column in moments) for column in columns} for row in rows]


def _exported(value: str | int | None, *, is_moment: bool) -> str | int | None:
    return iso(value) if is_moment and isinstance(value, int) else value


async def account_fields(desk: Desk) -> list[str]:
    """The names of the account values that any computer has, for columns and criteria ACCOUNT.KEY."""
    async with desk.store.reading() as tx:
        return await computers.account_keys(tx)


async def _rows(tx: Tx, found: Sequence[Computer], columns: Collection[str]) -> tuple[ComputerRow, ...]:
    account: dict[ComputerId, dict[str, str]] = {}
    if any(column.startswith("ACCOUNT.") for column in columns):
        account = await computers.accounts_of(tx, [computer.id for computer in found])
    return tuple(ComputerRow(computer, account.get(computer.id, {})) for computer in found)


def _must_be_columns(columns: Collection[str], field: str, *, also_account: bool = True) -> None:
    for column in columns:
        if column in search.SORTS or (also_account and column == field_named(column) and _is_account(column)):
            continue
        raise invalid(
            field,
            "{column!r} is no column; the columns are {columns}.",
            column=column[:40],
            columns=", ".join(name for name, _ in COLUMNS),
        )


def _is_account(column: str) -> bool:
    return kind_of(column) is FieldKind.ACCOUNT


async def _check(tx: Tx, actor: Actor, asked: Search) -> None:
    """Groups that the actor may not see are as if they were not there."""
    await search.check(tx, asked)
    if actor.may(Right.ADMINISTRATOR):
        return
    for criterion in (criterion for alternative in asked for criterion in alternative):
        if criterion.field == "GROUP":
            group = await groups.named(tx, criterion.value)
            if group is None or not is_open_to(group, actor):
                raise missing("there is no group {group!r}.", group=criterion.value[:80])
