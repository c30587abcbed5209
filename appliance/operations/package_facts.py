"""What is known about packages: list, details, statistics counted from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from appliance.domain.account import Right
from appliance.domain.affectation import Activation, Standing
from appliance.domain.computer import Computer
from appliance.domain.eligibility import Reason
from appliance.domain.package import Package
from appliance.domain.refusal import missing
from appliance.domain.status import SHOWN, Stage, outcome
from appliance.operations.desk import Desk
from appliance.operations.why import Seen, reasons
from appliance.store import affectations, packages
from appliance.store.database import Tx

MANY = 20_000  # computers whose reasons are worked out together
LARGEST_PAGE = 1_000


@dataclass(frozen=True)
class Counts:
    """How many computers stand where; the four add up to the computers affected. `already` is part of success."""

    waiting: int = 0
    notified: int = 0
    success: int = 0
    error: int = 0
    already: int = 0


@dataclass(frozen=True)
class PackageFacts:
    """A package with its activations and counts."""

    package: Package
    activations: tuple[Activation, ...]
    counts: Counts


@dataclass(frozen=True)
class Stand:
    """One computer's line in a package's statistics, or one package's line in a computer's."""

    computer: str
    device_id: str
    package: str
    package_name: str
    stage: Stage
    status: str  # in the manual's words
    received: str  # as the agent sent it
    at: int  # last change, seconds
    why: Reason
    group: str = ""  # the group it came from
    computer_id: int = 0


@dataclass(frozen=True)
class StatusCount:
    """How many computers stand at a stage with a code: `status` in the manual's words, `received` as it was sent."""

    stage: Stage
    status: str
    received: str
    count: int


@dataclass(frozen=True)
class Statistics:
    """A package in numbers; `statuses` has the most frequent first."""

    facts: PackageFacts
    statuses: tuple[StatusCount, ...]


@dataclass(frozen=True)
class StandPage:
    """Some of a package's computers by name, and how many there are in all. Pages count from 1."""

    stands: tuple[Stand, ...]
    total: int
    page: int
    size: int


class Point(NamedTuple):
    """How far a package was at a moment: how many computers had succeeded, had failed, had been notified by then."""

    moment: int
    succeeded: int
    failed: int
    notified: int


async def find_package(tx: Tx, package_id: str) -> Package:
    """The package with that id. Raises Refusal(MISSING)."""
    package = await packages.find(tx, package_id)
    if package is None:
        raise missing(
            "there is no package {package_id!r}; 'package list' shows those that are there.", package_id=package_id[:40]
        )
    return package


async def list_packages(desk: Desk) -> list[PackageFacts]:
    """All packages, newest first. Raises Refusal for whoever is no administrator, as all of this module."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        activations: dict[str, list[Activation]] = {}
        for activation in await packages.activations(tx):
            activations.setdefault(activation.package, []).append(activation)
        counts = await affectations.counts(tx)
        return [
            PackageFacts(package, tuple(activations.get(package.id, ())), tally(counts.get(package.id, {})))
            for package in await packages.every(tx)
        ]


async def show_package(desk: Desk, package_id: str) -> PackageFacts:
    """One package. Raises Refusal(MISSING)."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        return await _facts(tx, package_id)


async def package_stats(desk: Desk, package_id: str) -> tuple[PackageFacts, list[Stand]]:
    """A package with the standing of all its computers, by computer name: for scripts. Raises Refusal(MISSING)."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        facts = await _facts(tx, package_id)
        standings = await affectations.of_package(tx, facts.package.id)
        lines: list[Stand] = []
        for begin in range(0, len(standings), MANY):
            lines += await _stands(tx, standings[begin : begin + MANY])
        return facts, lines


async def package_counts(desk: Desk, package_id: str) -> Statistics:
    """A package in numbers, per stage and per code. Raises Refusal(MISSING)."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        facts = await _facts(tx, package_id)
        statuses = [
            StatusCount(stage, shown_status(stage, received), received, count)
            for stage, received, count in await affectations.codes(tx, facts.package.id)
        ]
        return Statistics(facts, tuple(statuses))


async def package_computers(
    desk: Desk, package_id: str, *, stage: Stage | None = None, status: str | None = None, page: int = 1, size: int = 50
) -> StandPage:
    """One page of a package's computers with their reasons: all, in one stage, or of one status. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    page, size = max(1, page), max(1, min(size, LARGEST_PAGE))
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        received = None
        if status is not None:
            codes = [
                (s, code) for s, code, _ in await affectations.codes(tx, package.id) if shown_status(s, code) == status
            ]
            unfinished = {s for s, _ in codes if s in SHOWN}
            stage = unfinished.pop() if unfinished else stage
            received = None if stage in SHOWN else [code for _, code in codes]
        total = await affectations.count_of_package(tx, package.id, stage=stage, received=received)
        page = min(page, max(1, -(-total // size)))  # rows may have gone since the link was made
        standings = await affectations.of_package(
            tx, package.id, stage=stage, received=received, offset=(page - 1) * size, limit=size, total=total
        )
        return StandPage(tuple(await _stands(tx, standings)), total, page, size)


async def package_progress(desk: Desk, package_id: str, points: int = 60) -> list[Point]:
    """How a package went on over time, in at most so many points. Raises Refusal(MISSING)."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        span = await affectations.span(tx, package.id)
        if span is None:
            return []
        begin, end = span
        step = -(-(end - begin + 1) // points)
        steps = (end - begin) // step + 1
        sums: dict[int, dict[str, int]] = {}
        for number, kind, count in await affectations.over_time(tx, package.id, begin, step, steps):
            sums.setdefault(number, {})[kind] = count
    result: list[Point] = []
    so_far = {"success": 0, "already": 0, "error": 0, "notified": 0}
    for number in range(steps):
        for kind, count in sums.get(number, {}).items():
            so_far[kind] += count
        moment = min(end, begin + (number + 1) * step - 1)
        result.append(Point(moment, so_far["success"] + so_far["already"], so_far["error"], so_far["notified"]))
    return result


async def stands_of_computer(tx: Tx, computer: Computer) -> list[Stand]:
    """The standing of every package of one computer, in the order of priority."""
    return await _stands(
        tx,
        [
            Standing(
                affectation,
                computer.name,
                computer.device_id,
                computer.user_agent,
                computer.last_contact,
                computer.last_inventory,
            )
            for affectation in await affectations.of_computer(tx, computer.id)
        ],
    )


async def _facts(tx: Tx, package_id: str) -> PackageFacts:
    package = await find_package(tx, package_id)
    counts = (await affectations.counts(tx, package.id)).get(package.id, {})
    return PackageFacts(package, tuple(await packages.activations(tx, package.id)), tally(counts))


async def _stands(tx: Tx, standings: Sequence[Standing]) -> list[Stand]:
    """Standings in the manual's words, each with the reason why it is there."""
    seen = {
        s.affectation.computer: Seen(s.affectation.computer, s.user_agent, s.last_contact if s.last_inventory else None)
        for s in standings
    }
    whys = await reasons(tx, list(seen.values()), [s.affectation for s in standings])
    return [
        Stand(
            s.computer_name,
            s.device_id,
            s.affectation.package,
            s.affectation.package_name,
            s.affectation.stage,
            shown_status(s.affectation.stage, s.affectation.received),
            s.affectation.received,
            s.affectation.changed_at,
            whys[s.affectation.computer, s.affectation.package],
            s.affectation.group_name,
            s.affectation.computer,
        )
        for s in standings
    ]


def shown_status(stage: Stage, received: str) -> str:
    """What stands in a status column, in the manual's words."""
    return SHOWN.get(stage) or outcome(received).status


def tally(stages: dict[Stage, int]) -> Counts:
    """The four numbers of the manual's statistics; a package that was there already counts as a success."""
    already = stages.get(Stage.ALREADY, 0)
    return Counts(
        waiting=stages.get(Stage.WAITING, 0),
        notified=stages.get(Stage.NOTIFIED, 0),
        success=stages.get(Stage.SUCCESS, 0) + already,
        error=stages.get(Stage.ERROR, 0),
        already=already,
    )
