"""Periods and their cycles: who moves when, as the settings of the moment say. What a step does is work's business.

Source: the manual, "How does it work?"; protocol.md 5.1.
"""

from __future__ import annotations

from appliance.agent.contact import contact_in_time, soonest
from appliance.agent.readiness import next_start, ready
from appliance.agent.telling import tell
from appliance.agent.work import Period, carry_out, end_of_period, give_up
from appliance.agent.world import World
from appliance.clock import stamp
from appliance.domain.cycle import Parcel, turn
from appliance.domain.tempo import Tempo

TROUBLE = 10  # seconds to rest at least where nothing came forward


def may_deploy(world: World) -> bool:
    """Whether the server lets packages be deployed at all, and the computer stays up."""
    return world.memory.tempo is not None and world.memory.tempo.on and not world.goes_down


def next_moment(world: World) -> int | None:
    """When the next package may be performed that waits for nothing but its schedule."""
    if not may_deploy(world):
        return None
    return next_start(world.spool.holdings.values(), world.memory.contacts, world.clock.now())


def deploy(world: World) -> None:
    """Periods until nothing can move, or deployment is switched off, or a contact is due."""
    while may_deploy(world) and left(world) and world.clock.now() < soonest(world):
        began = world.clock.monotonic()
        if not run_period(world, with_contacts=True) and world.clock.monotonic() - began < TROUBLE:
            world.clock.rest(TROUBLE)  # latencies of 0 must not become a loop without rest


def left(world: World) -> bool:
    """Whether any package can move; those that were under way for too long are given up here."""
    tempo = world.memory.tempo or Tempo()
    for package, holding in list(world.spool.holdings.items()):
        if holding.is_under_way and world.age.is_over(holding.record, tempo.timeout_days):
            announced = stamp(holding.record.first_at)
            why = f"It was announced at {announced}, more than {tempo.timeout_days} days ago."
            give_up(world, package, "ERR_TIMEOUT", why)
    return bool(_ready(world))


def run_period(world: World, tempo: Tempo | None = None, *, with_contacts: bool = False) -> bool:
    """One period; whether any package came forward in it.

    `with_contacts`: one that falls due is made before the next cycle, which goes by what the server says then. New
    packages join in, a DOWNLOAD 0 ends the period.
    """
    tempo = tempo or world.memory.tempo or Tempo()
    period = Period()
    whole = _cycles(world, tempo, period, with_contacts=with_contacts)
    end_of_period(world, period)
    if whole:
        world.clock.rest((world.memory.tempo or tempo if with_contacts else tempo).period_latency)
    return bool(period.forward)


def _cycles(world: World, tempo: Tempo, period: Period, *, with_contacts: bool) -> bool:
    """The cycles of a period; False where it ended early, since nothing is left or nothing may be done."""
    cycle = 0
    while cycle < tempo.period_length:
        cycle += 1
        tell(world)
        for step in turn(cycle, _ready(world)):
            if world.goes_down:
                return False
            carry_out(step, world, tempo, period)
            if not _ready(world):
                return False
            world.clock.rest(tempo.frag_latency)
        world.clock.rest(tempo.cycle_latency)
        if with_contacts and world.clock.now() >= soonest(world):
            contact_in_time(world)
            tempo = world.memory.tempo or tempo
            if not may_deploy(world) or not left(world):
                return False
    return True


def _ready(world: World) -> list[Parcel]:
    return ready(world.spool.holdings.values(), world.memory.contacts, world.clock.now())
