"""FIELD OP VALUE and searches as JSON: what is understood, and what is refused with a sentence about `search`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import (
    EVERY,
    FIELDS,
    LONELY,
    MOST_CRITERIA,
    OPERATORS,
    OWN_NAMES,
    PRESETS,
    STANDINGS,
    SYMBOLS,
    Criterion,
    FieldKind,
    Operator,
    all_of,
    any_of,
    both,
    checked,
    checked_search,
    field_named,
    from_json,
    from_lists,
    kind_of,
    operators_of,
    package_of,
    parse,
    takes_everyone,
    to_json,
)

# of each kind of field: one to ask, and a value that any of its operators takes
ASKABLE: dict[FieldKind, tuple[str, str]] = {
    FieldKind.TEXT: ("NAME", "x"),
    FieldKind.NUMBER: ("MEMORY", "4096"),
    FieldKind.MOMENT: ("LASTCONTACT", "2026-11-21"),
    FieldKind.ROWS: ("SOFTWARE", "x"),
    FieldKind.RELEASE: ("SOFTWARERELEASE", "firefox|128.0"),
    FieldKind.INVENTORY: ("STORAGES.MODEL", "x"),
    FieldKind.ACCOUNT: ("ACCOUNT.Building", "x"),
    FieldKind.GROUP: ("GROUP", "laptops"),
    FieldKind.PACKAGE: ("PACKAGE", "1795206923 success"),
}


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
        ("storages.model ~ SSD", Criterion("STORAGES.MODEL", Operator.LIKE, "SSD")),
        ("Storages.Name=sda", Criterion("STORAGES.NAME", Operator.EQUAL, "sda")),
        ("SOFTWARES.NAME LIKE vim", Criterion("SOFTWARE", Operator.LIKE, "vim")),
        ("softwares.version < 9", Criterion("SOFTWAREVERSION", Operator.LESS, "9")),
        ("networks.macaddr ISNULL", Criterion("MACADDR", Operator.ISNULL)),
        ("BIOS.SSN = 1", Criterion("SSN", Operator.EQUAL, "1")),
        ("BIOS.TYPE = Notebook", Criterion("BIOS.TYPE", Operator.EQUAL, "Notebook")),
        ("HARDWARE.LASTCOME LESSTHANXDAY 2", Criterion("LASTCONTACT", Operator.LESSTHANXDAY, "2")),
        ("ACCOUNT.Building = B2", Criterion("ACCOUNT.Building", Operator.EQUAL, "B2")),
        ("accountinfo.fields_3 !~ x", Criterion("ACCOUNT.fields_3", Operator.DIFFERENT, "x")),
        ("ACCOUNT.tag = SALES", Criterion("TAG", Operator.EQUAL, "SALES")),
        ("SOFTWARERELEASE LESS firefox|128.0", Criterion("SOFTWARERELEASE", Operator.LESS, "firefox|128.0")),
        ("SOFTWARE DOESNTCONTAIN antivirus", Criterion("SOFTWARE", Operator.DOESNTCONTAIN, "antivirus")),
        ("SOFTWARE nothaving vim", Criterion("SOFTWARE", Operator.NOTHAVING, "vim")),
        ("GROUP BELONG all laptops", Criterion("GROUP", Operator.BELONG, "all laptops")),
        ("PACKAGE = 1795206923 success", Criterion("PACKAGE", Operator.EQUAL, "1795206923 success")),
        ("OSNAME = Windows (ALL)", Criterion("OSNAME", Operator.EQUAL, "Windows (ALL)")),
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
        ("NAME = \ud800", "has some that are none"),
        ("SOFTWARES.COMMENTS = x", "no field"),
        ("STORAGES. = x", "no field"),
        ("A.B.C = x", "no field"),
        ("ACCOUNT. = x", "no field"),
        ("GROUP = laptops", "cannot be asked EQUAL; ask BELONG, DONTBELONG"),
        ("NAME BELONG laptops", "cannot be asked BELONG"),
        ("GROUP ISNULL", "cannot be asked"),
        ("LASTCONTACT LIKE 2026", "cannot be asked LIKE"),
        ("PACKAGE LIKE 1795206923", "cannot be asked LIKE"),
        ("PACKAGE = firefox", "an id and a status"),
        ("PACKAGE = 1795206923", "an id and a status"),
        ("SOFTWARERELEASE = firefox", "a name and a version"),
        ("SOFTWARERELEASE > |1", "a name and a version"),
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
    assert kind_of(criterion.field) is not None


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
    assert {operator for operators in OPERATORS.values() for operator in operators} == set(Operator)


@pytest.mark.parametrize("kind", FieldKind)
@pytest.mark.parametrize("operator", Operator)
def test_a_field_takes_the_operators_of_its_kind_and_refuses_the_others(kind: FieldKind, operator: Operator) -> None:
    field, value = ASKABLE[kind]
    assert kind_of(field) is kind
    asked = Criterion(field, operator, "3" if operator.value.endswith("XDAY") else value)
    if operator in operators_of(field):
        assert checked(asked) == asked
    else:
        with pytest.raises(Refusal):
            checked(asked)


def test_a_field_that_there_is_not_takes_no_operator() -> None:
    assert operators_of("NOSUCH") == ()
    assert operators_of("SOFTWARES.COMMENTS") == ()


def test_a_section_s_field_that_has_a_name_of_its_own_is_known_by_that_name_alone() -> None:
    for section, names in OWN_NAMES.items():
        for theirs, ours in names.items():
            assert field_named(f"{section}.{theirs}") == ours
            assert kind_of(ours) is not None
            if section != "ACCOUNT":
                assert kind_of(f"{section}.{theirs}") is None


def test_every_preset_can_be_asked() -> None:
    assert {"Windows (ALL)", "Linux (ALL)", "macOS (ALL)"} < {name for name, _ in PRESETS}
    for _, criterion in PRESETS:
        assert checked(criterion) == criterion


def test_a_package_s_standing_is_a_word_in_any_case_or_a_code_as_it_is() -> None:
    for word in STANDINGS:
        assert package_of(f"1795206923 {word.upper()}") == ("1795206923", word)
    assert package_of("1795206923  ERR_EXECUTE ") == ("1795206923", "ERR_EXECUTE")


def test_searches_are_combined() -> None:
    one, two, three = (Criterion("NAME", Operator.EQUAL, name) for name in ("1", "2", "3"))
    assert all_of([one, two]) == ((one, two),)
    assert any_of([one, two]) == ((one,), (two,))
    assert both(any_of([one, two]), all_of([three])) == ((one, three), (two, three))
    assert both(EVERY, any_of([one])) == ((one,),)
    assert both(any_of([one]), EVERY) == ((one,),)
    assert takes_everyone(EVERY)
    assert takes_everyone(((),))
    assert takes_everyone(((one,), ()))
    assert not takes_everyone(((one,),))


@given(
    st.lists(
        st.lists(
            st.sampled_from(sorted(FieldKind, key=lambda kind: kind.value)).flatmap(
                lambda kind: st.builds(
                    Criterion,
                    st.just(ASKABLE[kind][0]),
                    st.sampled_from([o for o in OPERATORS[kind] if not o.value.endswith("XDAY")]),
                    st.just(ASKABLE[kind][1]),
                )
            ),
            max_size=5,
        ),
        max_size=5,
    )
)
def test_a_search_comes_back_from_its_json(search: list[list[Criterion]]) -> None:
    value = tuple(tuple(some) for some in search)
    assert from_json(to_json(value)) == value
    assert from_lists(json.loads(to_json(value))) == value


def test_json_has_the_names_that_the_api_promises() -> None:
    assert json.loads(to_json(all_of([parse("OSNAME LIKE Windows"), parse("TAG ISNULL")]))) == [
        [
            {"field": "OSNAME", "operator": "LIKE", "value": "Windows"},
            {"field": "TAG", "operator": "ISNULL", "value": ""},
        ]
    ]
    assert from_json('[[{"field": "hardware.name", "operator": "like", "value": "x"}]]') == all_of([parse("NAME ~ x")])
    assert from_json('[[{"field": "TAG", "operator": "ISNULL"}]]') == all_of([parse("TAG ISNULL")])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[1]",
        "[[1]]",
        '[[{"field": "NAME"}]]',
        '[[{"field": "NAME", "operator": "LIKE", "value": 1}]]',
        '[[{"field": 1, "operator": "LIKE", "value": "x"}]]',
        '[[{"field": "NAME", "operator": "OR", "value": "x"}]]',
        '[[{"field": "NOSUCH", "operator": "LIKE", "value": "x"}]]',
        '[[{"field": "NAME", "operator": "LIKE", "value": "\\ud800"}]]',
        '[[{"field": "NAME", "operator": "LIKE", "value": "' + "x" * 1025 + '"}]]',
        "[" * 100_000,
        "[" + "[]," * 100 + "[]]",
        json.dumps([[{"field": "NAME", "operator": "LIKE", "value": "x"}] * (MOST_CRITERIA + 1)]),
        " " * 1_000_000,
    ],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        from_json(text)
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "search")


def test_a_search_has_at_most_fifty_criteria() -> None:
    one = parse("NAME = x")
    assert checked_search([[one] * 25, [one] * 25]) == ((one,) * 25,) * 2
    with pytest.raises(Refusal, match="at most 50"):
        checked_search([[one] * 25, [one] * 26])


@given(st.text())
def test_any_text_is_a_search_or_refused(text: str) -> None:
    try:
        from_json(text)
    except Refusal:
        return
