"""turn(): the manual's examples as tables, and a second, slower telling of its rules to compare with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.cycle import Fetch, Parcel, Perform, Step, longest_wait, turn
from appliance.domain.package import PackageId


def parcel(name: str, priority: int, fragments: int = 0) -> Parcel:
    return Parcel(PackageId(name), priority, tuple(range(1, fragments + 1)))


def told(*parcels: Parcel, period_length: int = 10, periods: int = 1) -> list[list[str]]:
    """What each cycle does when every fetch and action succeeds: `a1` fetches fragment 1 of a, `a!` performs it."""
    left = {p.package: p for p in parcels}
    story = []
    for _ in range(periods):
        for cycle in range(1, period_length + 1):
            steps = turn(cycle, list(left.values()))
            story.append([short(step) for step in steps])
            for step in steps:
                if isinstance(step, Fetch):
                    old = left[step.package]
                    left[step.package] = Parcel(old.package, old.priority, old.missing[1:])
                else:
                    del left[step.package]
    return story


def short(step: Step) -> str:
    return f"{step.package}{step.fragment}" if isinstance(step, Fetch) else f"{step.package}!"


@pytest.mark.parametrize(
    ("parcels", "cycles"),
    [
        # manual: "one package with a priority of 5 ... would pause for cycles 1-4, then start downloading a fragment"
        ([parcel("a", 5, 1)], [[], [], [], [], ["a1"], [], [], [], [], ["a!"]]),
        # "ONLY ONE fragment of a same package per cycle", and the command the next time
        ([parcel("a", 1, 2)], [["a1"], ["a2"], ["a!"], [], []]),
        ([parcel("a", 2, 1)], [[], ["a1"], [], ["a!"], []]),
        # a command without a file needs one eligible cycle
        ([parcel("a", 3)], [[], [], ["a!"], [], []]),
        # different packages share a cycle, the lower number first
        ([parcel("b", 2, 1), parcel("a", 1, 1)], [["a1"], ["a!", "b1"], [], ["b!"], []]),
        ([parcel("b", 1), parcel("a", 1)], [["a!", "b!"], [], []]),
        # "all packages with priority 0 will be downloaded before all others"
        ([parcel("a", 1, 1), parcel("z", 0, 1)], [["z1"], ["z!"], ["a1"], ["a!"], []]),
        ([parcel("y", 0, 1), parcel("z", 0)], [["y1", "z!"], ["y!"], [], []]),
    ],
)
def test_the_cycles_go_as_the_manual_tells(parcels: list[Parcel], cycles: list[list[str]]) -> None:
    assert told(*parcels, period_length=len(cycles)) == cycles


def test_priority_zero_that_keeps_failing_holds_back_all_others() -> None:
    stuck = [parcel("z", 0, 3), parcel("a", 1), parcel("b", 10)]
    assert {turn(cycle, stuck) for cycle in range(1, 100)} == {(Fetch(PackageId("z"), 1),)}


def test_a_priority_above_the_period_length_never_moves() -> None:
    assert told(parcel("a", 10), period_length=9, periods=3) == [[]] * 27
    assert told(parcel("a", 9), period_length=9)[8] == ["a!"]


def test_nothing_under_way_is_nothing_to_do() -> None:
    assert turn(1, []) == ()


def test_fragments_are_fetched_in_the_order_in_which_they_are_missing() -> None:
    assert turn(1, [Parcel(PackageId("a"), 1, (2, 5, 7))]) == (Fetch(PackageId("a"), 2),)


parcels_drawn = st.lists(
    st.builds(parcel, st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 10), st.integers(0, 4)),
    max_size=6,
    unique_by=lambda p: p.package,
)


@given(st.integers(1, 1000), parcels_drawn)
def test_a_turn_is_what_the_manual_says_told_otherwise(cycle: int, parcels: list[Parcel]) -> None:
    steps = turn(cycle, parcels)
    moved = [step.package for step in steps]
    priority = {p.package: p.priority for p in parcels}
    any_urgent = 0 in priority.values()
    for p in parcels:
        may = p.priority == 0 if any_urgent else cycle / p.priority == cycle // p.priority
        assert moved.count(p.package) == int(may)
    for step in steps:
        missing = next(p.missing for p in parcels if p.package == step.package)
        assert step == (Fetch(step.package, min(missing)) if missing else Perform(step.package))
    assert [priority[package] for package in moved] == sorted(priority[package] for package in moved)


@given(parcels_drawn.flatmap(lambda parcels: st.tuples(st.just(parcels), st.permutations(parcels))))
def test_the_order_of_the_parcels_does_not_matter(parcels: tuple[list[Parcel], list[Parcel]]) -> None:
    one, other = parcels
    assert [turn(cycle, one) for cycle in range(1, 11)] == [turn(cycle, other) for cycle in range(1, 11)]


@given(st.integers(0, 10), st.integers(0, 12), st.integers(1, 12))
def test_the_longest_wait_is_what_the_cycles_show(priority: int, fragments: int, period_length: int) -> None:
    story = told(parcel("a", priority, fragments), period_length=period_length, periods=fragments + 2)
    performed = [number for number, steps in enumerate(story, 1) if "a!" in steps]
    assert performed == ([] if longest_wait(priority, fragments, period_length) is None else performed)
    assert longest_wait(priority, fragments, period_length) == (performed[0] if performed else None)
