"""Affect, unaffect, validate: which computers a package is for. Source: the manual, "Affecting packages"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.account import Right
from appliance.domain.computer import ComputerId
from appliance.domain.group import GroupId
from appliance.domain.log import Deed
from appliance.domain.package import Package
from appliance.domain.refusal import conflict, invalid
from appliance.domain.status import Stage
from appliance.operations.desk import Desk
from appliance.operations.package_facts import find_package
from appliance.operations.selection import Selection, chosen, find_group
from appliance.operations.why import is_moment
from appliance.store import affectations, group_affectations, groups, log, packages
from appliance.store.database import Tx

__all__ = ["Selection", "Terms", "Validation", "affect", "preview_affect", "preview_validation", "unaffect", "validate"]

LONGEST_COMMAND = 254
AT_ONCE = 5_000  # computers in one statement; between two the progress is told

Progress = Callable[[int, int], None]  # computers done, of so many


@dataclass(frozen=True)
class Terms:
    """How the agent is to treat it: which activation, run again, not before, and what to do after."""

    activation: int | None = None
    force: bool = False
    schedule: str = ""  # YYYY/MM/DD HH:MM
    post_command: str = ""  # REBOOT, SHUTDOWN or a command


class Validation(StrEnum):
    """The three buttons of the manual's statistics page."""

    SUCCESS = "success"
    NOT_NOTIFIED = "not-notified"
    ALL = "all"


# Validate all is "the same as Validate success and Unaffect not notified": errors stay until they are mended.
CLEARED = {
    Validation.SUCCESS: (Stage.SUCCESS, Stage.ALREADY),
    Validation.NOT_NOTIFIED: (Stage.WAITING,),
    Validation.ALL: (Stage.SUCCESS, Stage.ALREADY, Stage.WAITING),
}


@dataclass(frozen=True)
class AffectPreview:
    """What an affectation would do, in computers: `new` get it, `again` get it once more, `unchanged` stay."""

    new: int
    again: int
    unchanged: int


@dataclass(frozen=True)
class ValidationPreview:
    """How many rows each button would clear, and how many it would spare since a group would bring them back."""

    cleared: dict[Validation, int]
    spared: dict[Validation, int]


async def affect(
    desk: Desk, package_id: str, selection: Selection, terms: Terms, progress: Progress | None = None
) -> int:
    """Affect a package: how many computers are told of it anew. Raises Refusal.

    Computers where it is under way stay as they are; an error waits again; what succeeded runs again by force only.
    To a group: its members get it now, those that join later at their contact; what is affected to a computer itself
    stays as it is there, and what a computer has installed does not come again.
    """
    desk.must_have(Right.ADMINISTRATOR)
    _check_terms(terms, selection)
    async with desk.store.writing() as tx:
        package = await _with_activation(tx, package_id, terms.activation)
        numbers = await chosen(tx, desk.actor, selection)
        group = None
        if selection.group:
            group = (await find_group(tx, desk.actor, selection.group)).id
            await group_affectations.affect(
                tx,
                group,
                package.id,
                activation=terms.activation,
                schedule=terms.schedule,
                post_command=terms.post_command,
            )
        changed = 0
        for begin in range(0, len(numbers), AT_ONCE):
            changed += await _affect_some(tx, package, group, numbers[begin : begin + AT_ONCE], terms)
            if progress is not None:
                progress(min(begin + AT_ONCE, len(numbers)), len(numbers))
        await log.append(
            tx,
            desk.actor,
            Deed.PACKAGE_AFFECTED,
            package.id,
            name=package.order.name,
            count=changed,
            **selection.described(),
            **_described(terms),
        )
        return changed


async def preview_affect(
    desk: Desk, package_id: str, selection: Selection, terms: Terms | None = None
) -> AffectPreview:
    """What `affect` would do, in numbers. Raises Refusal as it does."""
    desk.must_have(Right.ADMINISTRATOR)
    terms = terms or Terms()
    _check_terms(terms, selection)
    new = again = 0
    async with desk.store.reading() as tx:
        package = await _with_activation(tx, package_id, terms.activation)
        numbers = await chosen(tx, desk.actor, selection)
        if selection.group:
            group = await find_group(tx, desk.actor, selection.group)
            new, again = await group_affectations.would_arm(
                tx,
                group.id,
                package.id,
                numbers,
                activation=terms.activation,
                schedule=terms.schedule,
                post_command=terms.post_command,
            )
        else:
            new, again = await affectations.would_affect(
                tx,
                package.id,
                numbers,
                activation=terms.activation,
                force=terms.force,
                schedule=terms.schedule,
                post_command=terms.post_command,
            )
    return AffectPreview(new, again, len(numbers) - new - again)


async def unaffect(desk: Desk, package_id: str, selection: Selection, progress: Progress | None = None) -> int:
    """Take a package from computers, whatever its stage there: how many. Raises Refusal.

    From a group: what waits for the group's sake goes, what was notified goes on. A row that came from a group and is
    taken from a computer alone comes back at its next contact.
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        gone = 0
        if selection.group:
            group = await find_group(tx, desk.actor, selection.group)
            was, gone = await group_affectations.take_away(tx, group.id, package.id)
            if not was:
                raise conflict(
                    "package {package} is not affected to the group {group!r}.", package=package.id, group=group.name
                )
        else:
            numbers = await chosen(tx, desk.actor, selection)
            for begin in range(0, len(numbers), AT_ONCE):
                some = numbers[begin : begin + AT_ONCE]
                gone += await affectations.unaffect(tx, package.id, computers=some)
                if progress is not None:
                    progress(min(begin + AT_ONCE, len(numbers)), len(numbers))
        await log.append(
            tx,
            desk.actor,
            Deed.PACKAGE_UNAFFECTED,
            package.id,
            name=package.order.name,
            count=gone,
            **selection.described(),
        )
        return gone


async def validate(desk: Desk, package_id: str, validation: Validation) -> int:
    """Clear statistics as the manual's buttons do: how many rows went. Raises Refusal.

    Rows that a group would bring back at the next contact stay: their programs would run once more (protocol.md 6).
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        gone = await affectations.unaffect(tx, package.id, stages=CLEARED[validation], spare_groups=True)
        await log.append(
            tx,
            desk.actor,
            Deed.STATISTICS_VALIDATED,
            package.id,
            name=package.order.name,
            button=validation.value,
            count=gone,
        )
        return gone


async def preview_validation(desk: Desk, package_id: str) -> ValidationPreview:
    """What each of the three buttons would do, in numbers. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        counts = (await affectations.counts(tx, package.id)).get(package.id, {})
        held = await affectations.held_by_groups(tx, package.id)
    spared = {button: sum(held.get(stage, 0) for stage in stages) for button, stages in CLEARED.items()}
    found = {button: sum(counts.get(stage, 0) for stage in stages) for button, stages in CLEARED.items()}
    return ValidationPreview({button: found[button] - spared[button] for button in CLEARED}, spared)


async def arm_members(tx: Tx, group: GroupId, joined: Sequence[ComputerId]) -> None:
    """Computers were put into a group by hand: those that are members now get what is affected to it."""
    if not await group_affectations.affectations(tx, group=group):
        return
    found = await groups.find(tx, group)
    assert found is not None
    for begin in range(0, len(joined), AT_ONCE):
        members = await groups.among(tx, [found], joined[begin : begin + AT_ONCE])
        await group_affectations.arm(tx, [group], list(members))


async def _affect_some(
    tx: Tx, package: Package, group: GroupId | None, some: Sequence[ComputerId], terms: Terms
) -> int:
    if group is not None:
        return await group_affectations.arm(tx, [group], some, package=package.id, again=True)
    return await affectations.affect(
        tx,
        package.id,
        some,
        activation=terms.activation,
        force=terms.force,
        schedule=terms.schedule,
        post_command=terms.post_command,
    )


async def _with_activation(tx: Tx, package_id: str, activation: int | None) -> Package:
    package = await find_package(tx, package_id)
    if activation is not None and activation not in {known.id for known in await packages.activations(tx, package.id)}:
        raise conflict("package {package} has no activation {activation}.", package=package.id, activation=activation)
    return package


def _check_terms(terms: Terms, selection: Selection) -> None:
    if terms.force and selection.group:
        raise invalid("force", "a group cannot force: members that have it installed keep it; force it on computers.")
    if terms.schedule and not is_moment(terms.schedule):
        raise invalid("schedule", "{schedule!r} is not YYYY/MM/DD HH:MM.", schedule=terms.schedule[:40])
    if len(terms.post_command) > LONGEST_COMMAND or not terms.post_command.isprintable():
        raise invalid(
            "post-command",
            "it has control characters or more than {longest_command} characters.",
            longest_command=LONGEST_COMMAND,
        )


def _described(terms: Terms) -> dict[str, object]:
    """What the log says of the terms that were chosen."""
    found: dict[str, object] = {}
    if terms.activation is not None:
        found["activation"] = terms.activation
    if terms.force:
        found["force"] = "yes"
    if terms.schedule:
        found["schedule"] = terms.schedule
    if terms.post_command:
        found["post_command"] = terms.post_command
    return found
