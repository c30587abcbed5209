"""Users as values: what their profile may say, and how long one waits that guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.domain.account import (
    FREE_FAILURES,
    LONGEST_BLOCK,
    MOST_TAGS,
    Account,
    Actor,
    Profile,
    Right,
    Role,
    user_actor,
    wait_after,
)
from appliance.domain.refusal import Refusal

GOOD = Profile("ana", Role.USER, "Ana García", frozenset({"paris"}), "es")


def test_a_profile_is_kept_without_blanks_and_empty_tags() -> None:
    odd = Profile(" ana ", Role.USER, "  Ana   García ", frozenset({" paris", "", " "}), "es")
    assert odd.checked() == GOOD
    assert GOOD.checked() == GOOD


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "a b"}),
        ("name", {"name": ".ana"}),
        ("name", {"name": "ana\n"+"x"}),
        ("name", {"name": "<b>"}),
        ("name", {"name": "a" * 65}),
        ("full_name", {"full_name": "x" * 101}),
        ("full_name", {"full_name": "Ana\u202eaicraG"}),
        ("language", {"language": "fr"}),
        ("tags", {"tags": frozenset({"x" * 256})}),
        ("tags", {"tags": frozenset(str(number) for number in range(MOST_TAGS + 1))}),
    ],
)  # fmt: skip
def test_what_a_profile_must_not_say_is_refused_at_its_field(field: str, change: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        replace(GOOD, **change).checked()  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["ana", "a.b-c_d+e@example.org", "José", "7of9", "Ω"])
def test_names_that_people_have_are_taken(name: str) -> None:
    assert replace(GOOD, name=name).checked().name == name


def test_the_first_failures_are_free_then_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    waits = [wait_after(failures, FREE_FAILURES) for failures in range(1, 13)]
    assert waits == [0, 0, 0, 0, 32, 64, 128, 256, 512, 900, 900, 900]
    assert wait_after(10**6, FREE_FAILURES) == LONGEST_BLOCK


@pytest.mark.parametrize(
    ("role", "disabled", "manages"),
    [(Role.ADMINISTRATOR, False, True), (Role.ADMINISTRATOR, True, False), (Role.USER, False, False)],
)
def test_only_an_administrator_that_can_sign_in_manages(role: Role, disabled: bool, manages: bool) -> None:
    account = Account(1, Profile("ana", role, disabled=disabled), False, 0, None, 0)
    assert account.manages is manages


def test_a_user_sees_computers_of_its_tags_an_administrator_all() -> None:
    user = user_actor("ana", "console", Role.USER, 1, ["paris"])
    administrator = user_actor("eva", "console", Role.ADMINISTRATOR, 2, ["paris"])
    assert [user.sees(tag) for tag in ("paris", "lyon", "")] == [True, False, False]
    assert [administrator.sees(tag) for tag in ("paris", "lyon", "")] == [True, True, True]
    assert [actor.may(Right.ADMINISTRATOR) for actor in (user, administrator, Actor("s", "server"))] == [
        False, True, True,
    ]  # fmt: skip
