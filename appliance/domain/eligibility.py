"""What a computer is told at a contact, and the reason for what it is not told.

Source: protocol.md 6, checklist 10-12 and quirk 5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.domain.messages import Pack
from appliance.domain.package import PackageId
from appliance.domain.status import Stage, meaning

BUSY_SECONDS = 24 * 3600
GENUINE_UNIX = "OCS-NG_unified_unix_agent"


@dataclass(frozen=True)
class Candidate:
    """One unfinished affectation of the computer that calls. `pack` None: the package is not activated."""

    package: PackageId
    name: str
    priority: int
    stage: Stage
    notified_at: int | None  # seconds, first announcement
    pack: Pack | None


class Cause(str, Enum):
    """Why a package is not under way, or what happened to it."""

    NOT_ACTIVATED = "not activated"
    SWITCHED_OFF = "switched off"
    NEVER_SEEN = "never seen"
    NOT_SEEN_SINCE = "not seen since"
    WAITS_FOR = "waits for"
    ANNOUNCED = "announced"
    FINISHED = "finished"


@dataclass(frozen=True)
class Reason:
    """A cause and what it speaks of: another package, a moment (seconds), or a status."""

    cause: Cause
    subject: str = ""
    at: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What one contact decides: what is announced, what turned out to be there already, what is held and why."""

    announced: tuple[Pack, ...]
    already: tuple[PackageId, ...]
    held: tuple[tuple[PackageId, Reason], ...]


def announce(
    candidates: Sequence[Candidate],
    history: Collection[str],
    *,
    on: bool,
    genuine_unix: bool,
    now: int,
) -> Verdict:
    """Decide one contact. `on`: whether deployment is switched on for this computer.

    A genuine Unix agent whose download process is at work never completes a package that is first announced then
    (quirk 5): nothing new is announced to it while an announced package is younger than a day.
    """
    announced: list[Pack] = []
    already: list[PackageId] = []
    held: list[tuple[PackageId, Reason]] = []
    at_work = (c for c in candidates if _at_work(c, now) and not _is_there(c, history))
    busy_with = next(at_work, None) if genuine_unix else None
    for candidate in candidates:
        pack = candidate.pack
        if not on:
            held.append((candidate.package, Reason(Cause.SWITCHED_OFF)))
        elif pack is None:
            held.append((candidate.package, Reason(Cause.NOT_ACTIVATED)))
        elif _is_there(candidate, history):
            already.append(candidate.package)
        elif busy_with is not None and candidate.stage is Stage.WAITING:
            held.append((candidate.package, Reason(Cause.WAITS_FOR, busy_with.name)))
        else:
            announced.append(pack)
    return Verdict(tuple(announced), tuple(already), tuple(held))


def explain(
    stage: Stage,
    status: str,
    *,
    activated: bool,
    on: bool,
    busy_with: str,
    last_contact: int | None,
    at: int | None,
) -> Reason:
    """The one reason why an affectation stands where it stands; the same rules as `announce`, between contacts.

    busy_with: the name of the package that a genuine Unix agent is at work on, or "".
    """
    if stage not in (Stage.WAITING, Stage.NOTIFIED):
        return Reason(Cause.FINISHED, status, at)
    if not on:
        return Reason(Cause.SWITCHED_OFF)
    if not activated:
        return Reason(Cause.NOT_ACTIVATED)
    if stage is Stage.NOTIFIED:
        return Reason(Cause.ANNOUNCED, at=at)
    if last_contact is None:
        return Reason(Cause.NEVER_SEEN)
    if busy_with:
        return Reason(Cause.WAITS_FOR, busy_with)
    return Reason(Cause.NOT_SEEN_SINCE, at=last_contact)


def _at_work(candidate: Candidate, now: int) -> bool:
    return (
        candidate.stage is Stage.NOTIFIED
        and candidate.pack is not None
        and candidate.notified_at is not None
        and now - candidate.notified_at < BUSY_SECONDS
    )


def _is_there(candidate: Candidate, history: Collection[str]) -> bool:
    return candidate.package in history and candidate.pack is not None and not candidate.pack.force


def sentence(reason: Reason, when: str) -> str:
    """The reason in English for people; `when` is reason.at as the reader's edge writes times."""
    return {
        Cause.NOT_ACTIVATED: "The package is not activated; activate it.",
        Cause.SWITCHED_OFF: "Deployment is switched off for this computer (DOWNLOAD is 0).",
        Cause.NEVER_SEEN: "The computer never made a contact.",
        Cause.NOT_SEEN_SINCE: f"It is announced at the computer's next contact; the last one was {when}.",
        Cause.WAITS_FOR: f"The computer's OCS Unix agent is still at work on {reason.subject!r}.",
        Cause.ANNOUNCED: f"Announced {when}; the agent has not reported a result yet.",
        Cause.FINISHED: f"{meaning(reason.subject) or reason.subject}",
    }[reason.cause]
