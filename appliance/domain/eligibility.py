"""What a computer is told at a contact, and for each of its packages the one reason why it stands where it stands.

`announce` decides a contact, `explain` answers between contacts, both by the same rules. Source: protocol.md 5.1,
5.2, 6, checklist 10-12 and quirk 5; the manual, "How does it work?".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from appliance.domain.cycle import longest_wait
from appliance.domain.messages import Pack
from appliance.domain.package import PackageId
from appliance.domain.refusal import Term
from appliance.domain.status import FINISHED, MEANING, Stage
from appliance.domain.tempo import Choice, Origin

BUSY_SECONDS = 24 * 3600
GENUINE_UNIX = "OCS-NG_unified_unix_agent"
HOUR = 3600
OVERDUE = 2  # so many times PROLOG_FREQ without a contact
EXIT_CODE = "ERR_EXIT_CODE_"


class Cause(str, Enum):
    """Why a package is not under way, how far it is, or what happened to it."""

    NOT_MEMBER = "not a member"
    OFF_EVERYWHERE = "switched off everywhere"
    OFF_FOR_GROUP = "switched off for a group"
    OFF_FOR_COMPUTER = "switched off for the computer"
    NOT_LET_IN = "not let in"
    NOT_ACTIVATED = "not activated"
    IN_HISTORY = "in the history"
    WAITS_FOR = "waits for"
    NEVER_SEEN = "never seen"
    NOT_SEEN_SINCE = "not seen since"
    NEXT_CONTACT = "at the next contact"
    NEVER_MOVES = "never moves"
    SILENT = "silent"
    HELD_BY_URGENT = "held by an urgent package"
    SCHEDULED = "scheduled"
    FETCHING = "fetching"
    ANNOUNCED = "announced"
    FINISHED = "finished"
    EXITED = "exited"
    UNKNOWN_OUTCOME = "unknown outcome"


# One whole sentence for each cause; {names} stand for the values of its Reason.
SENTENCES: Mapping[Cause, str] = {
    Cause.NOT_MEMBER: "The computer is not a member of the group {group!r} any more, which the package is affected to.",
    Cause.OFF_EVERYWHERE: "Deployment is switched off for all computers (DOWNLOAD is 0).",
    Cause.OFF_FOR_GROUP: "Deployment is switched off for the group {group!r} that it is in (DOWNLOAD is 0).",
    Cause.OFF_FOR_COMPUTER: "Deployment is switched off for this computer (DOWNLOAD is 0).",
    Cause.NOT_LET_IN: "It is not sure which computer this is; decide on the page Identity.",
    Cause.NOT_ACTIVATED: "The package is not activated; activate it.",
    Cause.IN_HISTORY: "The computer said that it is installed; affect it again with force to run it once more.",
    Cause.WAITS_FOR: "The computer's OCS Unix agent is still at work on {package!r}.",
    Cause.NEVER_SEEN: "The computer never made a contact.",
    Cause.NOT_SEEN_SINCE: "The computer was not seen since {when}; it is announced at its next contact.",
    Cause.NEXT_CONTACT: "It is announced at the computer's next contact, expected before {before}; "
    "the last one was {when}.",
    Cause.NEVER_MOVES: "Its priority {priority} is larger than DOWNLOAD_PERIOD_LENGTH {length}, so it never moves.",
    Cause.SILENT: "Notified {when}; no result yet, and the computer was not seen since {since}.",
    Cause.HELD_BY_URGENT: "Notified {when}; held back by {package!r}, which has priority 0 and is not finished.",
    Cause.SCHEDULED: "Notified {when}; it does not start before {before}.",
    Cause.FETCHING: "Fragment {fetched} of {fragments} arrived {when}.",
    Cause.ANNOUNCED: "Notified {when}; the agent has not reported a result yet.",
    Cause.FINISHED: "{meaning}",
    Cause.EXITED: "The command ended with code {code}.",
    Cause.UNKNOWN_OUTCOME: "The agent reported {status}, a code that the manual does not know.",
}
MOMENTS = frozenset({"when", "before", "since"})  # values that are seconds since 1970


@dataclass(frozen=True)
class Reason:
    """A cause and what its sentence speaks of; a `Term` among the values is text of ours, to be translated."""

    cause: Cause
    values: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One affectation of a computer. `pack` None: the package is not activated. Moments in seconds."""

    package: PackageId
    name: str
    priority: int
    stage: Stage
    notified_at: int | None  # first announcement
    pack: Pack | None
    status: str = ""  # the outcome in the manual's words
    changed_at: int = 0
    group: str = ""  # the group it came from; empty: affected to the computer itself
    member: bool = True  # whether the computer is in that group now
    not_before: int | None = None  # what its schedule says
    fragments: int = 0
    fetched: int = 0  # fragments that the computer has, as our agent reports it
    fetched_at: int | None = None


@dataclass(frozen=True)
class Situation:
    """What of a computer decides what it is told. `last_contact` None: it never made one."""

    off: Reason | None = None  # why nothing at all is deployed to it
    genuine_unix: bool = False
    history: Collection[str] = ()  # packages that it reported as installed
    last_contact: int | None = None
    prolog_hours: int = 24
    period_length: int = 10


@dataclass(frozen=True)
class Verdict:
    """What one contact decides: what is announced, what turned out to be there already, what is held and why."""

    announced: tuple[Pack, ...]
    already: tuple[PackageId, ...]
    held: tuple[tuple[PackageId, Reason], ...]


def announce(candidates: Sequence[Candidate], situation: Situation, now: int) -> Verdict:
    """Decide one contact over the unfinished affectations of the computer that calls.

    A genuine Unix agent whose download process is at work never completes a package that is first announced then
    (quirk 5): nothing new is announced to it while an announced package is younger than a day.
    """
    announced: list[Pack] = []
    already: list[PackageId] = []
    held: list[tuple[PackageId, Reason]] = []
    busy_with = _busy_with(candidates, situation, now)
    for candidate in candidates:
        reason = _held(candidate, busy_with, situation)
        if reason is None and candidate.pack is not None:
            announced.append(candidate.pack)
        elif reason is None or reason.cause is Cause.IN_HISTORY:
            already.append(candidate.package)
        else:
            held.append((candidate.package, reason))
    return Verdict(tuple(announced), tuple(already), tuple(held))


def explain(candidate: Candidate, candidates: Sequence[Candidate], situation: Situation, now: int) -> Reason:
    """The one reason why an affectation stands where it does. `candidates`: those of the computer that are notified.

    What else waits for the computer holds nothing back.
    """
    if candidate.stage in FINISHED:
        return _outcome(candidate)
    held = _held(candidate, _busy_with(candidates, situation, now), situation)
    if held is not None:
        return held
    seen = situation.last_contact
    if seen is None:
        return Reason(Cause.NEVER_SEEN)
    if candidate.stage is Stage.WAITING:
        return _waiting(seen, situation, now)
    return _under_way(candidate, candidates, seen, situation, now)


def switched_off(download: Choice) -> Reason | None:
    """Why deployment is off, from the choice of the knob DOWNLOAD; None where it is on."""
    if download.value:
        return None
    if download.origin is Origin.GROUP:
        return Reason(Cause.OFF_FOR_GROUP, {"group": download.group})
    return Reason(Cause.OFF_FOR_COMPUTER if download.origin is Origin.COMPUTER else Cause.OFF_EVERYWHERE)


def sentence(reason: Reason, when: Callable[[int], str]) -> str:
    """The reason in English for people; `when` writes a moment as the reader's edge writes times."""
    values = {name: when(int(value)) if name in MOMENTS else value for name, value in reason.values.items()}
    return SENTENCES[reason.cause].format(**values)


def _held(candidate: Candidate, busy_with: str, situation: Situation) -> Reason | None:
    """What keeps an unfinished affectation from being announced; the first that applies."""
    waiting = candidate.stage is Stage.WAITING  # leaving a group, or new work, withdraws nothing that was notified
    if waiting and not candidate.member:
        return Reason(Cause.NOT_MEMBER, {"group": candidate.group})
    if situation.off is not None:
        return situation.off
    if candidate.pack is None:
        return Reason(Cause.NOT_ACTIVATED)
    if _is_there(candidate, situation.history):
        return Reason(Cause.IN_HISTORY)
    if waiting and busy_with:
        return Reason(Cause.WAITS_FOR, {"package": busy_with})
    return None


def _busy_with(candidates: Sequence[Candidate], situation: Situation, now: int) -> str:
    if not situation.genuine_unix:
        return ""
    at_work = (c.name for c in candidates if _at_work(c, now) and not _is_there(c, situation.history))
    return next(at_work, "")


def _at_work(candidate: Candidate, now: int) -> bool:
    return (
        candidate.stage is Stage.NOTIFIED
        and candidate.pack is not None
        and candidate.notified_at is not None
        and now - candidate.notified_at < BUSY_SECONDS
    )


def _is_there(candidate: Candidate, history: Collection[str]) -> bool:
    return candidate.package in history and candidate.pack is not None and not candidate.pack.force


def _waiting(seen: int, situation: Situation, now: int) -> Reason:
    rhythm = situation.prolog_hours * HOUR
    if _is_overdue(seen, situation, now):
        return Reason(Cause.NOT_SEEN_SINCE, {"when": seen})
    before = seen + rhythm if seen + rhythm > now else seen + OVERDUE * rhythm
    return Reason(Cause.NEXT_CONTACT, {"when": seen, "before": before})


def _under_way(
    candidate: Candidate, candidates: Sequence[Candidate], seen: int, situation: Situation, now: int
) -> Reason:
    when = candidate.changed_at if candidate.notified_at is None else candidate.notified_at
    if longest_wait(candidate.priority, candidate.fragments, situation.period_length) is None:
        return Reason(Cause.NEVER_MOVES, {"priority": candidate.priority, "length": situation.period_length})
    if _is_overdue(seen, situation, now):
        return Reason(Cause.SILENT, {"when": when, "since": seen})
    urgent = next((c for c in candidates if _is_urgent(c) and not _is_there(c, situation.history)), None)
    if urgent is not None and candidate.priority > 0:
        return Reason(Cause.HELD_BY_URGENT, {"when": when, "package": urgent.name})
    if candidate.not_before is not None and now < candidate.not_before and not situation.genuine_unix:
        return Reason(Cause.SCHEDULED, {"when": when, "before": candidate.not_before})
    if candidate.fetched:
        arrived = when if candidate.fetched_at is None else candidate.fetched_at
        return Reason(Cause.FETCHING, {"fetched": candidate.fetched, "fragments": candidate.fragments, "when": arrived})
    return Reason(Cause.ANNOUNCED, {"when": when})


def _is_overdue(seen: int, situation: Situation, now: int) -> bool:
    return now - seen > OVERDUE * situation.prolog_hours * HOUR


def _is_urgent(candidate: Candidate) -> bool:
    return candidate.stage is Stage.NOTIFIED and candidate.pack is not None and candidate.priority == 0


def _outcome(candidate: Candidate) -> Reason:
    status, when = candidate.status, candidate.changed_at
    if status.startswith(EXIT_CODE):
        return Reason(Cause.EXITED, {"code": status[len(EXIT_CODE) :], "when": when})
    if status in MEANING:
        return Reason(Cause.FINISHED, {"meaning": Term(MEANING[status]), "status": status, "when": when})
    return Reason(Cause.UNKNOWN_OUTCOME, {"status": status, "when": when})
