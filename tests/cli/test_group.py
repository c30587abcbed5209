"""`group …`, `--group` of `package affect` and of `config`: what scripts see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_words import NASTY, document, one_sentence, told
from tests.fakes.appliance import build, device, inventory, must, prolog, say


@pytest.fixture(name="data")
def filled(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for name, system in (("alpha", "Windows 11"), ("beta", "Debian 12"), ("gamma", "Debian 13")):
        told(inventory(device(name), ("HARDWARE", {"NAME": name, "OSNAME": system})), data=data)
    return data


def stats(package: str, data: Path) -> dict[str, Any]:
    return json.loads(must("package", "stats", package, "--json", data=data))  # type: ignore[no-any-return]


def test_a_group_from_its_making_to_its_end(data: Path) -> None:
    assert must("group", "create", "Paris", "--description", "Rue Cler", "--visible", data=data) == "1"
    assert must("group", "create", "Debian", "--search", "OSNAME LIKE debian", "--search", "NAME ~ a", data=data) == "2"
    assert must("group", "add", "paris", "--computer", "alpha", "--computer", device("beta"), data=data) == "2"
    assert must("group", "add", "Paris", "--group", "Debian", data=data) == "1"
    assert must("group", "remove", "Paris", "--search", "NAME = alpha", data=data) == "1"
    listed = document("group", "list", data=data)
    assert [set(group) for group in listed] == [
        {"id", "name", "description", "kind", "search", "visible", "created", "changed", "members", "packages"}
    ] * 2
    assert [(g["name"], g["kind"], g["visible"], g["members"]) for g in listed] == [
        ("Debian", "dynamic", False, 2),
        ("Paris", "static", True, 2),
    ]
    assert listed[0]["search"] == [
        [
            {"field": "OSNAME", "operator": "LIKE", "value": "debian"},
            {"field": "NAME", "operator": "LIKE", "value": "a"},
        ]
    ]
    shown = document("group", "show", "Paris", data=data)
    assert set(shown) - set(listed[0]) == {"overrides", "left_out", "computers"}
    assert [(c["computer"], c["by_hand"]) for c in shown["computers"]] == [("beta", True), ("gamma", True)]
    assert must("group", "edit", "Paris", "--name", "Lyon", "--no-visible", data=data) == ""
    assert must("group", "edit", "Debian", "--search", '[[{"field": "NAME", "operator": "EQUAL", "value": "beta"}]]',
                data=data) == ""  # fmt: skip
    assert "search: NAME EQUAL beta" in must("group", "show", "Debian", data=data)
    assert must("group", "remove", "Debian", "--computer", "beta", data=data) == "1"
    assert "left out by hand: beta" in must("group", "show", "Debian", data=data)
    assert must("group", "remove", "Debian", "--computer", "beta", "--exception", data=data) == "1"
    table = must("group", "list", data=data).splitlines()
    assert [line.split()[1] for line in table] == ["NAME", "Debian", "Lyon"]
    assert must("group", "delete", "Lyon", data=data) == "Lyon"
    assert len(document("group", "list", data=data)) == 1


def test_why_names_each_criterion_with_what_the_computer_has(data: Path) -> None:
    must("group", "create", "Debian", "--search", "OSNAME LIKE debian", "--search", "TAG = paris", data=data)
    assert must("group", "why", "Debian", "beta", data=data).splitlines() == [
        "beta is not a member: it does not fit the search.",
        "  yes  OSNAME LIKE debian; here: Debian 12",
        "  no   TAG EQUAL paris; here: NA",
    ]
    told_why = document("group", "why", "Debian", "beta", data=data)
    assert set(told_why) == {"group", "computer", "deviceid", "member", "why", "search"}
    assert told_why["member"] is False
    assert told_why["search"][0][1] == {
        "field": "TAG", "operator": "EQUAL", "value": "paris", "holds": False, "here": ["NA"],
    }  # fmt: skip
    must("group", "create", "Everyone", "--everyone", data=data)
    assert must("group", "why", "Everyone", "beta", data=data) == "beta is a member: it fits the search."


def test_a_package_for_a_group_reaches_who_joins_later(data: Path) -> None:
    package = build(data, "one")
    must("package", "activate", package, "--unchecked", data=data)
    must("group", "create", "Debian", "--search", "OSNAME LIKE debian", data=data)
    assert must("package", "affect", package, "--group", "Debian", data=data) == "2"
    assert [p["id"] for p in document("group", "show", "Debian", data=data)["packages"]] == [package]
    told(inventory(device("alpha"), ("HARDWARE", {"NAME": "alpha", "OSNAME": "Debian 14"})), data=data)
    told(prolog(device("alpha")), data=data)
    found = stats(package, data)
    assert (found["waiting"], found["notified"]) == (2, 1)
    must("group", "remove", "Debian", "--computer", "beta", data=data)
    whys = {line["computer"]: line["why"] for line in stats(package, data)["computers"]}
    assert whys["beta"] == (
        "The computer is not a member of the group 'Debian' any more, which the package is affected to."
    )
    assert must("package", "unaffect", package, "--group", "Debian", data=data) == "2"
    assert one_sentence(say("package", "affect", package, "--group", "Debian", "--force", data=data)).startswith(
        "force"
    )
    assert one_sentence(say("package", "affect", package, "--group", "No", data=data)).startswith(
        "there is no group 'No'; 'group list' shows"
    )


def test_a_setting_for_a_group_and_where_it_came_from(data: Path) -> None:
    must("group", "create", "Debian", "--search", "OSNAME LIKE debian", data=data)
    assert must("config", "set", "PROLOG_FREQ", "3", "--group", "debian", data=data) == ""
    assert must("config", "get", "PROLOG_FREQ", "--group", "Debian", data=data) == "3"
    assert must("config", "get", "PROLOG_FREQ", "--computer", "beta", data=data) == "3"
    assert must("config", "get", "PROLOG_FREQ", data=data) == "24"
    origins = {
        s["name"]: s["origin"] for s in json.loads(must("config", "get", "--json", "--computer", "beta", data=data))
    }
    assert (origins["PROLOG_FREQ"], origins["FREQUENCY"]) == ("group Debian", "default")
    assert document("group", "show", "Debian", data=data)["overrides"] == {"PROLOG_FREQ": 3}
    must("config", "set", "PROLOG_FREQ", "--group", "debian", data=data)
    assert must("config", "get", "PROLOG_FREQ", "--computer", "beta", data=data) == "24"
    said = say("config", "get", "--group", "Debian", "--computer", "beta", data=data)
    assert one_sentence(said) == "group: give one of computer and group."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("create", "Debian"), "name: there is a group 'Debian' already"),
        (("create", "x", "--search", "NOPE = 1"), "search: 'NOPE' is no field"),
        (("create", "x", "--search", "[", "--search", "NAME = a"), "search: a search as JSON stands alone."),
        (("create", "x", "--search", "[1]"), "search: a search is a list of alternatives"),
        (("create", "x", "--search", "NAME = a", "--everyone"), "search: give one of --search and --everyone."),
        (("show", "nobody"), "there is no group 'nobody'"),
        (("add", "Debian"), "computer: say which computers"),
        (("add", "Debian", "--all", "--computer", "beta"), "computer: give one of"),
        (("why", "Debian", "nobody"), "there is no computer 'nobody'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(data: Path, line: tuple[str, ...], sentence: str) -> None:
    must("group", "create", "Debian", data=data)
    assert one_sentence(say("group", *line, data=data)).startswith(sentence)


def test_names_come_back_as_they_were_given_and_cannot_steer_a_terminal(data: Path) -> None:
    name = NASTY.replace("\u202e", "").strip()
    must("group", "create", name, "--description", "two\nlines \x1b[2J", data=data)
    must("group", "add", name, "--all", data=data)
    assert document("group", "list", data=data)[0]["name"] == name
    for line in (("list",), ("show", name), ("why", name, "beta")):
        for text in must("group", *line, data=data).splitlines():
            assert text.isprintable(), ascii(text)
