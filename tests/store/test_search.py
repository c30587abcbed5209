"""Criteria become SQL: every operator on every kind of field, and no value is ever part of a statement."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.domain.computer import ComputerId
from appliance.domain.messages import DeviceId
from appliance.domain.refusal import Refusal
from appliance.domain.search import (
    FIELDS,
    LONELY,
    OPERATORS,
    PRESETS,
    Criterion,
    FieldKind,
    Operator,
    Search,
    all_of,
    any_of,
    checked,
    operators_of,
    parse,
    to_json,
)
from appliance.store import computers, search, values
from appliance.store.database import Store, Tx, open_store
from tests.fakes.appliance import SetClock, device, rows

Answer = TypeVar("Answer")
NOON = int(time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1)))
DAY = 86_400
HOSTILE = ["' OR 1=1--", "'; DROP TABLE computer;--", '" OR ""="', "%", "_", "!", "!%", "\\", "*", "?1", "\0", "💥'"]

# name -> BIOS and HARDWARE fields; softwares; networks; TAG; days since the last contact and inventory
FLEET: dict[str, tuple[dict[str, str], set[tuple[str, str, str]], list[tuple[str, str, str]], str, int | None]] = {
    "alpha": (
        {"OSNAME": "Debian GNU/Linux 12", "MEMORY": "4096", "SSN": "100%", "USERID": "o'neil"},
        {("firefox", "128.0", "Mozilla"), ("vim", "9.1", "")},
        [("aa:bb:cc:00:00:01", "192.0.2.1", "192.0.2.0")],
        "SALES",
        0,
    ),
    "beta": (
        {"OSNAME": "Windows 11", "MEMORY": "16384", "SSN": "100_", "USERID": ""},
        {("Firefox", "115.0", "Mozilla")},
        [("aa:bb:cc:00:00:02", "198.51.100.2", "198.51.100.0"), ("aa:bb:cc:00:00:03", "192.0.2.3", "192.0.2.0")],
        "ACCT",
        10,
    ),
    "gamma": ({"OSNAME": "windows 10", "SSN": "1000", "DESCRIPTION": "50!ways"}, set(), [], "SALES", None),
}


SECTIONS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "alpha": [
        ("STORAGES", {"MODEL": "Fast SSD", "DISKSIZE": "512110", "SERIALNUMBER": "100%"}),
        ("STORAGES", {"MODEL": "Old disk", "DISKSIZE": "80000"}),
        ("BIOS", {"TYPE": "Notebook", "SMODEL": "has a column"}),
    ],
    "beta": [("STORAGES", {"MODEL": "Slow disk", "DISKSIZE": "9000", "SERIALNUMBER": "100_"})],
    "gamma": [("Monitors", {"Caption": "o'clock 42\""})],
}
ACCOUNT = {"alpha": {"Building": "B2", "seat": "12"}, "beta": {"BUILDING": "b10"}}
PACKAGE, OTHER = "1795206923", "1795206924"
STAGES = {"alpha": ("success", "SUCCESS"), "beta": ("error", "EXIT_CODE_3")}

# name -> search, who was put in and left out by hand
GROUPS: dict[str, tuple[str, str, str]] = {
    "hand": ("", "alpha gamma", ""),
    "windows": ("OSNAME LIKE windows", "", ""),
    "odd": ("OSNAME LIKE windows", "alpha", "beta"),
    "Within": ("GROUP BELONG Windows", "", ""),
    "deeper": ("GROUP BELONG within", "", ""),
    "deepest": ("GROUP BELONG deeper", "", ""),
    "circle": ("GROUP BELONG circle", "", ""),
    "everyone": ("", "", ""),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")

    async def fill() -> None:
        clock = SetClock()
        store = await open_store(folder, clock)
        for name, (facts, softwares, networks, tag, days) in FLEET.items():
            clock.moment = NOON - (days or 0) * DAY
            async with store.writing() as tx:
                number = await computers.add(tx, device(name), name, tag)
                await computers.seen(tx, number, f"agent {name}", "192.0.2.9")
                if days is not None:
                    told = {"name": name, "facts": facts, "sections": (), "packed": b"", "size": 0}
                    await computers.put_inventory(tx, number, **told)  # type: ignore[arg-type]
                else:
                    await tx.run(
                        "UPDATE computer SET osname = ?, ssn = ?, description = ? WHERE id = ?",
                        (facts["OSNAME"], facts["SSN"], facts["DESCRIPTION"], number),
                    )
                await computers.put_softwares(tx, number, softwares)
                await computers.put_networks(tx, number, networks)
                told_values = values.searchable(SECTIONS[name])
                await values.put_values(tx, number, told_values, [section for section, _ in SECTIONS[name]])
                for key, value in ACCOUNT.get(name, {}).items():
                    await computers.put_account(tx, number, key, value)
        async with store.writing() as tx:
            await _fill_package(tx)
            await _fill_groups(tx)
        await store.close()

    asyncio.run(fill())
    return folder


async def _fill_package(tx: Tx) -> None:
    for package in (PACKAGE, OTHER):
        await tx.run(
            "INSERT INTO package (id, name, description, system, protocol, priority, action, argument, "
            "notice_countdown, notice_cancel, notice_delay, done_text, info_sha256, manifest_sha256, built_at) "
            "VALUES (?, ?, '', 'LINUX', 'HTTP', 5, 'EXECUTE', 'true', 0, 0, 0, '', '', '', 0)",
            (package, package),
        )
    for name, (stage, received) in STAGES.items():
        await tx.run(
            "INSERT INTO affectation (computer_id, package_id, stage, received, affected_at, changed_at) "
            "SELECT id, ?, ?, ?, 0, 0 FROM computer WHERE name = ?",
            (PACKAGE, stage, received, name),
        )
    await tx.run("INSERT INTO history SELECT id, ? FROM computer WHERE name = 'gamma'", (PACKAGE,))


async def _fill_groups(tx: Tx) -> None:
    for name, (text, put_in, left_out) in GROUPS.items():
        asked = to_json(all_of([parse(text)])) if text else "[]" if name == "everyone" else None
        number = await tx.insert(
            "INSERT INTO computer_group (name, search, created_at, changed_at) VALUES (?, ?, 0, 0)", (name, asked)
        )
        for excluded, names in enumerate((put_in, left_out)):
            for computer in names.split():
                await tx.run(
                    "INSERT INTO membership SELECT ?, id, ?, 0 FROM computer WHERE name = ?",
                    (number, excluded, computer),
                )


def asking(data: Path, work: Callable[[Tx], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        store: Store = await open_store(data, SetClock(NOON), readers=1)
        try:
            async with store.reading() as tx:
                return await work(tx)
        finally:
            await store.close()

    return asyncio.run(run())


def find(data: Path, *criteria: Criterion) -> list[str]:
    return find_any(data, all_of(criteria))


def find_any(data: Path, asked: Search) -> list[str]:
    """The names found; every way to ask must find the same."""

    async def work(tx: Tx) -> list[str]:
        found = await search.computers(tx, asked)
        numbers = [computer.id for computer in found]
        assert sorted(numbers) == await search.numbers(tx, asked)
        assert numbers == await search.numbers(tx, asked, sort="NAME")
        assert len(numbers) == await search.count(tx, asked)
        assert await search.page(tx, asked) == (found, len(found))
        one_by_one = [number for number in (1, 2, 3) if await search.fits(tx, ComputerId(number), asked)]
        assert sorted(numbers) == one_by_one
        every = {criterion for some in asked for criterion in some}
        sql, bound = search.where(asked, tx.now, groups=await search.known_groups(tx, asked), broad=every)
        rows = await tx.rows(f"SELECT c.id FROM computer c WHERE {sql}", bound)
        assert sorted(row[0] for row in rows) == one_by_one, "as many rows fit"
        return [computer.name for computer in found]

    return asking(data, work)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        # text: LIKE and DIFFERENT look for a part, upper and lower case alike
        ("OSNAME EQUAL windows 11", "beta"),
        ("OSNAME = Windows", ""),
        ("OSNAME LIKE WINDOWS", "beta gamma"),
        ("OSNAME DIFFERENT windows", "alpha"),
        ("OSNAME !~ windows", "alpha"),
        ("NAME MORE alpha", "beta gamma"),
        ("NAME < BETA", "alpha"),
        ("USERID ISNULL", "beta gamma"),
        ("USERID ISNOTEMPTY", "alpha"),
        ("USERID DIFFERENT neil", "beta gamma"),
        ("USERID = o'neil", "alpha"),
        ("DEVICEID LIKE pha-2026", "alpha"),
        ("USERAGENT = agent gamma", "gamma"),
        ("TAG = sales", "alpha gamma"),
        # what LIKE takes for a pattern elsewhere is a character here
        ("SSN LIKE 0%", "alpha"),
        ("SSN LIKE 100_", "beta"),
        ("DESCRIPTION LIKE 0!w", "gamma"),
        ("SSN LIKE 100", "alpha beta gamma"),
        # numbers
        ("MEMORY = 4096", "alpha"),
        ("MEMORY > 4096", "beta"),
        ("MEMORY < 4097", "alpha"),
        ("MEMORY LIKE 63", "beta"),
        ("MEMORY DIFFERENT 63", "alpha gamma"),
        ("MEMORY ISNULL", "gamma"),
        ("MEMORY ISNOTEMPTY", "alpha beta"),
        ("MEMORY > -1", "alpha beta"),
        ("MEMORY < 999999999999999", "alpha beta"),
        # moments
        ("LASTINVENTORY ISNULL", "gamma"),
        ("LASTINVENTORY ISNOTEMPTY", "alpha beta"),
        ("LASTINVENTORY MORETHANXDAY 9", "beta"),
        ("LASTINVENTORY LESSTHANXDAY 9", "alpha"),
        ("LASTINVENTORY = 2026-11-20", "alpha"),
        ("LASTINVENTORY < 2026-11-20", "beta"),
        ("LASTINVENTORY > 2026-11-10", "alpha"),
        ("LASTINVENTORY > 2026-11-20", ""),
        ("LASTCONTACT LESSTHANXDAY 0", "alpha gamma"),
        ("LASTCONTACT LESSTHANXDAY 999999999999999", "alpha beta gamma"),
        ("LASTCONTACT MORETHANXDAY 999999999999999", ""),
        ("LASTCONTACT = 20261110", "beta"),
        ("LASTCONTACT = 2026-W46-2", "beta"),
        ("LASTCONTACT < 9999-12-31", "alpha beta gamma"),
        ("LASTCONTACT = 9999-12-31", ""),
        ("LASTCONTACT > 0001-01-01", "alpha beta gamma"),
        # rows: any of them fits; DIFFERENT asks for computers of which none does
        ("SOFTWARE EQUAL firefox", "alpha beta"),
        ("SOFTWARE LIKE FOX", "alpha beta"),
        ("SOFTWARE DIFFERENT fox", "gamma"),
        ("SOFTWARE DIFFERENT vim", "beta gamma"),
        ("SOFTWARE ISNULL", "gamma"),
        ("SOFTWARE ISNOTEMPTY", "alpha beta"),
        ("SOFTWARE MORE g", "alpha"),
        ("SOFTWAREVERSION LESS 116", "beta"),
        ("SOFTWAREVERSION = 9.1", "alpha"),
        ("MACADDR = AA:BB:CC:00:00:03", "beta"),
        ("IPADDRESS LIKE 192.0.2.", "alpha beta"),
        ("IPSUBNET = 198.51.100.0", "beta"),
        ("IPSUBNET !~ 198", "alpha gamma"),
        # the opposites: of a part, of a part where something is said, of the whole
        ("SOFTWARE DOESNTCONTAIN fox", ""),
        ("SOFTWARE DOESNTCONTAIN vim", "beta"),
        ("SOFTWARE NOTHAVING firefox", "gamma"),
        ("SOFTWARE NOTHAVING fox", "alpha beta gamma"),
        ("SOFTWARE HAVING FIREFOX", "alpha beta"),
        ("SOFTWAREPUBLISHER = mozilla", "alpha beta"),
        ("SOFTWAREPUBLISHER ISNULL", "gamma"),
        ("USERID DOESNTCONTAIN x", "alpha"),
        ("USERID DOESNTCONTAIN neil", ""),
        ("TAG NOTHAVING SALES", "beta"),
        ("TAG NOTHAVING SALE", "alpha beta gamma"),
        ("TAG HAVING sales", "alpha gamma"),
        ("MEMORY NOTHAVING 4096", "beta gamma"),
        ("MEMORY HAVING 4096", "alpha"),
        ("MEMORY DOESNTCONTAIN 63", "alpha"),
        # a software and its version in one row; versions in their own order
        ("SOFTWARERELEASE = firefox|128.0", "alpha"),
        ("SOFTWARERELEASE HAVING fire|128.0", ""),
        ("SOFTWARERELEASE LIKE fire|12", "alpha"),
        ("SOFTWARERELEASE LIKE vim|128", ""),
        ("SOFTWARERELEASE < firefox|128.0", "beta"),
        ("SOFTWARERELEASE < firefox|200", "alpha beta"),
        ("SOFTWARERELEASE > firefox|9", "alpha beta"),
        ("SOFTWARERELEASE > firefox|128.0", ""),
        ("SOFTWARERELEASE NOTHAVING firefox|128.0", "beta gamma"),
        ("SOFTWARERELEASE DIFFERENT fox|1", "gamma"),
        ("SOFTWARERELEASE DOESNTCONTAIN fox|128", "beta"),
        # any field of the inventory
        ("STORAGES.MODEL LIKE ssd", "alpha"),
        ("storages.model = slow DISK", "beta"),
        ("STORAGES.MODEL DIFFERENT ssd", "beta gamma"),
        ("STORAGES.MODEL DOESNTCONTAIN ssd", "beta"),
        ("STORAGES.MODEL NOTHAVING old disk", "beta gamma"),
        ("STORAGES.MODEL ISNULL", "gamma"),
        ("STORAGES.MODEL ISNOTEMPTY", "alpha beta"),
        ("STORAGES.MODEL MORE r", "beta"),
        ("STORAGES.DISKSIZE > 80000", "alpha"),
        ("STORAGES.DISKSIZE < 10000", "beta"),
        ("STORAGES.DISKSIZE > -1.5", "alpha beta"),
        ("STORAGES.MODEL > 1", ""),
        ("STORAGES.SERIALNUMBER LIKE 0%", "alpha"),
        ("STORAGES.SERIALNUMBER LIKE 100_", "beta"),
        ("MONITORS.CAPTION LIKE o'clock", "gamma"),
        ("BIOS.TYPE = notebook", "alpha"),
        ("NOSUCH.FIELD ISNULL", "alpha beta gamma"),
        ("NOSUCH.FIELD LIKE x", ""),
        # account values
        ("ACCOUNT.building LIKE b", "alpha beta"),
        ("ACCOUNT.Building = B10", "beta"),
        ("ACCOUNT.BUILDING ISNULL", "gamma"),
        ("ACCOUNT.seat ISNOTEMPTY", "alpha"),
        ("ACCOUNT.seat DIFFERENT 12", "beta gamma"),
        ("ACCOUNT.BUILDING DOESNTCONTAIN 2", "beta"),
        ("ACCOUNT.TAG = acct", "beta"),
        # where a package stands
        (f"PACKAGE = {PACKAGE} any", "alpha beta"),
        (f"PACKAGE = {PACKAGE} none", "gamma"),
        (f"PACKAGE DIFFERENT {PACKAGE} none", "alpha beta"),
        (f"PACKAGE = {PACKAGE} success", "alpha"),
        (f"PACKAGE DIFFERENT {PACKAGE} success", "beta gamma"),
        (f"PACKAGE = {PACKAGE} error", "beta"),
        (f"PACKAGE = {PACKAGE} waiting", ""),
        (f"PACKAGE = {PACKAGE} history", "gamma"),
        (f"PACKAGE DIFFERENT {PACKAGE} history", "alpha beta"),
        (f"PACKAGE = {PACKAGE} EXIT_CODE_3", "beta"),
        (f"PACKAGE = {PACKAGE} ERR_EXIT_CODE_3", "beta"),
        (f"PACKAGE = {PACKAGE} ERR_EXIT_CODE_4", ""),
        (f"PACKAGE = {PACKAGE} SUCCESS", "alpha"),
        (f"PACKAGE = {OTHER} any", ""),
        (f"PACKAGE = {OTHER} none", "alpha beta gamma"),
        # groups, and groups within them
        ("GROUP BELONG hand", "alpha gamma"),
        ("GROUP DONTBELONG HAND", "beta"),
        ("GROUP BELONG windows", "beta gamma"),
        ("GROUP BELONG odd", "alpha gamma"),
        ("GROUP DONTBELONG odd", "beta"),
        ("GROUP BELONG within", "beta gamma"),
        ("GROUP BELONG deeper", "beta gamma"),
        ("GROUP BELONG everyone", "alpha beta gamma"),
        # what can mean nothing fits nobody
        ("GROUP BELONG deepest", ""),
        ("GROUP BELONG nosuch", ""),
        ("GROUP DONTBELONG nosuch", ""),
        ("GROUP BELONG circle", ""),
        ("GROUP DONTBELONG circle", ""),
        # kinds of operating systems
        ("OSNAME = Windows (ALL)", "beta gamma"),
        ("OSNAME like windows (all)", "beta gamma"),
        ("OSNAME = Linux (ALL)", "alpha"),
        ("OSNAME = macOS (ALL)", ""),
        ("OSNAME DIFFERENT Windows (ALL)", "alpha"),
        ("OSNAME NOTHAVING Linux (ALL)", "beta gamma"),
        ("OSNAME DOESNTCONTAIN macOS (ALL)", "alpha beta gamma"),
        ("LASTCONTACT DIFFERENT 2026-11-20", "beta"),
        ("LASTINVENTORY DIFFERENT 2026-11-20", "beta gamma"),
        ("FIRSTSEEN < 2026-11-20", "beta"),
        ("ADDRESS = 192.0.2.9", "alpha beta gamma"),
    ],
)
def test_a_criterion_finds(data: Path, text: str, names: str) -> None:
    assert find(data, parse(text)) == names.split()


def test_all_criteria_must_fit_and_none_fits_all(data: Path) -> None:
    assert find(data) == ["alpha", "beta", "gamma"]
    assert find(data, parse("TAG = SALES"), parse("SOFTWARE ~ vim")) == ["alpha"]
    assert find(data, parse("SOFTWARE ~ vim"), parse("SOFTWARE ~ 115")) == []


def test_one_alternative_is_enough(data: Path) -> None:
    vim, macs, sales = parse("SOFTWARE ~ vim"), parse("OSNAME LIKE mac"), parse("TAG = SALES")
    assert find_any(data, any_of([vim, macs])) == ["alpha"]
    assert find_any(data, any_of([vim, sales])) == ["alpha", "gamma"]
    assert find_any(data, ((sales, parse("SOFTWARE ISNULL")), (parse("OSNAME ~ 11"),))) == ["beta", "gamma"]
    assert find_any(data, ((), (macs,))) == ["alpha", "beta", "gamma"]


def test_the_opposite_of_several_alternatives_in_a_group_is_the_opposite_of_all_of_them(data: Path) -> None:
    async def work(tx: Tx) -> None:
        either = any_of([parse("NAME = alpha"), parse("NAME = beta")])
        for asked, expected in (("BELONG", [1, 2]), ("DONTBELONG", [3])):
            sql, bound = search.where(all_of([parse(f"GROUP {asked} g")]), tx.now, groups={"g": (99, either)})
            assert [row[0] for row in await tx.rows(f"SELECT c.id FROM computer c WHERE {sql}", bound)] == expected

    asking(data, work)


def askable() -> Iterator[Criterion]:
    for field, kind in {**FIELDS, "STORAGES.MODEL": FieldKind.INVENTORY, "ACCOUNT.x": FieldKind.ACCOUNT}.items():
        value = {
            FieldKind.NUMBER: "7",
            FieldKind.MOMENT: "2026-11-20",
            FieldKind.RELEASE: "x|1",
            FieldKind.PACKAGE: f"{PACKAGE} success",
        }.get(kind, "x")
        for operator in OPERATORS[kind]:
            days = operator in (Operator.MORETHANXDAY, Operator.LESSTHANXDAY)
            yield checked(Criterion(field, operator, "" if operator in LONELY else "7" if days else value))


def test_every_operator_can_be_asked_of_every_field(data: Path) -> None:
    async def work(tx: Tx) -> int:
        for criterion in askable():
            asked = all_of([criterion])
            both = set(await search.numbers(tx, asked))
            assert both == {number for number in (1, 2, 3) if await search.fits(tx, ComputerId(number), asked)}, (
                criterion
            )
        return sum(1 for _ in askable())

    assert asking(data, work) > 300


def test_every_preset_can_be_asked(data: Path) -> None:
    for _, criterion in PRESETS:
        find(data, criterion)


def test_the_largest_search_is_one_statement(data: Path) -> None:
    hard = ["SOFTWARE LIKE a", "GROUP BELONG deeper", "STORAGES.MODEL DOESNTCONTAIN x", "OSNAME = Linux (ALL)"]
    many = [parse(hard[number % len(hard)]) for number in range(50)]
    assert find_any(data, any_of(many)) == ["alpha", "beta", "gamma"]
    assert find(data, *many) == []


def test_groups_that_ask_for_ever_more_groups_come_to_an_end(data: Path) -> None:
    async def work(tx: Tx) -> None:
        fan: Search = ((Criterion("GROUP", Operator.BELONG, "fan"),) * 50,)
        sql, _ = search.where(fan, tx.now, groups={"fan": (1, fan)})
        assert len(sql) < 200_000

    asking(data, work)


def test_a_search_is_refused_where_its_groups_are_not_there_or_too_deep(data: Path) -> None:
    async def work(tx: Tx) -> None:
        for text in ("GROUP BELONG hand", "GROUP BELONG deeper", "NAME = x"):
            await search.check(tx, all_of([parse(text)]))
        for text, sentence in (
            ("GROUP BELONG nosuch", "no group 'nosuch'"),
            ("GROUP BELONG deepest", "3 deep and no further"),
            ("GROUP DONTBELONG circle", "3 deep and no further"),
        ):
            with pytest.raises(Refusal, match=sentence):
                await search.check(tx, all_of([parse(text)]))

    asking(data, work)


def test_a_page_is_cut_from_the_whole_in_its_order(data: Path) -> None:
    async def work(tx: Tx) -> None:
        for asked in ((), all_of([parse("NAME ISNOTEMPTY")])):
            for sort in search.SORTS:
                up = [c.name for c in (await search.page(tx, asked, sort=sort))[0]]
                down = [c.name for c in (await search.page(tx, asked, sort=sort, descending=True))[0]]
                assert down == up[::-1], sort
                first, total = await search.page(tx, asked, sort=sort, limit=2)
                last, _ = await search.page(tx, asked, sort=sort, limit=2, offset=2)
                assert ([c.name for c in (*first, *last)], total) == (up, 3)
            assert await search.page(tx, asked, offset=99) == ([], 3)
        names = [c.name for c in (await search.page(tx, sort="MEMORY", descending=True))[0]]
        assert names == ["beta", "alpha", "gamma"]

    asking(data, work)


@pytest.mark.parametrize(
    ("quick", "names"),
    [
        ("ALPHA", "alpha"),
        (" neil ", "alpha"),
        ("acct", "beta"),
        ("windows", "beta gamma"),
        ("%", ""),
        ("_", ""),
        ("'", "alpha"),
        ("x" * 100_000, ""),
        ("", "alpha beta gamma"),
        ("  ", "alpha beta gamma"),
    ],
)
def test_the_quick_filter_looks_into_name_user_address_tag_and_system(data: Path, quick: str, names: str) -> None:
    async def work(tx: Tx) -> list[str]:
        found, total = await search.page(tx, quick=quick)
        assert total == len(found) == await search.count(tx, quick=quick)
        return [computer.name for computer in found]

    assert asking(data, work) == names.split()


def test_only_computers_with_one_of_the_tags_are_found(data: Path) -> None:
    async def work(tx: Tx) -> None:
        for tags, numbers in ((["SALES"], [1, 3]), (["SALES", "ACCT"], [1, 2, 3]), (["sales"], []), ([], [])):
            assert await search.numbers(tx, tags=tags) == numbers
            assert await search.count(tx, tags=tags) == len(numbers)
            assert [c.id for c in await search.computers(tx, tags=tags)] == numbers
        asked = any_of([parse("NAME = alpha"), parse("NAME = beta")])
        assert await search.numbers(tx, asked, tags=["ACCT"]) == [2], "also where one of several alternatives fits"
        assert (await search.page(tx, asked, tags=["ACCT"], quick="a"))[1] == 1

    asking(data, work)


def test_computers_come_in_the_order_of_their_numbers_asked_for(data: Path) -> None:
    async def work(tx: Tx) -> None:
        found = await search.of_numbers(tx, [ComputerId(3), ComputerId(77), ComputerId(1)])
        assert [computer.name for computer in found] == ["gamma", "alpha"]

    asking(data, work)


def test_a_field_and_its_opposite_split_the_fleet(data: Path) -> None:
    for field in [f for f in [*FIELDS, "STORAGES.MODEL"] if Operator.ISNULL in operators_of(f)]:
        empty = set(find(data, Criterion(field, Operator.ISNULL)))
        full = set(find(data, Criterion(field, Operator.ISNOTEMPTY)))
        assert (empty | full, empty & full) == ({"alpha", "beta", "gamma"}, set()), field


def test_hostile_values_are_values(data: Path) -> None:
    fields = [f for f, kind in FIELDS.items() if kind in (FieldKind.TEXT, FieldKind.ROWS)]
    fields += ["STORAGES.MODEL", "ACCOUNT.Building", "ACCOUNT.'; DROP TABLE computer;--"]
    operators = [o for o in OPERATORS[FieldKind.TEXT] if o not in LONELY]
    before = rows(data, "SELECT count(*) FROM computer")

    async def work(tx: Tx) -> None:
        for value in HOSTILE:
            for field in fields:
                for operator in operators:
                    await search.numbers(tx, all_of([checked(Criterion(field, operator, value))]))
                assert await search.numbers(tx, all_of([Criterion(field, Operator.EQUAL, value)])) == [], (field, value)
            for text in (f"{value}|{value}", f"firefox|{value}"):
                for operator in (Operator.EQUAL, Operator.LIKE, Operator.MORE, Operator.LESS):
                    await search.numbers(tx, all_of([checked(Criterion("SOFTWARERELEASE", operator, text))]))
            hostile = Criterion("PACKAGE", Operator.EQUAL, f"{PACKAGE} {value}")
            assert await search.numbers(tx, all_of([checked(hostile)])) == []
            assert await search.numbers(tx, all_of([Criterion("GROUP", Operator.BELONG, value)])) == []
            await search.page(tx, quick=value)

    asking(data, work)
    assert rows(data, "SELECT count(*) FROM computer") == before
    assert find(data, Criterion("SSN", Operator.LIKE, "%")) == ["alpha"]
    assert find(data, Criterion("SSN", Operator.LIKE, "_")) == ["beta"]
    assert find(data, Criterion("DESCRIPTION", Operator.LIKE, "!")) == ["gamma"]
    assert find(data, Criterion("USERID", Operator.LIKE, "'")) == ["alpha"]


def test_a_value_of_a_mebibyte_is_refused_and_even_unchecked_does_no_harm(data: Path) -> None:
    with pytest.raises(Refusal, match="longer than"):
        checked(Criterion("NAME", Operator.LIKE, "x" * 1024**2))
    assert find(data, Criterion("NAME", Operator.EQUAL, "x" * 1024**2)) == []


def test_a_day_is_one_of_the_servers_calendar_also_when_clocks_change(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for day in (date(2026, 3, 29), date(2026, 10, 25)):  # 23 and 25 hours
            end = int(time.mktime((day + timedelta(days=1)).timetuple()))
            for moment, expected in ((end - 1, True), (end, False)):
                assert _contact_at(data, moment, f"LASTCONTACT = {day}") is expected
                assert _contact_at(data, moment, f"LASTCONTACT > {day}") is not expected
    finally:
        monkeypatch.undo()
        time.tzset()


def _contact_at(data: Path, moment: int, text: str) -> bool:
    async def work() -> bool:
        store = await open_store(data, SetClock(moment), readers=1)
        try:
            async with store.writing() as tx:
                number = await computers.add(tx, DeviceId("zeta-2026-01-01-00-00-00"), "zeta", "")
                found = number in await search.numbers(tx, all_of([parse(text)]))
                await computers.remove(tx, number)
                return found
        finally:
            await store.close()

    return asyncio.run(work())
