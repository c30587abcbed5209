"""One contact: results that wait, PROLOG, what is announced, INVENTORY. Source: protocol.md 2 and 8 (28-38).

What is announced is only taken in; it is worked on by the driver.
"""

from __future__ import annotations

from appliance.agent.failure import Unreachable
from appliance.agent.identity import device_id
from appliance.agent.telling import send_results
from appliance.agent.world import World
from appliance.clock import stamp
from appliance.domain.messages import PrologReply
from appliance.wire import contact as messages
from appliance.wire.malformed import Malformed

HOUR = 3600
FIRST_RETRY = 5 * 60  # seconds; doubled at each failure, at most an hour


def make_contact(world: World, *, force_inventory: bool = False) -> bool:
    """Speak with the server; whether all of it succeeded. What failed is tried again at the next contact."""
    memory = world.memory
    try:
        world.renew()
        world.remote.refresh()
        before = memory.device_id
        device_id(memory, world.host_name, world.clock.now(), world.joined_as)
        if memory.device_id != before:
            world.remember()  # before the server hears of it
            world.log.info(f"This computer is {memory.device_id}.")
        send_results(world, at_once=True)
        reply = _prolog(world)
        world.load()
    except (Unreachable, Malformed) as error:
        memory.failures += 1
        memory.trouble = str(error)
        memory.next_contact = world.clock.now() + retry_after(memory.failures, world.chance())
        world.remember()
        world.log.warning(f"The contact failed: {error}")
        return False
    from appliance.agent import intake, submit  # late.py has imported them

    first = memory.last_contact == 0
    memory.failures, memory.trouble = 0, ""
    memory.last_contact = world.clock.now()
    memory.contacts += 1
    memory.genuine[world.remote.server] = world.remote.is_genuine
    memory.prolog_hours = reply.prolog_hours
    memory.next_contact = memory.last_contact + next_after(reply.prolog_hours, first=first, chance=world.chance())
    if reply.tempo is not None:
        memory.tempo = reply.tempo
    world.remember()
    if world.upkeep is not None:
        world.upkeep.confirm()
    intake.take_in(world, reply)
    done = True
    if reply.inventory_wanted or force_inventory:
        done = submit.submit(world, whole=force_inventory)
    send_results(world, at_once=True)  # of what turned out while taking in
    world.log.info(f"The contact is done; the next one is due at {stamp(memory.next_contact)}.")
    return done


def contact_in_time(world: World, *, force_inventory: bool = False) -> None:
    """Make the contact that is due, as the program that is in place now. Raises Restart."""
    if world.upkeep is not None:
        world.upkeep.look()
    make_contact(world, force_inventory=force_inventory)


def soonest(world: World) -> int:
    """When the next contact is due: a clock that was set back must not silence the agent."""
    memory = world.memory
    memory.next_contact = min(memory.next_contact, world.clock.now() + memory.prolog_hours * 3600)
    return memory.next_contact


def retry_after(failures: int, chance: float) -> int:
    """Seconds to wait after so many failed contacts in a row, spread so that a thousand agents do not call at once."""
    return int(min(HOUR, FIRST_RETRY * 2 ** min(failures - 1, 10)) * (0.5 + chance / 2))


def next_after(prolog_hours: int, *, first: bool, chance: float) -> int:
    """Seconds between two contacts; after the very first one any part of it, so that computers spread out."""
    seconds = prolog_hours * HOUR
    return int(seconds * (0.1 + 0.9 * chance)) if first else seconds


def _prolog(world: World) -> PrologReply:
    answer = world.remote.contact(messages.encode_prolog(world.device_id))
    reply = messages.decode_prolog_reply(answer)
    world.log.debug(f"The server answers: {reply}")
    return reply
