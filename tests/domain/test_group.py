"""Groups: what decides who is in, who may see them, and searches that ask for other groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.account import SERVER, Role, user_actor
from appliance.domain.group import (
    MEMBERSHIP,
    Check,
    Ground,
    Group,
    GroupId,
    Hand,
    checked_description,
    checked_name,
    fits,
    groups_named,
    is_open_to,
    leads_back,
    membership,
    renamed,
)
from appliance.domain.refusal import Refusal
from appliance.domain.search import Criterion, Operator, Search

ANA = user_actor("ana", "console", Role.USER, 7, ["paris"])
WINDOWS = Criterion("OSNAME", Operator.LIKE, "Windows")


def belongs(name: str) -> Search:
    return ((Criterion("GROUP", Operator.BELONG, name),),)


def group(*, search: Search | None = None, visible: bool = False) -> Group:
    return Group(GroupId(1), "g", "", search, visible, 0, 0)


def check(holds: bool) -> Check:
    return Check(WINDOWS, holds, ("Debian",))


@pytest.mark.parametrize(
    ("hand", "ground"),
    [(Hand.PUT_IN, Ground.PUT_IN), (Hand.NOTHING, Ground.NOT_PUT_IN), (Hand.LEFT_OUT, Ground.NOT_PUT_IN)],
)
def test_a_static_group_has_who_was_put_in(hand: Hand, ground: Ground) -> None:
    found = membership(dynamic=False, hand=hand)
    assert (found.ground, found.is_member) == (ground, hand is Hand.PUT_IN)


@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize("hand", Hand)
def test_in_a_dynamic_group_what_was_done_by_hand_comes_before_the_search(hand: Hand, holds: bool) -> None:
    found = membership(dynamic=True, hand=hand, alternatives=((check(holds),),))
    assert found.is_member is {Hand.NOTHING: holds, Hand.PUT_IN: True, Hand.LEFT_OUT: False}[hand]
    assert found.alternatives == ((check(holds),),), "the checks are told all the same"


def test_any_alternative_must_fit_and_all_criteria_of_it() -> None:
    yes, no = check(True), check(False)
    assert fits([[yes, no], [yes]])
    assert not fits([[yes, no], [no]])
    assert fits([])
    assert fits([[]])
    assert fits([[no], []])


@pytest.mark.parametrize("ground", Ground)
def test_every_ground_has_its_sentence(ground: Ground) -> None:
    sentence = MEMBERSHIP[ground].format(computer="pc-1", group="g")
    assert sentence.startswith("pc-1 is ")
    assert sentence.endswith(".")


def test_users_see_static_visible_groups_and_administrators_all() -> None:
    every = [group(search=search, visible=visible) for search in (None, ()) for visible in (False, True)]
    assert [is_open_to(one, ANA) for one in every] == [False, True, False, False]
    assert all(is_open_to(one, SERVER) for one in every)


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\nb", "a\x00", "\u202eevil"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        checked_name(name)
    assert caught.value.field == "name"


def test_names_and_descriptions_lose_the_blanks_around_them() -> None:
    assert checked_name("  Windows, Paris ") == "Windows, Paris"
    assert checked_description(" two\nlines ") == "two\nlines"
    with pytest.raises(Refusal):
        checked_description("x" * 2001)


def test_the_groups_that_a_search_names_are_found_and_renamed_in_any_case() -> None:
    search = (*belongs("Paris"), (WINDOWS, Criterion("GROUP", Operator.DONTBELONG, "LYON")))
    assert groups_named(search) == {"paris", "lyon"}
    assert groups_named(None) == groups_named(()) == frozenset()
    assert groups_named(renamed(search, "lyon", "Nice")) == {"paris", "nice"}
    assert renamed(search, "other", "x") == search


def test_a_search_that_leads_back_to_its_group_is_found_by_any_way() -> None:
    others = {"a": belongs("B"), "b": belongs("c"), "c": None, "d": belongs("d")}
    assert leads_back("A", belongs("a"), {})
    assert leads_back("c", belongs("a"), others)
    assert not leads_back("a", belongs("b"), others)
    assert not leads_back("new", belongs("d"), others), "another's circle is not its own, and ends"
    assert not leads_back("a", None, others)


@given(st.lists(st.lists(st.booleans(), max_size=3), max_size=3), st.sampled_from(Hand))
def test_every_membership_has_one_ground_that_agrees_with_the_answer(held: list[list[bool]], hand: Hand) -> None:
    alternatives = tuple(tuple(check(holds) for holds in some) for some in held)
    found = membership(dynamic=True, hand=hand, alternatives=alternatives)
    assert found.is_member == ("is a member" in MEMBERSHIP[found.ground])
