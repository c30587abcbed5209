"""Whose post it is: what a certificate proves, what a post without one may do, and the doubts that people decide.

Source: security.md 5.2 and A13, R12, R38. How a computer gets its certificate is join's business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.computer import Computer, ComputerId
from appliance.domain.identity import ACCEPT, AgentPassword, Case, Decision, Doubt, JoinToken, Member, Mode, rule
from appliance.domain.log import Deed
from appliance.domain.messages import DeviceId
from appliance.domain.network import everywhere, kept_networks
from appliance.domain.refusal import Refusal, conflict, forbidden, invalid, missing
from appliance.operations.agent_passwords import turned_away
from appliance.operations.desk import Desk
from appliance.settings import Settings
from appliance.store import agent_passwords, computers, configuration, identity, log
from appliance.store.database import Tx
from appliance.wire.basic import Credentials

SHOWN = 200  # doubts on the page
TURNS = 2  # so often back to what it was: then it is no accident
CLONE_SECONDS = 86_400
ADDRESS_SECONDS = 3600


@dataclass(frozen=True)
class Caller:
    """Who is at the other end, as it calls itself, and where it calls from. `certificate`: SHA-256, verified by TLS.

    `authorities`: SHA-256 of those that our agent says it verifies servers with. `credentials`: None over plain HTTP.
    """

    user_agent: str
    address: str
    certificate: str = ""
    authorities: tuple[str, ...] = ()
    is_secure: bool = False  # it came over TLS
    credentials: Credentials | None = None


@asynccontextmanager
async def posting(desk: Desk, device_id: DeviceId, caller: Caller) -> AsyncIterator[Tx]:
    """The transaction of one post in the name of a computer, which whoever calls may speak for.

    Raises Refusal(FORBIDDEN) where that is not so; then the doubt is kept and nothing else changes.
    """
    async with desk.store.writing() as tx:
        refusal = await _refused(tx, device_id, caller)
        if refusal is None:
            yield tx
            return
    raise refusal


async def _refused(tx: Tx, device_id: DeviceId, caller: Caller) -> Refusal | None:
    computer = await computers.find(tx, device_id)
    if caller.certificate:
        return await _not_proven(tx, computer, caller)
    if computer is not None and await identity.is_member(tx, computer.id):
        await identity.note(
            tx, Doubt.IMPOSTOR, computer.id, address=caller.address, detail=caller.user_agent
        )  # fmt: skip
        return forbidden("this computer joined: it proves who it is with its certificate, over https.")
    settings = await configuration.settings(tx)
    if mode_of(settings) is not Mode.CLOSED:
        return None
    return await turned_away(tx, settings, caller.address, caller.credentials, is_secure=caller.is_secure)


async def _not_proven(tx: Tx, computer: Computer | None, caller: Caller) -> Refusal | None:
    holder = await identity.holder(tx, caller.certificate)
    if holder is None or holder.expires_at <= tx.now:
        return forbidden("this certificate is no longer that of a computer that joined; let it join again.")
    if computer is None or computer.id != holder.computer:
        detail = computer.device_id if computer else ""
        await identity.note(tx, Doubt.CLONE, holder.computer, address=caller.address, detail=detail, held=True)
        return forbidden("this certificate is another computer's.")
    if holder.used_at is None:
        await identity.first_used(tx, holder.computer, caller.certificate)
    if caller.address:
        turns = await identity.sighted(tx, "address", computer.id, caller.address, ADDRESS_SECONDS)
        if turns >= TURNS:
            await identity.note(tx, Doubt.ADDRESS, computer.id, address=caller.address, detail=caller.user_agent)
    return None


def mode_of(settings: Settings) -> Mode:
    """What posts may do that prove nothing."""
    return Mode(settings.text("IDENTITY_MODE"))


async def withheld(tx: Tx, among: Sequence[ComputerId], settings: Settings) -> set[ComputerId]:
    """To whom nothing is announced until somebody decided who it is."""
    return await identity.held(tx, among) if mode_of(settings) in (Mode.PROTECT, Mode.CLOSED) else set()


async def claims(
    tx: Tx, own: Computer | None, claimed: Iterable[Computer], settings: Settings
) -> tuple[list[Computer], list[Computer]]:
    """Of the records that a post wants to take over, those that it may, and those that it may not.

    `own`: the record that it has already.
    """
    mode, joined = mode_of(settings), own is not None and await identity.is_member(tx, own.id)
    taken, left = list[Computer](), list[Computer]()
    for other in claimed:
        ruling = rule(mode, joined=joined or await identity.is_member(tx, other.id))
        (taken if ruling.happens else left).append(other)
    return taken, left


async def tell_of_claims(
    tx: Tx,
    doubt: Doubt,
    own: ComputerId,
    taken: Iterable[Computer],
    left: Iterable[Computer],
    caller: Caller,
    settings: Settings,
) -> None:
    """Keep what was let through, where the mode says so, and what waits for a decision."""
    if rule(mode_of(settings), joined=False).is_noted:
        for other in taken:
            await identity.note(
                tx, doubt, own, address=caller.address, detail=other.device_id, decision=Decision.HAPPENED
            )
    for other in left:
        await identity.note(tx, doubt, own, other=other.id, address=caller.address, detail=caller.user_agent)


async def newcomer(tx: Tx, computer: ComputerId, caller: Caller, settings: Settings) -> None:
    """A computer was never seen before: where the mode says so, it waits to be let in."""
    if mode_of(settings) is Mode.PROTECT:
        await identity.note(
            tx, Doubt.NEW, computer, address=caller.address, detail=caller.user_agent, held=True
        )  # fmt: skip


async def look_for_clones(tx: Tx, computer: ComputerId, facts: Mapping[str, str], caller: Caller) -> None:
    """Note where two computers take turns under one DEVICEID.

    `facts`: what two computers do not share, the best one first; of what a message does not say nothing is thought.
    """
    what = next((name for name, fact in facts.items() if fact), "")
    if not what:
        return
    if await identity.sighted(tx, what, computer, facts[what], CLONE_SECONDS) >= TURNS:
        detail = f"{what} {facts[what]}"[:255]
        await identity.note(tx, Doubt.CLONE, computer, address=caller.address, detail=detail, held=True)


# What people see and decide


@dataclass(frozen=True)
class Standing:
    """The mode, the doubts, the tokens, and how many computers joined; what else mode closed lets in.

    `everywhere`: those of the networks that have every address of their kind in them.
    """

    mode: Mode
    cases: tuple[Case, ...]
    waiting: int
    tokens: tuple[JoinToken, ...]
    joined: int
    networks: str
    everywhere: tuple[str, ...]
    passwords: tuple[AgentPassword, ...]


async def standing(desk: Desk) -> Standing:
    """How identity stands. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        settings = await configuration.settings(tx)
        networks = settings.text("IDENTITY_NETWORKS")
        return Standing(
            mode_of(settings),
            tuple(await identity.cases(tx, SHOWN)),
            await identity.open_count(tx),
            tuple(await identity.tokens(tx)),
            len(await identity.members(tx)),
            networks,
            tuple(everywhere(kept_networks(networks))),
            tuple(await agent_passwords.every(tx)),
        )


async def members(desk: Desk) -> dict[ComputerId, Member]:
    """The computers that joined."""
    async with desk.store.reading() as tx:
        return await identity.members(tx)


@dataclass(frozen=True)
class Identity:
    """What is known of who a computer is. `member` None: it proves nothing."""

    member: Member | None
    cases: tuple[Case, ...]


async def identity_of(desk: Desk, computer: ComputerId) -> Identity:
    """One computer's."""
    async with desk.store.reading() as tx:
        cases = await identity.cases(tx, SHOWN, computer=computer)
        return Identity(await identity.member(tx, computer), tuple(cases))


async def decide(desk: Desk, number: int, *, accept: bool) -> Case:
    """Decide a doubt that waits. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        found = await identity.case(tx, number)
        if found is None:
            raise missing("that question is no longer there.")
        if found.decision is not Decision.OPEN:
            raise conflict("that was decided already, by {who}.", who=found.decided_by or "ocs.pyz")
        if accept and ACCEPT[found.doubt] is None:
            raise invalid("decision", "there is nothing to accept.")
        decision = Decision.ACCEPTED if accept else Decision.REFUSED
        stays = found.doubt is Doubt.NEW and not accept
        await identity.decide(tx, number, decision, desk.actor.name, held=stays)
        if accept and found.doubt is Doubt.IMPOSTOR:
            await identity.end_membership(tx, found.computer)
        elif accept and found.other is not None:
            await computers.absorb(tx, found.computer, found.other)
            await identity.let_in(tx, found.computer, desk.actor.name)
        await log.append(
            tx,
            desk.actor,
            Deed.IDENTITY_DECIDED,
            found.device_id,
            question=found.doubt.value,
            decision=decision.value,
            other=found.other_device_id,
        )
    return found


async def end_membership(desk: Desk, computer: ComputerId) -> None:
    """A computer's certificates are void at once; it goes on as one that did not join. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        ended = await identity.member(tx, computer)
        if ended is None or not await identity.end_membership(tx, computer):
            raise missing("this computer did not join.")
        await log.append(tx, desk.actor, Deed.MEMBERSHIP_ENDED, str(computer), serial=ended.serial)
