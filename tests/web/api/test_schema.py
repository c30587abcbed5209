"""The checker: what a schema says holds, and a refusal names the place."""

from __future__ import annotations

import pytest

from appliance.domain.refusal import Refusal
from appliance.web.api.schema import (
    asked,
    check,
    flag,
    from_address,
    moment,
    named,
    number,
    one_of,
    or_null,
    rows,
    table,
    text,
    told,
)
from appliance.web.api.selection import SEARCH, SELECTION

BODY = asked(
    "name",
    name=text(minLength=1, maxLength=5),
    size=number(low=1, high=10),
    yes=flag(),
    kind=one_of(["a", "b"]),
    at=moment(),
    either=or_null(number()),
    many=rows(asked("x", x=number()), maxItems=2),
    more=table(text(), maxProperties=1),
)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], ""),
        (None, ""),
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "abcdef"}, "name"),
        ({"name": 5}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "a", "other": 1}, "other"),
        ({"name": "a", "size": 0}, "size"),
        ({"name": "a", "size": 11}, "size"),
        ({"name": "a", "size": 1.0}, "size"),
        ({"name": "a", "size": True}, "size"),
        ({"name": "a", "size": "1"}, "size"),
        ({"name": "a", "yes": 1}, "yes"),
        ({"name": "a", "kind": "c"}, "kind"),
        ({"name": "a", "at": "2026-11-21"}, "at"),
        ({"name": "a", "either": "1"}, "either"),
        ({"name": "a", "either": 2**60}, "either"),
        ({"name": "a", "many": [{"x": 1}, {}]}, "many.1.x"),
        ({"name": "a", "many": [{"x": 1}, {"x": 1, "y": 2}]}, "many.1.y"),
        ({"name": "a", "many": [{"x": 1}] * 3}, "many"),
        ({"name": "a", "more": {"k": 1}}, "more.k"),
        ({"name": "a", "more": {"\udfff": "x"}}, "more"),
        ({"name": "a", "more": {"k": "1", "l": "2"}}, "more"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(value: object, where: str) -> None:
    with pytest.raises(Refusal) as met:
        check(BODY, value)
    assert met.value.field == where
    assert str(met.value).endswith(".")


def test_what_fits_is_taken() -> None:
    check(BODY, {"name": "a"})
    check(
        BODY,
        {
            "name": "abcde",
            "size": 10,
            "yes": False,
            "kind": "b",
            "at": "2026-11-21T09:30:00Z",
            "either": None,
            "many": [{"x": 0}],
            "more": {"k": ""},
        },
    )


@pytest.mark.parametrize("value", [{}, {"ids": [1], "all": True}, {"ids": ["1"]}, {"search": [[{"field": "NAME"}]]}])
def test_a_selection_is_exactly_one_thing(value: object) -> None:
    with pytest.raises(Refusal):
        check(SELECTION, value, "selection")


def test_a_place_within_a_reference_is_named_too() -> None:
    with pytest.raises(Refusal) as met:
        check(SEARCH, [[], [{"field": "NAME", "operator": "IS"}]], "search")
    assert met.value.field == "search.1.0.operator"


@pytest.mark.parametrize(
    ("given", "value"),
    [(["1"], 1), (["-1"], None), (["x"], None), (["١"], None), (["9" * 20], None), (["1", "2"], None)],
)
def test_a_number_in_an_address(given: list[str], value: int | None) -> None:
    if value is None:
        with pytest.raises(Refusal):
            from_address(number(), given, "page")
    else:
        assert from_address(number(), given, "page") == value


def test_yes_and_no_and_lists_in_an_address() -> None:
    assert [from_address(flag(), [word], "x") for word in ("true", "1", "false", "0", "True")] == [1, 1, 0, 0, 1]
    assert from_address(rows(number()), ["1", "2"], "x") == [1, 2]
    with pytest.raises(Refusal):
        from_address(flag(), ["perhaps"], "x")


def test_a_name_stands_for_one_schema() -> None:
    named("Error", told(error={"$ref": "#/components/schemas/Fault"}))
    with pytest.raises(ValueError, match="Error"):
        named("Error", text())
