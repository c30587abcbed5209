"""Stages, moves and codes: every pair and every documented code is in a table here."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import status
from appliance.domain.status import Event, Outcome, Stage, meaning, move, outcome, replaces

W, N, S, E, A = Stage.WAITING, Stage.NOTIFIED, Stage.SUCCESS, Stage.ERROR, Stage.ALREADY

# rows: from; columns: ANNOUNCED, SUCCEEDED, FAILED, WAS_THERE; None: nothing changes
EVERY_MOVE = {
    W: (N, None, None, A),
    N: (N, S, E, A),
    S: (None, S, E, None),
    E: (None, S, E, A),
    A: (None, S, E, A),
}


@pytest.mark.parametrize(("stage", "event"), list(itertools.product(Stage, Event)))
def test_every_stage_and_event_is_a_move_or_none(stage: Stage, event: Event) -> None:
    assert move(stage, event) is EVERY_MOVE[stage][list(Event).index(event)]


def test_nothing_goes_back_to_waiting_and_no_outcome_back_to_notified() -> None:
    assert W not in status.MOVES.values()
    assert {stage for stage, event in status.MOVES if status.MOVES[stage, event] is N} == {W, N}


def test_a_result_for_what_was_never_announced_changes_nothing() -> None:
    assert move(W, Event.SUCCEEDED) is move(W, Event.FAILED) is None


@given(st.lists(st.sampled_from(Event)))
def test_any_story_ends_in_a_stage(events: list[Event]) -> None:
    stage = W
    for event in events:
        stage = move(stage, event) or stage
    assert (stage in status.FINISHED) or stage in status.SHOWN
    assert stage is not W or Event.ANNOUNCED not in events


SUCCEEDED, FAILED, WAS_THERE = Event.SUCCEEDED, Event.FAILED, Event.WAS_THERE

CODES = {
    # the manual, "Deployment statistics"
    "SUCCESS": ("SUCCESS", SUCCEEDED),
    "ERR_EXIT_CODE_1": ("ERR_EXIT_CODE_1", FAILED),
    "ERR_EXIT_CODE_1603": ("ERR_EXIT_CODE_1603", FAILED),
    "ERR_ALREADY_SETUP": ("ERR_ALREADY_SETUP", WAS_THERE),
    "ERR_BAD_ID": ("ERR_BAD_ID", FAILED),
    "ERR_BAD_DIGEST": ("ERR_BAD_DIGEST", FAILED),
    "ERR_DOWNLOAD_INFO": ("ERR_DOWNLOAD_INFO", FAILED),
    "ERR_DOWNLOAD_PACK": ("ERR_DOWNLOAD_PACK", FAILED),
    "ERR_BUILD": ("ERR_BUILD", FAILED),
    "ERR_UNZIP": ("ERR_UNZIP", FAILED),
    "ERR_OUT_OF_SPACE": ("ERR_OUT_OF_SPACE", FAILED),
    "ERR_BAD_PARAM": ("ERR_BAD_PARAM", FAILED),
    "ERR_EXECUTE_PACK": ("ERR_EXECUTE_PACK", FAILED),
    "ERR_EXECUTE": ("ERR_EXECUTE", FAILED),
    "ERR_CLEAN": ("ERR_CLEAN", FAILED),
    "ERR_DONE_FAILED": ("ERR_DONE_FAILED", FAILED),
    "ERR_TIMEOUT": ("ERR_TIMEOUT", FAILED),
    "ERR_ABORTED": ("ERR_ABORTED", FAILED),
    # the genuine Unix agent
    "SUCCESS_0": ("SUCCESS", SUCCEEDED),
    "SUCCESS_3": ("ERR_EXIT_CODE_3", FAILED),  # a launched program that exited 3
    "SUCCESS_127": ("ERR_EXIT_CODE_127", FAILED),
    "SUCCESS_": ("SUCCESS", SUCCEEDED),  # any success, sent again
    "SUCCESS_ALREADY_SETUP": ("ERR_ALREADY_SETUP", WAS_THERE),
    # the genuine Windows agent
    "SUCCESS_REBOOT_INITIATED": ("SUCCESS", SUCCEEDED),
    "SUCCESS_REBOOT_REQUIRED": ("SUCCESS", SUCCEEDED),
    "SUCCESS_RESTART_REQUIRED": ("SUCCESS", SUCCEEDED),
    "EXIT_CODE_5": ("ERR_EXIT_CODE_5", FAILED),
    "EXIT_CODE_-1073741819": ("ERR_EXIT_CODE_-1073741819", FAILED),
    "EXIT_CODE_259": ("ERR_EXIT_CODE_259", FAILED),
    "EXIT_CODE_0": ("SUCCESS", SUCCEEDED),
    "ERR_EXECUTE_TIMEOUT": ("ERR_EXECUTE_TIMEOUT", FAILED),
    "ERR_EXECUTE_TOO_MANY_TRY": ("ERR_EXECUTE_TOO_MANY_TRY", FAILED),
    "ERR_EXECUTE_NO_EXIT_CODE": ("ERR_EXECUTE_NO_EXIT_CODE", FAILED),
    # the genuine server
    "SUCCESS_ALREADY_IN_HISTORY": ("ERR_ALREADY_SETUP", WAS_THERE),
    "UNKNOWN_CODE": ("UNKNOWN_CODE", FAILED),
    "": ("UNKNOWN_CODE", FAILED),
    "   ": ("UNKNOWN_CODE", FAILED),
    # nobody
    "ERR_SOMETHING_NEW": ("ERR_SOMETHING_NEW", FAILED),
    "EXIT_CODE_": ("EXIT_CODE_", FAILED),
    "success": ("success", FAILED),
    "ERR_EXIT_CODE_x": ("ERR_EXIT_CODE_x", FAILED),
}


@pytest.mark.parametrize(("code", "understood"), CODES.items())
def test_every_documented_code_is_understood(code: str, understood: tuple[str, Event]) -> None:
    assert outcome(code) == Outcome(*understood, received=code.strip())


@pytest.mark.parametrize("code", [code for code in CODES if code in status.MEANING])
def test_every_code_of_the_manual_means_one_sentence(code: str) -> None:
    assert meaning(code).endswith(".")


def test_every_status_that_a_known_code_becomes_has_a_meaning() -> None:
    nobody = {"ERR_SOMETHING_NEW", "EXIT_CODE_", "success"}
    assert {s for s, _ in CODES.values() if not meaning(s)} == nobody
    assert meaning("ERR_EXIT_CODE_3") == "The command ended with code 3."


@given(st.text() | st.from_regex(r"(SUCCESS|ERR|EXIT_CODE)_?[A-Z0-9_-]{0,20}"))
def test_any_text_gives_an_outcome_safe_to_log(code: str) -> None:
    found = outcome(code)
    assert found.event in (SUCCEEDED, FAILED, WAS_THERE)
    assert found.status
    assert found.received.isascii()
    assert (found.status + found.received).isprintable()
    assert len(found.received) <= status.LONGEST_CODE


@given(st.one_of(st.integers(-(2**31), 2**32), st.sampled_from([0, 1641, 3010, 3011])))
def test_an_exit_code_is_a_success_when_it_is_zero_or_asks_for_a_restart(code: int) -> None:
    good = code in (0, 1641, 3010, 3011)
    assert (outcome(f"EXIT_CODE_{code}").event is SUCCEEDED) == good
    assert (outcome(f"ERR_EXIT_CODE_{code}").event is SUCCEEDED) == good
    assert code < 0 or (outcome(f"SUCCESS_{code}").event is SUCCEEDED) == good


@pytest.mark.parametrize(
    ("old", "new", "better"),
    [
        ("SUCCESS", "SUCCESS_", False),
        ("SUCCESS_3", "SUCCESS_", False),
        ("SUCCESS_0", "SUCCESS_", False),
        ("ERR_BUILD", "SUCCESS_", True),
        ("", "SUCCESS_", True),
        ("SUCCESS_", "SUCCESS_", False),
        ("SUCCESS_", "SUCCESS_0", True),
        ("SUCCESS", "ERR_BUILD", True),
    ],
)
def test_a_bare_success_never_replaces_a_better_known_one(old: str, new: str, better: bool) -> None:
    assert replaces(old, new) is better


def test_one_table_has_every_outcome_of_the_manual_and_who_makes_it() -> None:
    ours = {code for code, row in status.OUTCOMES.items() if status.Side.OWN in row.sides}
    assert ours == {
        *["SUCCESS", "ERR_EXIT_CODE_n", "ERR_ALREADY_SETUP", "ERR_BAD_ID", "ERR_BAD_DIGEST", "ERR_DOWNLOAD_INFO"],
        *["ERR_DOWNLOAD_PACK", "ERR_BUILD", "ERR_UNZIP", "ERR_OUT_OF_SPACE", "ERR_BAD_PARAM", "ERR_EXECUTE_PACK"],
        *["ERR_EXECUTE", "ERR_EXECUTE_TIMEOUT", "ERR_CLEAN", "ERR_DONE_FAILED", "ERR_TIMEOUT", "ERR_ABORTED"],
    }
    assert list(status.MEANING) == list(status.OUTCOMES)
    assert all(row.sides for row in status.OUTCOMES.values())


@pytest.mark.parametrize(
    ("known", "exit_code", "told"),
    [
        ("SUCCESS", None, "SUCCESS"),
        ("SUCCESS", 0, "SUCCESS"),
        ("SUCCESS", 3010, "SUCCESS_REBOOT_REQUIRED"),
        ("SUCCESS", 1641, "SUCCESS_REBOOT_INITIATED"),
        ("SUCCESS", 3011, "SUCCESS_RESTART_REQUIRED"),
        ("ERR_EXIT_CODE_3", 3, "EXIT_CODE_3"),
        ("ERR_EXIT_CODE_-9", -9, "EXIT_CODE_-9"),
        ("ERR_ALREADY_SETUP", None, "SUCCESS_ALREADY_SETUP"),
        ("ERR_EXECUTE_PACK", None, "ERR_BAD_PARAM"),
        ("ERR_CLEAN", 0, "ERR_CLEAN"),
        ("ERR_ABORTED", None, "ERR_ABORTED"),
    ],
)
def test_a_genuine_server_is_told_in_its_own_words_and_ours_in_the_manuals(
    known: str, exit_code: int | None, told: str
) -> None:
    assert status.spelled(known, exit_code, genuine=True) == told
    assert status.spelled(known, exit_code, genuine=False) == known
    # whichever is told, our server understands the same; only "no command" is one with "a value" there
    assert outcome(told).status in (known, "ERR_BAD_PARAM")


@pytest.mark.parametrize("code", [0, 1641, 3010, 3011])
def test_exit_codes_that_mean_success_or_reboot_are_a_success(code: int) -> None:
    assert status.of_exit_code(code) == "SUCCESS"


@pytest.mark.parametrize("code", [1, 3, 255, 1603, -9, 3012])
def test_any_other_exit_code_is_an_error_that_names_it(code: int) -> None:
    assert status.of_exit_code(code) == f"ERR_EXIT_CODE_{code}"
