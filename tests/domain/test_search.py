"""FIELD OP VALUE: what is understood, and what is refused with a sentence about `search`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import FIELDS, LONELY, SYMBOLS, Criterion, FieldKind, Operator, checked, parse


@pytest.mark.parametrize(
    ("text", "criterion"),
    [
        ("OSNAME LIKE Windows", Criterion("OSNAME", Operator.LIKE, "Windows")),
        ("osname like Windows 11 Pro", Criterion("OSNAME", Operator.LIKE, "Windows 11 Pro")),
        ("hardware.name = pc-1", Criterion("NAME", Operator.EQUAL, "pc-1")),
        ("NAME=pc-1", Criterion("NAME", Operator.EQUAL, "pc-1")),
        ("NAME ~ a=b", Criterion("NAME", Operator.LIKE, "a=b")),
        ("NAME !~ test", Criterion("NAME", Operator.DIFFERENT, "test")),
        ("MEMORY > 4096", Criterion("MEMORY", Operator.MORE, "4096")),
        ("MEMORY<4096", Criterion("MEMORY", Operator.LESS, "4096")),
        ("MEMORY EQUAL -1", Criterion("MEMORY", Operator.EQUAL, "-1")),
        ("TAG ISNULL", Criterion("TAG", Operator.ISNULL)),
        ("  TAG   isnotempty  ", Criterion("TAG", Operator.ISNOTEMPTY)),
        ("LASTCONTACT MORETHANXDAY 30", Criterion("LASTCONTACT", Operator.MORETHANXDAY, "30")),
        ("LASTINVENTORY < 2026-11-21", Criterion("LASTINVENTORY", Operator.LESS, "2026-11-21")),
        ('SOFTWARE LIKE O\'Reilly "x" 日本', Criterion("SOFTWARE", Operator.LIKE, 'O\'Reilly "x" 日本')),
        ("MACADDR = 00:11:22:33:44:55", Criterion("MACADDR", Operator.EQUAL, "00:11:22:33:44:55")),
    ],
)
def test_a_criterion_is_read_as_people_write_it(text: str, criterion: Criterion) -> None:
    assert parse(text) == criterion


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "FIELD OP VALUE"),
        ("OSNAME", "FIELD OP VALUE"),
        ("1=1", "FIELD OP VALUE"),
        ("'; DROP TABLE computer; --", "FIELD OP VALUE"),
        ("NOSUCH = 1", "no field"),
        ("NAME OR 1=1", "no operator"),
        ("OSNAME LIKE", "needs a value"),
        ("OSNAME =   ", "needs a value"),
        ("MEMORY > much", "is a number"),
        ("MEMORY > 1e3", "is a number"),
        ("MEMORY > ٣", "is a number"),
        ("MEMORY = 9999999999999999", "is a number"),
        ("MEMORY LIKE 40x", "is a number"),
        ("NAME MORETHANXDAY 3", "no moment"),
        ("LASTCONTACT MORETHANXDAY soon", "is a number"),
        ("LASTCONTACT > yesterday", "a day such as"),
        ("LASTCONTACT > 2026-02-30", "a day such as"),
        ("LASTCONTACT > 21.11.2026", "a day such as"),
        ("NAME = " + "x" * 1025, "longer than"),
    ],
)
def test_what_is_no_criterion_is_refused(text: str, word: str) -> None:
    with pytest.raises(Refusal, match=word) as refused:
        parse(text)
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "search")


@given(st.text())
def test_any_text_is_a_criterion_or_refused(text: str) -> None:
    try:
        criterion = parse(text)
    except Refusal:
        return
    assert criterion.field in FIELDS


@given(st.sampled_from(sorted(FIELDS)), st.sampled_from(Operator), st.text(max_size=20))
def test_what_is_checked_can_be_written_and_read_again(field: str, operator: Operator, value: str) -> None:
    value = value.strip()
    try:
        criterion = checked(Criterion(field, operator, value))
    except Refusal:
        return
    assert parse(f"{field} {operator.value} {value}") == criterion
    assert operator in LONELY or value
    if FIELDS[field] is FieldKind.NUMBER and operator not in LONELY:
        assert str(int(value)).lstrip("-") in value


def test_every_symbol_is_an_operator_and_every_operator_can_be_asked_of_some_field() -> None:
    assert set(SYMBOLS.values()) < set(Operator)
    values = {FieldKind.TEXT: "x", FieldKind.ROWS: "x", FieldKind.NUMBER: "1", FieldKind.MOMENT: "2026-11-21"}
    for operator in Operator:
        days = operator.value.endswith("XDAY")
        field = "LASTCONTACT" if days else "NAME"
        assert checked(Criterion(field, operator, "3" if days else values[FIELDS[field]])).operator is operator
