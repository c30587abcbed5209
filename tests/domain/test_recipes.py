"""Recipes fill a form that makes a valid package, and names of single files suit every agent and shell."""

from __future__ import annotations

import pytest

from appliance.domain.archive import Census, Member, Shape
from appliance.domain.draft import FIELDS, order_of
from appliance.domain.package import Action, System, checked, program_of
from appliance.domain.recipes import RECIPES, Recipe, Takes, member_name, recipe_of, script_bytes
from appliance.domain.refusal import Refusal


def recipe(name: str) -> Recipe:
    found = recipe_of({"recipe": name})
    assert found
    return found


@pytest.mark.parametrize("chosen", RECIPES, ids=lambda chosen: chosen.id)
def test_a_recipe_fills_a_form_that_makes_a_package(chosen: Recipe) -> None:
    assert set(chosen.values) <= set(FIELDS)
    assert chosen.values["os"] in {system.value for system in chosen.systems}
    file_name = f"My setup-1.0{chosen.endings[0]}" if chosen.endings else ""
    action = Action(chosen.values["action"])
    for system in chosen.systems:
        member = chosen.member or member_name(file_name, system, action)
        order = order_of({"recipe": chosen.id, "name": "x", **chosen.values, "os": system.value}, member)
        order = checked(order, file_format="zip" if system is System.WINDOWS else "tar.gz")
        assert "{" not in order.argument
        if chosen.takes is not Takes.AGENT:
            assert member in order.argument
        if action is Action.LAUNCH:
            assert program_of(order) == member
        assert order.priority == 5


def test_no_recipe_and_an_unknown_one() -> None:
    assert recipe_of({}) is None
    assert recipe_of({"recipe": ""}) is None
    with pytest.raises(Refusal, match="is no recipe"):
        recipe_of({"recipe": "cake"})


def test_a_place_without_a_single_file_is_named() -> None:
    with pytest.raises(Refusal, match="stands for a single file") as refused:
        order_of({"recipe": "msi", **recipe("msi").values})
    assert refused.value.field == "command"
    assert order_of({"os": "LINUX", "command": "awk '{file}'"}).argument == "awk '{file}'"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("echo 1", b"#!/bin/sh\necho 1\n"),
        ("#!/usr/bin/python3\r\nprint(1)\r\n\r\n", b"#!/usr/bin/python3\nprint(1)\n"),
        ("echo á\r", "#!/bin/sh\necho á\n".encode()),
    ],
)
def test_a_shell_script_has_a_first_line_and_unix_line_ends(text: str, written: bytes) -> None:
    assert script_bytes(recipe("shell"), text) == written


def test_a_powershell_script_is_marked_and_has_windows_line_ends() -> None:
    assert script_bytes(recipe("powershell"), "Write-Host 'ñ'\nexit 3") == (
        b"\xef\xbb\xbf" + "Write-Host 'ñ'\r\nexit 3\r\n".encode()
    )


@pytest.mark.parametrize("text", ["", "  \n", "a\0b", "x" * 300_000, "\ud800"])
def test_what_is_no_script_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        script_bytes(recipe("shell"), text)
    assert refused.value.field == "script"


@pytest.mark.parametrize(
    ("file_name", "action", "member"),
    [
        ("software.msi", Action.EXECUTE, "software.msi"),
        (r"C:\fakepath\My Setup (2).exe", Action.EXECUTE, "My_Setup_2_.exe"),
        ("my-setup.sh", Action.LAUNCH, "my_setup.sh"),
        ("my-setup.sh", Action.EXECUTE, "my-setup.sh"),
        ("../../etc/passwd", Action.EXECUTE, "passwd"),
        ("--help", Action.EXECUTE, "help"),
        ("con.exe", Action.EXECUTE, "_con.exe"),
        ("añ.deb", Action.EXECUTE, "an.deb"),
        ("日本", Action.EXECUTE, "file"),
        ("x" * 300 + ".msi", Action.EXECUTE, "x" * 96 + ".msi"),
        ("Mi fichero ñ.txt", Action.STORE, "Mi fichero ñ.txt"),
    ],
)
def test_the_name_of_a_single_file(file_name: str, action: Action, member: str) -> None:
    assert member_name(file_name, System.LINUX, action) == member
    assert Census().fault(Member(member, Shape.FILE, 1)) is None


def test_a_hyphen_stays_where_windows_starts_it() -> None:
    assert member_name("a-b.exe", System.WINDOWS, Action.LAUNCH) == "a-b.exe"
