"""Affect, unaffect, validate: which computers a package is for. Source: the manual, "Affecting packages"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.computer import ComputerId
from appliance.domain.refusal import conflict, invalid
from appliance.domain.search import Criterion
from appliance.domain.status import Stage
from appliance.operations.computers import find_computer
from appliance.operations.desk import Desk
from appliance.operations.package_facts import find_package
from appliance.store import affectations, packages, search
from appliance.store.database import Tx

LONGEST_COMMAND = 254


@dataclass(frozen=True)
class Selection:
    """Whom a package is for: computers by name or DEVICEID, or all that fit the criteria (none: all)."""

    computers: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    everyone: bool = False


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


async def affect(desk: Desk, package_id: str, selection: Selection, terms: Terms) -> int:
    """Affect a package: how many computers are told of it anew. Raises Refusal.

    Computers where it is under way stay as they are; an error waits again; what succeeded runs again by force only.
    """
    _check_terms(terms)
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        if terms.activation is not None and terms.activation not in {
            activation.id for activation in await packages.activations(tx, package.id)
        }:
            raise conflict(
                "package {package} has no activation {activation}.", package=package.id, activation=terms.activation
            )
        return await affectations.affect(
            tx,
            package.id,
            await _chosen(tx, selection),
            activation=terms.activation,
            force=terms.force,
            schedule=terms.schedule,
            post_command=terms.post_command,
        )


async def unaffect(desk: Desk, package_id: str, selection: Selection) -> int:
    """Take a package from computers, whatever its stage there: how many. Raises Refusal."""
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        return await affectations.unaffect(tx, package.id, computers=await _chosen(tx, selection))


async def validate(desk: Desk, package_id: str, validation: Validation) -> int:
    """Clear statistics as the manual's buttons do: how many rows went. Raises Refusal.

    Validate all is "the same as Validate success and Unaffect not notified": errors stay until they are mended.
    """
    success, waiting = [Stage.SUCCESS, Stage.ALREADY], [Stage.WAITING]
    stages = {
        Validation.SUCCESS: success,
        Validation.NOT_NOTIFIED: waiting,
        Validation.ALL: success + waiting,
    }[validation]
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        return await affectations.unaffect(tx, package.id, stages=stages)


async def _chosen(tx: Tx, selection: Selection) -> Sequence[ComputerId]:
    if selection.computers:
        return list(dict.fromkeys([(await find_computer(tx, name)).id for name in selection.computers]))
    if not selection.criteria and not selection.everyone:
        raise invalid("computer", "say which computers: --computer, --search or --all.")
    return await search.numbers(tx, selection.criteria)


def _is_moment(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y/%m/%d %H:%M")
    except ValueError:
        return False
    return re.fullmatch(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}", text) is not None


def _check_terms(terms: Terms) -> None:
    if terms.schedule and not _is_moment(terms.schedule):
        raise invalid("schedule", "{schedule!r} is not YYYY/MM/DD HH:MM.", schedule=terms.schedule[:40])
    if len(terms.post_command) > LONGEST_COMMAND or not terms.post_command.isprintable():
        raise invalid(
            "post-command",
            "it has control characters or more than {longest_command} characters.",
            longest_command=LONGEST_COMMAND,
        )
