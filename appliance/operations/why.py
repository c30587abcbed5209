"""Why each package stands where it stands on each computer: rows gathered for the rules in domain/eligibility."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.affectation import Affectation
from appliance.domain.computer import ComputerId
from appliance.domain.eligibility import GENUINE_UNIX, Candidate, Cause, Reason, Situation, explain, switched_off
from appliance.domain.group import Group, GroupId
from appliance.domain.messages import Pack
from appliance.domain.status import FINISHED, outcome
from appliance.domain.tempo import Choice, choose
from appliance.operations.identity import withheld
from appliance.store import affectations, computers, configuration, groups
from appliance.store.database import Tx

FORM = "%Y/%m/%d %H:%M"  # of a schedule
_FORM = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}")


@dataclass(frozen=True)
class Seen:
    """What of a computer's row decides. `last_contact` None: it never told what it is."""

    computer: ComputerId
    user_agent: str
    last_contact: int | None


async def reasons(tx: Tx, seen: Sequence[Seen], asked: Sequence[Affectation]) -> dict[tuple[ComputerId, str], Reason]:
    """The reason for each affectation asked for, by computer and package; all of them on these computers."""
    numbers = list({one.computer for one in asked if one.stage not in FINISHED})  # an outcome is a reason by itself
    notified = await affectations.notified_of(tx, numbers)
    memberships = await groups.of_computers(tx, numbers, in_use=True)
    histories = await computers.histories(tx, numbers)
    own = await computers.overrides_of(tx, numbers)
    settings = await configuration.settings(tx)
    everywhere, unsure = settings.knobs(), await withheld(tx, numbers, settings)
    for_groups = await groups.every_override(tx)
    known = {one.computer: one for one in seen}
    result: dict[tuple[ComputerId, str], Reason] = {}
    situations: dict[ComputerId, Situation] = {}
    chosen: dict[object, Mapping[str, Choice]] = {}  # by what was set: nearly all computers have the same
    rivals: dict[ComputerId, list[Candidate]] = {}
    for affectation in asked:
        number = affectation.computer
        mine = memberships.get(number, [])
        if number not in situations:
            overrides, of_computer = overrides_by_name(mine, for_groups), own.get(number, {})
            key = tuple(name for name, _ in overrides), tuple(of_computer.items())
            if key not in chosen:
                chosen[key] = choose(everywhere, overrides, of_computer)
            situations[number] = situation(
                chosen[key],
                user_agent=known[number].user_agent,
                last_contact=known[number].last_contact,
                history=histories.get(number, ()),
                unsure=number in unsure,
            )
            rivals[number] = [candidate(a, mine) for a in notified.get(number, [])]
        found = explain(candidate(affectation, mine), rivals[number], situations[number], tx.now)
        result[number, affectation.package] = found
    return result


def situation(
    chosen: Mapping[str, Choice],
    *,
    user_agent: str,
    last_contact: int | None,
    history: Collection[str],
    unsure: bool,
) -> Situation:
    """A computer's side of the decision. `unsure`: somebody must decide first which computer it is."""
    return Situation(
        off=Reason(Cause.NOT_LET_IN) if unsure else switched_off(chosen["DOWNLOAD"]),
        genuine_unix=user_agent.startswith(GENUINE_UNIX),
        history=history,
        last_contact=last_contact,
        prolog_hours=chosen["PROLOG_FREQ"].value,
        period_length=chosen["DOWNLOAD_PERIOD_LENGTH"].value,
    )


def candidate(affectation: Affectation, memberships: Collection[Group]) -> Candidate:
    """A package's side of the decision; `memberships`: the groups that its computer is in now."""
    pack = None
    if affectation.info_location:
        pack = Pack(
            package=affectation.package,
            info_location=affectation.info_location,
            fragment_location=affectation.fragment_location,
            schedule=affectation.schedule,
            post_command=affectation.post_command,
            force=affectation.force,
        )
    return Candidate(
        package=affectation.package,
        name=affectation.package_name,
        priority=affectation.priority,
        stage=affectation.stage,
        notified_at=affectation.notified_at,
        pack=pack,
        status=outcome(affectation.received).status if affectation.stage in FINISHED else "",
        changed_at=affectation.changed_at,
        group=affectation.group_name,
        member=affectation.group is None or affectation.group in {group.id for group in memberships},
        not_before=moment_of(affectation.schedule),
        fragments=affectation.fragments,
        fetched=affectation.fetched,
        fetched_at=affectation.fetched_at,
    )


def overrides_by_name(
    memberships: Collection[Group], for_groups: Mapping[GroupId, Mapping[str, int]]
) -> list[tuple[str, Mapping[str, int]]]:
    """What is set for a computer's groups, as `choose` takes it."""
    return [(group.name, for_groups[group.id]) for group in memberships if group.id in for_groups]


def moment_of(schedule: str) -> int | None:
    """The moment of a schedule in the server's local time, in seconds; None without one."""
    try:
        return int(datetime.strptime(schedule, FORM).timestamp()) if schedule else None
    except (ValueError, OverflowError, OSError):
        return None


def is_moment(schedule: str) -> bool:
    """Whether a schedule is written as agents understand it."""
    return moment_of(schedule) is not None and _FORM.fullmatch(schedule) is not None
