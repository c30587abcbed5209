"""Which packages may move now, and why the others may not: as values and as sentences. Pure.

Source: the manual, "How does it work?" and "Affect"; security.md 3.2. `agent status` says the same as the driver does.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.agent.failure import Failure
from appliance.agent.memory import Memory
from appliance.agent.notice_text import duration
from appliance.agent.record import TOLD, Phase, Record
from appliance.agent.schedule import moment
from appliance.agent.spool import Holding
from appliance.clock import stamp
from appliance.domain.cycle import Parcel, longest_wait
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo


def starts_at(record: Record) -> int:
    """The moment before which a package is not performed; 0: any. What is no moment was refused when announced."""
    try:
        return moment(record.pack.schedule)
    except Failure:
        return 0


def is_held(holding: Holding, contacts: int, now: int) -> bool:
    """Whether a package that is whole waits for its moment, or for the contact to which it was put off."""
    at = holding.record
    put_off = at.delays > 0 and at.delayed_in == contacts
    return not holding.missing and (put_off or now < starts_at(at))


def ready(holdings: Iterable[Holding], contacts: int, now: int) -> list[Parcel]:
    """What may move now, for domain/cycle. What is held does not hold others back, not even with priority 0."""
    return [
        Parcel(holding.record.package, holding.info.priority, tuple(holding.missing[:1]))
        for holding in holdings
        if holding.info is not None and holding.is_under_way and not is_held(holding, contacts, now)
    ]


def next_start(holdings: Iterable[Holding], contacts: int, now: int) -> int | None:
    """The earliest moment at which a package may be performed that now waits for nothing else."""
    moments = [
        starts_at(holding.record)
        for holding in holdings
        if holding.is_under_way
        and not holding.missing
        and not (holding.record.delays > 0 and holding.record.delayed_in == contacts)
        and starts_at(holding.record) > now
    ]
    return min(moments, default=None)


def reason(holding: Holding, others: Iterable[Holding], memory: Memory, now: int) -> str:
    """One sentence: what comes next for a package, and what it waits for."""
    at, info, tempo = holding.record, holding.info, memory.tempo or Tempo()
    if at.phase is Phase.RESULT:
        trouble = f" The last contact failed: {memory.trouble}" if memory.trouble else ""
        return f"Waits for the server, which has not acknowledged its result yet.{trouble}"
    if at.owes_post:
        return f"The server knows its result; now {at.pack.post_command!r} is to run."
    if at.phase in TOLD:
        return "Done and told; what is left of its folder is removed at the next start."
    if at.phase is Phase.EXITED:
        return "Its command has ended; the result is about to be told."
    if at.phase in (Phase.ARMED, Phase.STARTED):
        return f"Its command is running, since {stamp(at.at)}" + (f" as process {at.pid}." if at.pid else ".")
    if info is None:
        return "Waits for a contact: its info file is not here yet."
    if not tempo.on:
        return "Waits: deployment is switched off by the server (DOWNLOAD is 0)."
    if is_held(holding, memory.contacts, now):
        if now < starts_at(at):
            return f"All of it is here; it waits for its schedule, {stamp(starts_at(at))}."
        times = f"{at.delays} time{'s' * (at.delays != 1)}"
        return f"The person at the computer put it off ({times}); it is asked again after the next contact."
    urgent = _urgent(at.package, info.priority, others, memory.contacts, now)
    if urgent:
        return f"Held back by {urgent}, which has priority 0 and goes first, alone."
    return _pace(holding, info.priority, info.fragments, tempo)


def _urgent(package: PackageId, priority: int, others: Iterable[Holding], contacts: int, now: int) -> str:
    names = [parcel.package for parcel in ready(others, contacts, now) if parcel.priority == 0]
    return ", ".join(name for name in names if name != package) if priority else ""


def _pace(holding: Holding, priority: int, fragments: int, tempo: Tempo) -> str:
    cycles = longest_wait(priority, len(holding.missing), tempo.period_length)
    if cycles is None:
        return f"Never moves: priority {priority} is beyond the period of {tempo.period_length} cycles."
    step = f"fragment {holding.missing[0]} of {fragments}" if holding.missing else "its action"
    when = "in every cycle, first and alone" if priority == 0 else f"in each cycle that {priority} divides"
    if priority == 1:
        when = "in every cycle"
    pause = cycles * tempo.cycle_latency * (priority > 0) + (len(holding.missing) + 1) * tempo.frag_latency
    pause += cycles // tempo.period_length * tempo.period_latency
    far = f"; the pauses until its end add up to {duration(pause)}" if pause else ""
    refused = holding.record.refusals
    periods = f"{refused} period{'s' * (refused > 1)} on end"
    again = f" No fragment was to be had as it was built in {periods}." * bool(refused)
    return f"Next is {step}, {when}{far}.{again}"
