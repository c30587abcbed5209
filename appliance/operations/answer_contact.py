"""A computer opens a contact: note it, decide what it is told. Source: protocol.md 2.2, 3, 6."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.affectation import Affectation
from appliance.domain.computer import Computer
from appliance.domain.eligibility import GENUINE_UNIX, Candidate, announce
from appliance.domain.messages import Pack, Prolog, PrologReply
from appliance.domain.status import IN_HISTORY, Event, Stage, move
from appliance.domain.tempo import resolve, tempo_of
from appliance.operations.desk import Desk
from appliance.store import affectations, computers, configuration
from appliance.store.database import Tx

DAY = 86_400


@dataclass(frozen=True)
class Caller:
    """Who is at the other end, as it calls itself, and where it calls from."""

    user_agent: str
    address: str


async def answer_contact(desk: Desk, prolog: Prolog, caller: Caller) -> PrologReply:
    """The reply to a PROLOG. A computer that was never inventoried is asked for its inventory and kept from then on."""
    async with desk.store.writing() as tx:
        everywhere = (await configuration.settings(tx)).knobs()
        computer = await computers.find(tx, prolog.device_id)
        if computer is None:
            return _reply(resolve(everywhere), wanted=everywhere["FREQUENCY"] != -1)
        await computers.seen(tx, computer.id, caller.user_agent, caller.address)
        knobs = resolve(everywhere, (), await computers.overrides(tx, computer.id))
        packs = await _announce(tx, computer, caller, on=knobs["DOWNLOAD"] == 1)
        return _reply(knobs, wanted=_inventory_wanted(computer, knobs["FREQUENCY"], tx.now), packs=packs)


async def _announce(tx: Tx, computer: Computer, caller: Caller, *, on: bool) -> tuple[Pack, ...]:
    unfinished = await affectations.of_computer(tx, computer.id, unfinished=True)
    if not unfinished:
        return ()
    verdict = announce(
        [_candidate(affectation) for affectation in unfinished],
        await computers.history(tx, computer.id),
        on=on,
        genuine_unix=caller.user_agent.startswith(GENUINE_UNIX),
        now=tx.now,
    )
    stages = {affectation.package: affectation.stage for affectation in unfinished}
    for package in verdict.already:
        stage = move(stages[package], Event.WAS_THERE)
        assert stage is not None
        await affectations.finish(tx, computer.id, package, stage, IN_HISTORY)
        await affectations.note(tx, computer.id, package, "result", IN_HISTORY)
    for pack in verdict.announced:
        if move(stages[pack.package], Event.ANNOUNCED) is Stage.NOTIFIED:
            await affectations.notified(tx, computer.id, pack.package)
    return verdict.announced


def _candidate(affectation: Affectation) -> Candidate:
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
        affectation.package,
        affectation.package_name,
        affectation.priority,
        affectation.stage,
        affectation.notified_at,
        pack,
    )


def _inventory_wanted(computer: Computer, frequency_days: int, now: int) -> bool:
    if frequency_days == -1:
        return False
    if frequency_days == 0 or computer.last_inventory is None:
        return True
    return now - computer.last_inventory > frequency_days * DAY


def _reply(knobs: dict[str, int], *, wanted: bool, packs: tuple[Pack, ...] = ()) -> PrologReply:
    return PrologReply(
        inventory_wanted=wanted,
        prolog_hours=knobs["PROLOG_FREQ"],
        on_startup=knobs["INVENTORY_ON_STARTUP"] == 1,
        tempo=tempo_of(knobs),  # always: without it a genuine Unix agent expires every package (checklist 8)
        packs=packs,
    )
