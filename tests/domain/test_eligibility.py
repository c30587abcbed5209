"""What a contact announces, what it holds back, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.eligibility import BUSY_SECONDS, Candidate, Cause, Reason, Verdict, announce, explain, sentence
from appliance.domain.messages import Pack
from appliance.domain.package import PackageId
from appliance.domain.status import Stage

NOW = 1_795_206_923
W, N = Stage.WAITING, Stage.NOTIFIED


def candidate(
    name: str, stage: Stage = W, *, notified: int | None = None, force: bool = False, activated: bool = True
) -> Candidate:
    package = PackageId(name)
    pack = Pack(package, "info.example/download", "frag.example/download", force=force) if activated else None
    return Candidate(package, f"Package {name}", 5, stage, notified, pack)


def decide(*candidates: Candidate, history: set[str] | None = None, on: bool = True, unix: bool = False) -> Verdict:
    return announce(candidates, history or set(), on=on, genuine_unix=unix, now=NOW)


def announced(verdict: Verdict) -> list[str]:
    return [pack.package for pack in verdict.announced]


def test_everything_unfinished_is_announced_in_its_order_again_at_each_contact() -> None:
    verdict = decide(candidate("b"), candidate("a", N, notified=NOW - 5), candidate("c"))
    assert announced(verdict) == ["b", "a", "c"]
    assert (verdict.already, verdict.held) == ((), ())


def test_the_announced_pack_is_the_one_of_the_candidate() -> None:
    forced = candidate("a", force=True)
    assert decide(forced).announced == (forced.pack,)


def test_nothing_to_say_is_an_empty_verdict() -> None:
    assert decide() == Verdict((), (), ())


def test_what_the_history_has_is_already_there_unless_it_is_forced() -> None:
    verdict = decide(candidate("a"), candidate("b", force=True), candidate("c"), history={"a", "b"})
    assert (announced(verdict), verdict.already) == (["b", "c"], ("a",))


def test_switched_off_announces_nothing_and_says_so() -> None:
    verdict = decide(candidate("a"), candidate("b", activated=False), history={"a"}, on=False)
    assert (verdict.announced, verdict.already) == ((), ())
    assert verdict.held == (("a", Reason(Cause.SWITCHED_OFF)), ("b", Reason(Cause.SWITCHED_OFF)))


def test_a_package_that_is_not_activated_is_held_and_the_others_go() -> None:
    verdict = decide(candidate("a", activated=False), candidate("b"), history={"a"})
    assert announced(verdict) == ["b"]
    assert verdict.held == (("a", Reason(Cause.NOT_ACTIVATED)),)


# Quirk 5: a genuine Unix agent at work never completes what is first announced then


def test_a_genuine_unix_agent_at_work_hears_of_nothing_new() -> None:
    verdict = decide(candidate("new"), candidate("old", N, notified=NOW - 60), unix=True)
    assert announced(verdict) == ["old"]
    assert verdict.held == (("new", Reason(Cause.WAITS_FOR, "Package old")),)


def test_our_own_agent_at_work_hears_of_what_is_new() -> None:
    assert announced(decide(candidate("new"), candidate("old", N, notified=NOW - 60))) == ["new", "old"]


@pytest.mark.parametrize(
    ("old", "history"),
    [
        (candidate("old", N, notified=NOW - BUSY_SECONDS), set()),  # after a day it counts as lost
        (candidate("old", N, notified=NOW - 60, activated=False), set()),  # nobody announces it any more
        (candidate("old", N, notified=None), set()),
        (candidate("old", W), set()),
        (candidate("old", N, notified=NOW - 60), {"old"}),  # its result was lost, but it is installed
    ],
)
def test_a_genuine_unix_agent_that_is_not_at_work_hears_of_what_is_new(old: Candidate, history: set[str]) -> None:
    assert "new" in announced(decide(candidate("new"), old, history=history, unix=True))


def test_a_forced_package_under_way_counts_as_work_whatever_the_history_says() -> None:
    old = candidate("old", N, notified=NOW - 60, force=True)
    assert announced(decide(candidate("new"), old, history={"old"}, unix=True)) == ["old"]


def test_the_first_contact_announces_all_at_once_also_to_a_genuine_unix_agent() -> None:
    assert announced(decide(candidate("a"), candidate("b"), unix=True)) == ["a", "b"]


def test_a_second_fresh_announcement_keeps_the_last_second_of_the_day() -> None:
    old = candidate("old", N, notified=NOW - BUSY_SECONDS + 1)
    assert announced(decide(candidate("new"), old, unix=True)) == ["old"]


candidates_drawn = st.lists(
    st.builds(
        candidate,
        st.text("abcdef", min_size=1, max_size=2),
        st.sampled_from([W, N]),
        notified=st.none() | st.integers(NOW - 2 * BUSY_SECONDS, NOW),
        force=st.booleans(),
        activated=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda c: c.package,
)


@given(candidates_drawn, st.sets(st.text("abcdef", min_size=1, max_size=2)), st.booleans(), st.booleans())
def test_every_candidate_gets_exactly_one_answer(
    candidates: list[Candidate], history: set[str], on: bool, unix: bool
) -> None:
    verdict = announce(candidates, history, on=on, genuine_unix=unix, now=NOW)
    answers = [*announced(verdict), *verdict.already, *(package for package, _ in verdict.held)]
    assert sorted(answers) == sorted(c.package for c in candidates)
    assert announced(verdict) == [c.package for c in candidates if c.package in announced(verdict)]
    assert not any(pack.package in history and not pack.force for pack in verdict.announced)
    assert on or not verdict.announced
    assert all(sentence(reason, "now") for _, reason in verdict.held)


@given(candidates_drawn, st.booleans())
def test_what_was_announced_once_is_never_held_for_another(candidates: list[Candidate], unix: bool) -> None:
    held = dict(announce(candidates, (), on=True, genuine_unix=unix, now=NOW).held)
    notified = [c.package for c in candidates if c.stage is N]
    assert not any(held[package].cause is Cause.WAITS_FOR for package in notified if package in held)


# Between contacts

USUAL = {"activated": True, "on": True, "busy_with": "", "last_contact": NOW - 100, "at": NOW - 50}


@pytest.mark.parametrize(
    ("stage", "status", "facts", "reason"),
    [
        (W, "", {}, Reason(Cause.NOT_SEEN_SINCE, at=NOW - 100)),
        (W, "", {"last_contact": None}, Reason(Cause.NEVER_SEEN)),
        (W, "", {"busy_with": "Player"}, Reason(Cause.WAITS_FOR, "Player")),
        (W, "", {"activated": False, "last_contact": None}, Reason(Cause.NOT_ACTIVATED)),
        (W, "", {"on": False, "activated": False}, Reason(Cause.SWITCHED_OFF)),
        (N, "", {}, Reason(Cause.ANNOUNCED, at=NOW - 50)),
        (N, "", {"busy_with": "itself"}, Reason(Cause.ANNOUNCED, at=NOW - 50)),
        (N, "", {"activated": False}, Reason(Cause.NOT_ACTIVATED)),
        (N, "", {"on": False}, Reason(Cause.SWITCHED_OFF)),
        (Stage.SUCCESS, "SUCCESS", {"on": False}, Reason(Cause.FINISHED, "SUCCESS", NOW - 50)),
        (Stage.ERROR, "ERR_EXIT_CODE_3", {}, Reason(Cause.FINISHED, "ERR_EXIT_CODE_3", NOW - 50)),
        (Stage.ALREADY, "ERR_ALREADY_SETUP", {}, Reason(Cause.FINISHED, "ERR_ALREADY_SETUP", NOW - 50)),
    ],
)
def test_every_stage_has_its_reason(stage: Stage, status: str, facts: dict[str, object], reason: Reason) -> None:
    assert explain(stage, status, **{**USUAL, **facts}) == reason  # type: ignore[arg-type]


@given(
    st.sampled_from(Stage),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "Player"]),
    st.none() | st.integers(0, NOW),
    st.none() | st.integers(0, NOW),
)
def test_any_affectation_has_a_reason_in_one_sentence(
    stage: Stage, activated: bool, on: bool, busy: str, seen: int | None, at: int | None
) -> None:
    reason = explain(stage, "ERR_NEW", activated=activated, on=on, busy_with=busy, last_contact=seen, at=at)
    assert sentence(reason, "yesterday")
    assert (reason.cause is Cause.FINISHED) == (stage not in (W, N))


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_sentence(cause: Cause) -> None:
    assert sentence(Reason(cause, "SUCCESS", NOW), "yesterday").endswith(".")


def test_an_outcome_that_nobody_documented_is_shown_as_received() -> None:
    assert sentence(Reason(Cause.FINISHED, "ERR_SOMETHING_NEW"), "") == "ERR_SOMETHING_NEW"
