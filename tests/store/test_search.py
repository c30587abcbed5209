"""Criteria become SQL: every operator on every kind of field, and no value is ever part of a statement."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from appliance.domain.messages import DeviceId
from appliance.domain.refusal import Refusal
from appliance.domain.search import FIELDS, LONELY, Criterion, FieldKind, Operator, checked, parse
from appliance.store import computers, search
from appliance.store.database import Store, open_store
from tests.fakes.appliance import SetClock, device, rows

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
        await store.close()

    asyncio.run(fill())
    return folder


def find(data: Path, *criteria: Criterion) -> list[str]:
    async def work() -> list[str]:
        store: Store = await open_store(data, SetClock(NOON), readers=1)
        try:
            async with store.reading() as tx:
                found = await search.computers(tx, criteria)
                numbers = await search.numbers(tx, criteria)
        finally:
            await store.close()
        assert sorted(computer.id for computer in found) == sorted(numbers)
        return [computer.name for computer in found]

    return asyncio.run(work())


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
    ],
)
def test_a_criterion_finds(data: Path, text: str, names: str) -> None:
    assert find(data, parse(text)) == names.split()


def test_all_criteria_must_fit_and_none_fits_all(data: Path) -> None:
    assert find(data) == ["alpha", "beta", "gamma"]
    assert find(data, parse("TAG = SALES"), parse("SOFTWARE ~ vim")) == ["alpha"]
    assert find(data, parse("SOFTWARE ~ vim"), parse("SOFTWARE ~ 115")) == []


def askable() -> Iterator[Criterion]:
    for field, kind in FIELDS.items():
        for operator in Operator:
            value = "7" if kind is FieldKind.NUMBER else "2026-11-20" if kind is FieldKind.MOMENT else "x"
            if operator in (Operator.MORETHANXDAY, Operator.LESSTHANXDAY):
                if kind is not FieldKind.MOMENT:
                    continue
                value = "7"
            yield checked(Criterion(field, operator, "" if operator in LONELY else value))


def test_every_operator_can_be_asked_of_every_field(data: Path) -> None:
    async def work() -> int:
        store = await open_store(data, SetClock(NOON), readers=1)
        async with store.reading() as tx:
            for criterion in askable():
                both = set(await search.numbers(tx, [criterion]))
                assert both <= {1, 2, 3}, criterion
        await store.close()
        return sum(1 for _ in askable())

    assert asyncio.run(work()) > 200


def test_a_field_and_its_opposite_split_the_fleet(data: Path) -> None:
    for field in FIELDS:
        empty = set(find(data, Criterion(field, Operator.ISNULL)))
        full = set(find(data, Criterion(field, Operator.ISNOTEMPTY)))
        assert (empty | full, empty & full) == ({"alpha", "beta", "gamma"}, set()), field


def test_hostile_values_are_values(data: Path) -> None:
    fields = [f for f, kind in FIELDS.items() if kind in (FieldKind.TEXT, FieldKind.ROWS)]
    operators = (Operator.EQUAL, Operator.LIKE, Operator.MORE, Operator.LESS, Operator.DIFFERENT)
    before = rows(data, "SELECT count(*) FROM computer")

    async def work() -> None:
        store = await open_store(data, SetClock(NOON), readers=1)
        async with store.reading() as tx:
            for field in fields:
                for value in HOSTILE:
                    for operator in operators:
                        await search.numbers(tx, [checked(Criterion(field, operator, value))])
                    assert await search.numbers(tx, [Criterion(field, Operator.EQUAL, value)]) == [], (field, value)
        await store.close()

    asyncio.run(work())
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
                found = number in await search.numbers(tx, [parse(text)])
                await computers.remove(tx, number)
                return found
        finally:
            await store.close()

    return asyncio.run(work())
