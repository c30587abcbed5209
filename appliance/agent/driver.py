"""The loop: contact, then periods of cycles until nothing is left, then rest. It decides nothing about packages.

Killed anywhere, the next run resumes from the spool. Source: the manual, "How does it work?"; protocol.md 5.1.
"""

from __future__ import annotations

from appliance.agent.contact import contact_in_time, make_contact, retry_after, soonest
from appliance.agent.failure import Restart
from appliance.agent.telling import tell
from appliance.agent.world import World
from appliance.clock import stamp
from appliance.domain.tempo import Tempo

SPREAD = 300  # seconds: agents that are started together, by a power cut's end, do not call together
TROUBLE = 10  # seconds to rest at least where nothing came forward
GOING_DOWN = 600  # seconds to wait for a computer that was told to restart or to shut down


def recover(world: World) -> None:
    """Make good what the last run left half done."""
    interrupted = world.spool.recover()
    if not world.spool.holdings:
        return
    world.load()
    from appliance.agent.work import take_up

    for package in interrupted:
        take_up(world, package, world.memory.tempo or Tempo())
    tell(world)


def run_once(world: World, *, force_inventory: bool = False) -> bool:
    """One contact and the deployments it brought, to their end; whether the contact succeeded.

    Packages that do not come forward in a whole period are left to the next run, and so are those that wait for their
    moment or for the person at the computer.
    """
    done = make_contact(world, force_inventory=force_inventory)
    if world.memory.trouble:
        return False
    from appliance.agent import periods  # late.py has imported it

    tell(world)
    while periods.may_deploy(world) and periods.left(world):
        if not periods.run_period(world):
            names = ", ".join(sorted(package for package, one in world.spool.holdings.items() if one.is_under_way))
            if names:
                world.log.warning(f"Nothing came forward in a whole period; left to the next run: {names}.")
            break
    told = tell(world)
    if told and world.upkeep is not None:
        world.upkeep.take()  # the next start runs it
    return told and done


def run_forever(world: World, *, force_inventory: bool = False) -> None:
    """Until the process is ended."""
    world.load()
    from appliance.agent import periods

    memory = world.memory
    now = world.clock.now()
    on_trial = world.upkeep is not None and world.upkeep.on_trial  # to be confirmed by a contact soon
    if memory.last_contact and not force_inventory and not on_trial:
        memory.next_contact = max(memory.next_contact, now + int(SPREAD * world.chance()))
        world.log.info(f"The next contact is due at {stamp(soonest(world))}; --once makes one now.")
    else:
        memory.next_contact = now
    while True:
        try:
            if world.clock.now() >= soonest(world):
                contact_in_time(world, force_inventory=force_inventory)
                force_inventory = False
            tell(world)
            periods.deploy(world)
            due = memory.next_contact
            if not tell(world):
                due = min(due, world.patience.until)
            elif world.upkeep is not None and world.upkeep.take():
                raise Restart
            due = min(due, periods.next_moment(world) or due)
            if world.goes_down:
                world.clock.rest(GOING_DOWN)
                world.goes_down = False
        except Exception as error:  # a full disk, or a bug: the next round may fare better, and must come
            world.log.bug(error)
            memory.failures += 1
            again = world.clock.now() + retry_after(memory.failures, world.chance())
            memory.next_contact = min(memory.next_contact, again)
            due = world.clock.now() + TROUBLE
        world.clock.rest(due - world.clock.now())
