"""A computer opens a contact: note it, decide what it is told. Source: protocol.md 2.2, 3, 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.domain.computer import Computer
from appliance.domain.eligibility import announce
from appliance.domain.group import Group
from appliance.domain.messages import Pack, Prolog, PrologReply
from appliance.domain.status import IN_HISTORY, Event, Stage, move
from appliance.domain.tempo import Choice, choose, resolve, tempo_of
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller, posting, withheld
from appliance.operations.rotation import note_known
from appliance.operations.why import candidate, situation
from appliance.store import affectations, computers, configuration, group_affectations, groups
from appliance.store.database import Tx

DAY = 86_400


async def answer_contact(desk: Desk, prolog: Prolog, caller: Caller) -> PrologReply:
    """The reply to a PROLOG. A computer that was never inventoried is asked for its inventory and kept from then on.

    Raises Refusal where whoever calls does not prove to be that computer.
    """
    async with posting(desk, prolog.device_id, caller) as tx:
        settings = await configuration.settings(tx)
        everywhere = settings.knobs()
        computer = await computers.find(tx, prolog.device_id)
        if computer is None:
            return _reply(resolve(everywhere), wanted=everywhere["FREQUENCY"] != -1)
        await computers.seen(tx, computer.id, caller.user_agent, caller.address)
        await note_known(tx, computer.id, caller.authorities)
        member_of = (await groups.of_computers(tx, [computer.id], in_use=True)).get(computer.id, [])
        ids = [group.id for group in member_of]
        for_groups = await groups.overrides(tx, ids) if ids else []
        chosen = choose(everywhere, for_groups, await computers.overrides(tx, computer.id))
        if ids:  # who joined a group since the last contact gets what the group gets
            await group_affectations.arm(tx, ids, [computer.id], all_groups=True)
        unsure = bool(await withheld(tx, [computer.id], settings))
        packs = await _announce(tx, computer, caller, chosen, member_of, unsure=unsure)
        knobs = {name: choice.value for name, choice in chosen.items()}
        return _reply(knobs, wanted=_inventory_wanted(computer, knobs["FREQUENCY"], tx.now), packs=packs)


async def _announce(
    tx: Tx,
    computer: Computer,
    caller: Caller,
    chosen: Mapping[str, Choice],
    member_of: Sequence[Group],
    *,
    unsure: bool,
) -> tuple[Pack, ...]:
    unfinished = await affectations.of_computer(tx, computer.id, unfinished=True)
    if not unfinished:
        return ()
    verdict = announce(
        [candidate(affectation, member_of) for affectation in unfinished],
        situation(
            chosen,
            user_agent=caller.user_agent,
            last_contact=tx.now,
            history=await computers.history(tx, computer.id),
            unsure=unsure,
        ),
        tx.now,
    )
    stages = {affectation.package: affectation.stage for affectation in unfinished}
    there = {package: move(stages[package], Event.WAS_THERE) or stages[package] for package in verdict.already}
    fresh = [pack.package for pack in verdict.announced if stages[pack.package] is Stage.WAITING]
    if there:
        await affectations.were_there(tx, computer.id, there, IN_HISTORY)
    if fresh:
        await affectations.notified(tx, computer.id, fresh)
    return verdict.announced


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
