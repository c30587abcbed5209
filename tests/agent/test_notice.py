"""Warn user: what the person's choice, or nobody's, means for the package. Dialogs and time are fakes here."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from appliance.agent.dialogs import Question, Reply
from appliance.agent.notice import LONGEST_DONE, LONGEST_WAIT, Answer, Ports, ask, confirm_done
from appliance.clock import Clock
from appliance.domain.package import Notice


class StillClock(Clock):
    """Time passes only where somebody rests, or looks at a dialog."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def rest(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class FakeDialog:
    """Replies one after the other, each after so many seconds; None takes all the time there is."""

    clock: StillClock
    replies: list[tuple[Reply, float | None]]
    name: str = "a fake"
    asked: list[Question] = field(default_factory=list)

    def ask(self, question: Question) -> Reply:
        self.asked.append(question)
        reply, seconds = self.replies.pop(0)
        self.clock.rest(question.seconds if seconds is None else seconds)
        return reply


class Desk:
    """A computer with these dialogs, and what `ask` did there."""

    def __init__(self, *dialogs: list[tuple[Reply, float | None]]) -> None:
        self.clock = StillClock()
        self.dialogs = [FakeDialog(self.clock, list(replies), f"dialog {n}") for n, replies in enumerate(dialogs, 1)]
        self.told: list[str] = []
        self.ports = Ports(self.clock, self.told.append, lambda: iter(self.dialogs))

    def ask(self, notice: Notice, *, delays: int = 0, package_name: str = "Player") -> tuple[Answer, float]:
        before = self.clock.at
        answer = ask(notice, package_name=package_name, delays=delays, ports=self.ports)
        return answer, self.clock.at - before


FREE = Notice("Hello", countdown=60, may_cancel=True, may_delay=True)
PATIENT = Notice("Hello", countdown=0, may_cancel=True, may_delay=True)


@pytest.mark.parametrize(
    ("notice", "reply", "answer", "seconds"),
    [
        (FREE, (Reply.ACCEPTED, 5.0), Answer.PROCEED, 5),
        (FREE, (Reply.CANCELLED, 5.0), Answer.CANCELLED, 5),
        (FREE, (Reply.DELAYED, 5.0), Answer.DELAYED, 5),
        (FREE, (Reply.TIMED_OUT, None), Answer.PROCEED, 60),
        (PATIENT, (Reply.ACCEPTED, 5000.0), Answer.PROCEED, 5000),
        (PATIENT, (Reply.CANCELLED, 5000.0), Answer.CANCELLED, 5000),
        (PATIENT, (Reply.TIMED_OUT, None), Answer.DELAYED, LONGEST_WAIT),
        (Notice("Hello", may_cancel=True), (Reply.TIMED_OUT, None), Answer.PROCEED, LONGEST_WAIT),
    ],
)
def test_a_choice_is_taken_and_no_choice_lets_the_countdown_decide(
    notice: Notice, reply: tuple[Reply, float | None], answer: Answer, seconds: float
) -> None:
    assert Desk([reply]).ask(notice) == (answer, seconds)


def test_a_window_put_away_comes_back_once_then_the_countdown_runs_without_it() -> None:
    desk = Desk([(Reply.CLOSED, 10.0), (Reply.CLOSED, 10.0)], [(Reply.CANCELLED, 1.0)])
    assert desk.ask(FREE) == (Answer.PROCEED, 60)
    assert [question.seconds for question in desk.dialogs[0].asked] == [60, 50]
    assert desk.dialogs[1].asked == []  # nobody else decides for who has seen it
    assert "nobody answers; it goes on in 40 seconds" in desk.told[-1]


def test_a_waiting_window_put_away_twice_delays_where_that_is_allowed_and_never_cancels() -> None:
    closed: list[tuple[Reply, float | None]] = [(Reply.CLOSED, 1.0), (Reply.CLOSED, 1.0)]
    assert Desk(closed).ask(PATIENT) == (Answer.DELAYED, 2)
    assert Desk(closed).ask(Notice("Hello", may_cancel=True)) == (Answer.PROCEED, 2)


def test_the_second_look_at_a_window_can_still_be_answered() -> None:
    assert Desk([(Reply.CLOSED, 1.0), (Reply.DELAYED, 1.0)]).ask(FREE) == (Answer.DELAYED, 2)


def test_where_one_dialog_cannot_be_shown_the_next_one_is() -> None:
    desk = Desk([(Reply.UNSHOWN, 2.0)], [(Reply.CANCELLED, 3.0)])
    assert desk.ask(FREE) == (Answer.CANCELLED, 5)
    assert desk.dialogs[1].asked[0].seconds == 58


def test_with_nobody_there_the_countdown_runs_and_is_logged() -> None:
    desk = Desk()
    assert desk.ask(FREE) == (Answer.PROCEED, 60)
    assert desk.told == ["Software installation: Player: nobody answers; it goes on in 1 minute."]


def test_with_nobody_there_a_wait_without_end_is_over_at_once() -> None:
    assert Desk().ask(PATIENT) == (Answer.PROCEED, 0)
    assert Desk([(Reply.UNSHOWN, 1.0)]).ask(PATIENT) == (Answer.PROCEED, 1)


def test_the_person_reads_plain_text_the_countdown_and_how_often_it_was_delayed() -> None:
    desk = Desk([(Reply.ACCEPTED, 1.0)])
    notice = Notice("<b>Player</b> comes.<br/>Save &amp; close.", countdown=90, may_delay=True)
    desk.ask(notice, delays=2, package_name="Media\nplayer")
    question = desk.dialogs[0].asked[0]
    assert question.title == "Software installation: Media player"
    assert question.text.split("\n\n") == [
        "Player comes.\nSave & close.", "It was put off 2 times so far.", "It begins by itself in 1 min 30 s.",
    ]  # fmt: skip
    assert (question.may_cancel, question.may_delay, question.counts) == (False, True, True)


def test_a_package_without_a_name_and_a_text_of_tags_alone_still_say_what_happens() -> None:
    desk = Desk([(Reply.ACCEPTED, 1.0)])
    desk.ask(Notice("<br/><p>"), package_name="")
    assert desk.dialogs[0].asked[0].title == "Software installation"
    assert desk.dialogs[0].asked[0].text == "Software is about to be installed on this computer."


def test_the_end_is_confirmed_by_whoever_is_there_and_by_nobody_at_once() -> None:
    desk = Desk([(Reply.ACCEPTED, 30.0)])
    confirm_done("Restart <b>now</b>", package_name="Player", ports=desk.ports)
    question = desk.dialogs[0].asked[0]
    assert (question.text, question.seconds, question.has_choice) == ("Restart now", LONGEST_DONE, False)
    for replies, seconds in ([], 0.0), ([[(Reply.TIMED_OUT, None)]], float(LONGEST_DONE)):
        alone = Desk(*replies)  # type: ignore[arg-type]
        confirm_done("Done", package_name="Player", ports=alone.ports)
        assert alone.clock.at - 1000 == seconds
        assert alone.told[-1] == "Software installation: Player: nobody confirmed its end."
