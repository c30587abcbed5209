"""What is known about packages: list, details, statistics counted from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.affectation import Activation, Affectation
from appliance.domain.computer import Computer
from appliance.domain.eligibility import BUSY_SECONDS, GENUINE_UNIX, Reason, explain
from appliance.domain.package import Package
from appliance.domain.refusal import missing
from appliance.domain.status import SHOWN, Stage, outcome
from appliance.domain.tempo import resolve
from appliance.operations.desk import Desk
from appliance.store import affectations, computers, configuration, packages
from appliance.store.database import Tx


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


async def find_package(tx: Tx, package_id: str) -> Package:
    """The package with that id. Raises Refusal(MISSING)."""
    package = await packages.find(tx, package_id)
    if package is None:
        raise missing(
            "there is no package {package_id!r}; 'package list' shows those that are there.", package_id=package_id[:40]
        )
    return package


async def list_packages(desk: Desk) -> list[PackageFacts]:
    """All packages, newest first."""
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
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        counts = (await affectations.counts(tx)).get(package.id, {})
        return PackageFacts(package, tuple(await packages.activations(tx, package.id)), tally(counts))


async def package_stats(desk: Desk, package_id: str) -> tuple[PackageFacts, list[Stand]]:
    """A package with the standing of each of its computers, by computer name. Raises Refusal(MISSING)."""
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        standings = await affectations.of_package(tx, package.id)
        everywhere = (await configuration.settings(tx)).knobs()
        own = await computers.every_override(tx, package.id)
        at_work = await affectations.at_work(tx, package.id, tx.now - BUSY_SECONDS)
        stages: dict[Stage, int] = {}
        lines = []
        for s in standings:
            stages[s.affectation.stage] = stages.get(s.affectation.stage, 0) + 1
            busy = at_work.get(s.affectation.computer, "") if s.user_agent.startswith(GENUINE_UNIX) else ""
            lines.append(
                stand(
                    s.affectation,
                    computer=s.computer_name,
                    device_id=s.device_id,
                    on=resolve(everywhere, (), own.get(s.affectation.computer))["DOWNLOAD"] == 1,
                    busy_with=busy,
                    last_contact=s.last_contact if s.last_inventory else None,
                )
            )
        activations = tuple(await packages.activations(tx, package.id))
        return PackageFacts(package, activations, tally(stages)), lines


def stand(
    affectation: Affectation,
    *,
    computer: str,
    device_id: str,
    on: bool,
    busy_with: str,
    last_contact: int | None,
) -> Stand:
    """An affectation in the manual's words, with the reason why it stands there."""
    stage = affectation.stage
    status = SHOWN.get(stage) or outcome(affectation.received).status
    why = explain(
        stage,
        status,
        activated=bool(affectation.info_location),
        on=on,
        busy_with=busy_with,
        last_contact=last_contact,
        at=affectation.notified_at if stage is Stage.NOTIFIED else affectation.changed_at,
    )
    return Stand(
        computer,
        device_id,
        affectation.package,
        affectation.package_name,
        stage,
        status,
        affectation.received,
        affectation.changed_at,
        why,
    )


def stands_of_computer(
    unfinished_and_done: Sequence[Affectation], *, computer: Computer, on: bool, now: int
) -> list[Stand]:
    """The standing of every package of one computer; what holds one back is another in the same list."""
    at_work = [
        a
        for a in unfinished_and_done
        if a.stage is Stage.NOTIFIED and a.info_location and a.notified_at and now - a.notified_at < BUSY_SECONDS
    ]
    result = []
    for affectation in unfinished_and_done:
        others = [a.package_name for a in at_work if a.package != affectation.package]
        busy = others[0] if others and computer.user_agent.startswith(GENUINE_UNIX) else ""
        result.append(
            stand(
                affectation,
                computer=computer.name,
                device_id=computer.device_id,
                on=on,
                busy_with=busy,
                last_contact=computer.last_contact if computer.last_inventory else None,
            )
        )
    return result


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
