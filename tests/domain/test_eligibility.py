"""What a contact announces, what it holds back, and the one reason for every state that can be reached."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.eligibility import (
    BUSY_SECONDS,
    MOMENTS,
    SENTENCES,
    Candidate,
    Cause,
    Reason,
    Situation,
    Verdict,
    announce,
    explain,
    sentence,
    switched_off,
)
from appliance.domain.messages import Pack
from appliance.domain.package import PackageId
from appliance.domain.refusal import Term
from appliance.domain.status import FINISHED, OUTCOMES, Stage
from appliance.domain.tempo import Choice, Origin

NOW = 1_795_206_923
HOUR, DAY = 3600, 86_400
W, N = Stage.WAITING, Stage.NOTIFIED
OFF = Reason(Cause.OFF_FOR_COMPUTER)


def candidate(
    name: str,
    stage: Stage = W,
    *,
    notified: int | None = None,
    force: bool = False,
    activated: bool = True,
    priority: int = 5,
    **rest: object,
) -> Candidate:
    package = PackageId(name)
    pack = Pack(package, "info.example/download", "frag.example/download", force=force) if activated else None
    return Candidate(package, f"Package {name}", priority, stage, notified, pack, **rest)  # type: ignore[arg-type]


def decide(
    *candidates: Candidate, history: Collection[str] = (), off: Reason | None = None, unix: bool = False
) -> Verdict:
    return announce(candidates, Situation(off=off, genuine_unix=unix, history=history, last_contact=NOW), NOW)


def announced(verdict: Verdict) -> list[str]:
    return [pack.package for pack in verdict.announced]


def when(moment: int) -> str:
    return f"<{moment - NOW}>"


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
    verdict = decide(candidate("a"), candidate("b", activated=False), history={"a"}, off=OFF)
    assert (verdict.announced, verdict.already) == ((), ())
    assert verdict.held == (("a", OFF), ("b", OFF))


def test_a_package_that_is_not_activated_is_held_and_the_others_go() -> None:
    verdict = decide(candidate("a", activated=False), candidate("b"), history={"a"})
    assert announced(verdict) == ["b"]
    assert verdict.held == (("a", Reason(Cause.NOT_ACTIVATED)),)


def test_who_left_a_group_is_not_told_what_waits_and_is_told_what_was_notified() -> None:
    waits = candidate("a", group="Paris", member=False)
    told = candidate("b", N, notified=NOW - 5, group="Paris", member=False)
    verdict = decide(waits, told, candidate("c", group="Paris"))
    assert announced(verdict) == ["b", "c"]
    assert verdict.held == (("a", Reason(Cause.NOT_MEMBER, {"group": "Paris"})),)


# Quirk 5: a genuine Unix agent at work never completes what is first announced then


def test_a_genuine_unix_agent_at_work_hears_of_nothing_new() -> None:
    verdict = decide(candidate("new"), candidate("old", N, notified=NOW - 60), unix=True)
    assert announced(verdict) == ["old"]
    assert verdict.held == (("new", Reason(Cause.WAITS_FOR, {"package": "Package old"})),)


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
        member=st.booleans(),
        priority=st.integers(0, 10),
    ),
    max_size=5,
    unique_by=lambda c: c.package,
)
situations_drawn = st.builds(
    Situation,
    off=st.none() | st.just(OFF),
    genuine_unix=st.booleans(),
    history=st.sets(st.text("abcdef", min_size=1, max_size=2)),
    last_contact=st.integers(NOW - 5 * DAY, NOW),
)


@given(candidates_drawn, situations_drawn)
def test_every_candidate_gets_exactly_one_answer(candidates: list[Candidate], situation: Situation) -> None:
    verdict = announce(candidates, situation, NOW)
    answers = [*announced(verdict), *verdict.already, *(package for package, _ in verdict.held)]
    assert sorted(answers) == sorted(c.package for c in candidates)
    assert announced(verdict) == [c.package for c in candidates if c.package in announced(verdict)]
    assert not any(pack.package in situation.history and not pack.force for pack in verdict.announced)
    assert situation.off is None or not verdict.announced
    assert all(sentence(reason, when) for _, reason in verdict.held)


@given(candidates_drawn, situations_drawn)
def test_what_was_announced_once_is_never_held_for_another_or_for_a_group(
    candidates: list[Candidate], situation: Situation
) -> None:
    held = dict(announce(candidates, situation, NOW).held)
    notified = [c.package for c in candidates if c.stage is N]
    never = (Cause.WAITS_FOR, Cause.NOT_MEMBER)
    assert not any(held[package].cause in never for package in notified if package in held)


@given(candidates_drawn, situations_drawn)
def test_what_the_next_contact_would_do_is_what_is_explained(candidates: list[Candidate], situation: Situation) -> None:
    verdict = announce(candidates, situation, NOW)
    held = dict(verdict.held)
    for one in candidates:
        why = explain(one, candidates, situation, NOW)
        if one.package in held:
            assert why == held[one.package]
        else:
            assert (why.cause is Cause.IN_HISTORY) == (one.package in verdict.already)


# Between contacts

SEEN = Situation(last_contact=NOW - HOUR)


@pytest.mark.parametrize(
    ("one", "situation", "said"),
    [
        (candidate("a"), SEEN, "It is announced at the computer's next contact, expected before <82800>; "
         "the last one was <-3600>."),
        (candidate("a"), Situation(last_contact=NOW - 30 * HOUR), "It is announced at the computer's next contact, "
         "expected before <64800>; the last one was <-108000>."),
        (candidate("a"), Situation(last_contact=NOW - 49 * HOUR), "The computer was not seen since <-176400>; "
         "it is announced at its next contact."),
        (candidate("a"), Situation(last_contact=NOW - 3 * HOUR, prolog_hours=1), "The computer was not seen since "
         "<-10800>; it is announced at its next contact."),
        (candidate("a"), Situation(), "The computer never made a contact."),
        (candidate("a", activated=False), SEEN, "The package is not activated; activate it."),
        (candidate("a", group="Paris", member=False), SEEN, "The computer is not a member of the group 'Paris' any "
         "more, which the package is affected to."),
        (candidate("a"), Situation(history={"a"}, last_contact=NOW), "The computer said that it is installed; affect "
         "it again with force to run it once more."),
        (candidate("a", N, notified=NOW - 50), SEEN, "Notified <-50>; the agent has not reported a result yet."),
        (candidate("a", N, changed_at=NOW - 40), SEEN, "Notified <-40>; the agent has not reported a result yet."),
        (candidate("a", N, notified=NOW - 5 * DAY), Situation(last_contact=NOW - 3 * DAY), "Notified <-432000>; no "
         "result yet, and the computer was not seen since <-259200>."),
        (candidate("a", N, notified=NOW - 50, priority=9), Situation(last_contact=NOW, period_length=8), "Its "
         "priority 9 is larger than DOWNLOAD_PERIOD_LENGTH 8, so it never moves."),
        (candidate("a", N, notified=NOW - 50, priority=8), Situation(last_contact=NOW, period_length=8), "Notified "
         "<-50>; the agent has not reported a result yet."),
        (candidate("a", N, notified=NOW - 50, not_before=NOW + 60), SEEN, "Notified <-50>; it does not start before "
         "<60>."),
        (candidate("a", N, notified=NOW - 50, not_before=NOW), SEEN, "Notified <-50>; the agent has not reported a "
         "result yet."),
        (candidate("a", N, notified=NOW - 50, fragments=40, fetched=17, fetched_at=NOW - 5), SEEN, "Fragment 17 of 40 "
         "arrived <-5>."),
        (candidate("a", Stage.SUCCESS, status="SUCCESS"), Situation(off=OFF), "Downloaded, verified and done."),
        (candidate("a", Stage.ERROR, status="ERR_EXIT_CODE_3"), SEEN, "The command ended with code 3."),
        (candidate("a", Stage.ERROR, status="ERR_NEW"), SEEN, "The agent reported ERR_NEW, a code that the manual does "
         "not know."),
        (candidate("a", Stage.ALREADY, status="ERR_ALREADY_SETUP"), SEEN, "It was installed on this computer before; "
         "affect it again with force to run it once more."),
    ],
)  # fmt: skip
def test_a_state_has_its_sentence(one: Candidate, situation: Situation, said: str) -> None:
    assert sentence(explain(one, [one], situation, NOW), when) == said


def test_a_genuine_unix_agent_knows_no_schedule() -> None:
    one = candidate("a", N, notified=NOW - 50, not_before=NOW + 60)
    unix = Situation(last_contact=NOW, genuine_unix=True)
    assert explain(one, [one], unix, NOW).cause is Cause.ANNOUNCED


@pytest.mark.parametrize(
    ("urgent", "holds"),
    [
        (candidate("u", N, notified=NOW - 9, priority=0), True),
        (candidate("u", N, notified=NOW - 9, priority=1), False),
        (candidate("u", W, priority=0), False),
        (candidate("u", N, notified=NOW - 9, priority=0, activated=False), False),
        (candidate("there", N, notified=NOW - 9, priority=0), False),
    ],
)
def test_a_package_of_priority_0_holds_back_what_was_notified(urgent: Candidate, holds: bool) -> None:
    situation = Situation(last_contact=NOW, history={"there"})
    one = candidate("a", N, notified=NOW - 50)
    why = explain(one, [urgent, one], situation, NOW)
    held = Reason(Cause.HELD_BY_URGENT, {"when": NOW - 50, "package": "Package u"})
    assert (why == held) is holds
    assert explain(urgent, [urgent, one], situation, NOW).cause is not Cause.HELD_BY_URGENT
    waiting = candidate("b")
    assert explain(waiting, [urgent, waiting], situation, NOW).cause is Cause.NEXT_CONTACT
    first = candidate("c", N, notified=NOW - 50, priority=0)
    assert explain(first, [urgent, first], situation, NOW).cause is Cause.ANNOUNCED


@pytest.mark.parametrize(
    ("choice", "cause"),
    [
        (Choice(0, Origin.EVERYWHERE), Cause.OFF_EVERYWHERE),
        (Choice(0, Origin.GROUP, "Paris"), Cause.OFF_FOR_GROUP),
        (Choice(0, Origin.COMPUTER), Cause.OFF_FOR_COMPUTER),
        (Choice(1, Origin.EVERYWHERE), None),
        (Choice(1, Origin.COMPUTER), None),
    ],
)
def test_whoever_switched_deployment_off_is_named(choice: Choice, cause: Cause | None) -> None:
    reason = switched_off(choice)
    assert (reason.cause if reason else None) == cause
    if cause is Cause.OFF_FOR_GROUP and reason:
        assert "'Paris'" in sentence(reason, when)


# Every state that can be reached

STATES = list(
    itertools.product(
        [W, N],
        [True, False],  # activated
        [None, Reason(Cause.NOT_LET_IN), *(switched_off(Choice(0, origin, "g")) for origin in Origin)],
        [(False, False), (True, False), (True, True)],  # in the history, forced
        [("", True), ("g", True), ("g", False)],  # group, member
        [None, NOW - HOUR, NOW - 30 * HOUR, NOW - 300 * HOUR],  # last contact
        [(True, None), (True, N), (False, N)],  # genuine Unix, another under way
        [None, 0, 5],  # the other's priority
        [0, 5, 10],  # priority
        [None, NOW - 5, NOW + 5],  # schedule
        [(0, 0), (4, 0), (4, 2), (4, 4)],  # fragments, fetched
    )
)


def test_every_reachable_state_has_exactly_one_reason_in_one_sentence() -> None:
    met: set[Cause] = set()
    others = {
        (stage, priority): candidate("other", stage, notified=NOW - 60, priority=priority)
        for stage in (N,)
        for priority in (0, 5)
    }
    for stage, active, off, (there, force), (group, member), seen, (unix, other), urgent, own, start, got in STATES:
        one = candidate(
            "a", stage, notified=NOW - 90 if stage is N else None, force=force, activated=active, priority=own,
            group=group, member=member, not_before=start, fragments=got[0], fetched=got[1] if stage is N else 0,
            fetched_at=NOW - 1 if got[1] and stage is N else None,
        )  # fmt: skip
        rival = [others[other, urgent]] if other is not None and urgent is not None else []
        situation = Situation(off, unix, {"a"} if there else (), seen, 24, 8)
        why = explain(one, [one, *rival], situation, NOW)
        met.add(why.cause)
        assert why.cause not in (Cause.FINISHED, Cause.EXITED, Cause.UNKNOWN_OUTCOME)
        told = sentence(why, when)
        assert told
        assert told.endswith(".")
        assert "{" not in told
        if stage is W and why.cause in (Cause.NEXT_CONTACT, Cause.NOT_SEEN_SINCE):
            assert announce([one, *rival], situation, NOW).announced[:1] == (one.pack,)
    for stage in FINISHED:
        for status in [*OUTCOMES, "ERR_EXIT_CODE_-5", "ODD"]:
            why = explain(candidate("a", stage, status=status), [], Situation(), NOW)
            met.add(why.cause)
            assert sentence(why, when).endswith(".")
    assert met == set(Cause), "every cause can be met, and no other"


def test_every_cause_has_one_sentence_and_names_moments_alike() -> None:
    assert set(SENTENCES) == set(Cause)
    values = dict.fromkeys(
        ("group", "package", "priority", "length", "fetched", "fragments", "meaning", "code", "status", *MOMENTS), 1
    )
    for text in SENTENCES.values():
        assert text.endswith((".", "}"))
        assert text.format(**values)


def test_the_meaning_of_an_outcome_is_text_of_ours_and_a_code_is_data() -> None:
    known = explain(candidate("a", Stage.SUCCESS, status="SUCCESS", changed_at=9), [], Situation(), NOW)
    assert isinstance(known.values["meaning"], Term)
    assert known.values["when"] == 9
    strange = explain(candidate("a", Stage.ERROR, status="{0.__class__}"), [], Situation(), NOW)
    assert not isinstance(strange.values["status"], Term)
    assert "{0.__class__}" in sentence(strange, when)
