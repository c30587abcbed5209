"""The loop: contact, then periods of cycles until nothing is left, then rest. It decides nothing about packages.

Killed anywhere, the next run resumes from the spool. Source: the manual, "How does it work?"; protocol.md 5.1.
"""

from __future__ import annotations

from appliance.agent import assemble
from appliance.agent.contact import make_contact, retry_after, send_results
from appliance.agent.failure import Failure, Unreachable
from appliance.agent.fetch import fetch_fragment
from appliance.agent.perform import Ending, Job
from appliance.agent.record import Phase
from appliance.agent.unpack import space_or
from appliance.agent.world import World
from appliance.clock import stamp
from appliance.domain.cycle import Fetch, Step, turn
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo

DAY = 24 * 3600
SPREAD = 300  # seconds: agents that are started together, by a power cut's end, do not call together
MOST_ROUNDS = 3  # how often a package is fetched anew because the whole was wrong
HOUR = 3600
TROUBLE = 10  # seconds to rest at least where nothing came forward
RESEND = 60  # seconds; doubled as long as a result cannot be told, at most an hour


def recover(world: World) -> None:
    """Make good what the last run left half done."""
    for package in world.spool.recover():
        world.log.error(f"{package}: ERR_DONE_FAILED: {world.spool.holdings[package].record.why}.")


def run_once(world: World, *, force_inventory: bool = False) -> bool:
    """One contact and the deployments it brought, to their end; whether the contact succeeded.

    Packages that do not come forward in a whole period are left to the next run.
    """
    done = make_contact(world, force_inventory=force_inventory)
    if world.memory.trouble:
        return False
    tempo = world.memory.tempo
    while tempo is not None and tempo.on and left(world):
        if not run_period(world, tempo):
            names = ", ".join(sorted(parcel.package for parcel in world.spool.parcels()))
            world.log.warning(f"Nothing came forward in a whole period; left to the next run: {names}.")
            break
    return send_results(world) and done


def run_forever(world: World, *, force_inventory: bool = False) -> None:
    """Until the process is ended."""
    memory = world.memory
    now = world.clock.now()
    if memory.last_contact and not force_inventory:
        latest = now + memory.prolog_hours * 3600  # a clock that was set back must not silence the agent
        memory.next_contact = min(latest, max(memory.next_contact, now + int(SPREAD * world.chance())))
        world.log.info(f"The next contact is due at {stamp(memory.next_contact)}; --once makes one now.")
    else:
        memory.next_contact = now
    resend = RESEND
    while True:
        try:
            if world.clock.now() >= memory.next_contact:
                make_contact(world, force_inventory=force_inventory)
                force_inventory = False
            deploy_until(world, memory.next_contact)
            due = memory.next_contact
            if send_results(world):
                resend = RESEND
            else:
                due = min(due, world.clock.now() + int(resend * (0.5 + world.chance() / 2)))
                resend = min(HOUR, resend * 2)
        except Exception as error:  # a full disk, or a bug: the next round may fare better, and must come
            world.log.bug(error)
            memory.failures += 1
            again = world.clock.now() + retry_after(memory.failures, world.chance())
            memory.next_contact = min(memory.next_contact, again)
            due = world.clock.now() + TROUBLE
        world.clock.rest(due - world.clock.now())


def deploy_until(world: World, moment: int) -> None:
    """Periods until nothing is left, deployment is switched off, or a contact is due at `moment`."""
    tempo = world.memory.tempo
    while tempo is not None and tempo.on and left(world) and world.clock.now() < moment:
        began = world.clock.now()
        if not run_period(world, tempo, until=moment) and world.clock.now() - began < TROUBLE:
            world.clock.rest(TROUBLE)  # latencies of 0 must not become a loop without rest


def left(world: World) -> bool:
    """Whether any package is still under way; those that were for too long are given up here."""
    tempo = world.memory.tempo or Tempo()
    for parcel in world.spool.parcels():
        record = world.spool.holdings[parcel.package].record
        if world.clock.now() - record.first_at > tempo.timeout_days * DAY:
            give_up(world, parcel.package, "ERR_TIMEOUT", f"It was announced at {stamp(record.first_at)}.")
    return bool(world.spool.parcels())


def run_period(world: World, tempo: Tempo, *, until: int | None = None) -> bool:
    """One period; whether any package came forward in it. `until`: a contact is due then, which goes first."""
    forward = False
    for cycle in range(1, tempo.period_length + 1):
        send_results(world)
        for step in turn(cycle, world.spool.parcels()):
            forward = carry_out(step, world, tempo) or forward
            if not world.spool.parcels():
                return forward  # ends when nothing is left
            world.clock.rest(tempo.frag_latency)
        world.clock.rest(tempo.cycle_latency)
        if until is not None and world.clock.now() >= until:
            return forward
    world.clock.rest(tempo.period_latency)
    return forward


def carry_out(step: Step, world: World, tempo: Tempo) -> bool:
    """One fragment, or the action; whether the package came forward."""
    package = step.package
    try:
        if isinstance(step, Fetch):
            fetch_fragment(world, package, step.fragment)
            world.log.debug(f"{package}: fragment {step.fragment} is here.")
            return True
        return perform(world, package, tempo)
    except Unreachable as error:
        world.log.warning(f"{package}: {error} It is tried again.")
        return False
    except Failure as failure:
        give_up(world, package, failure.code, failure.why)
        return True
    except Exception as error:  # other packages go on; this one is tried again unless its command may have run
        world.log.error(f"{package}: this step failed:")
        world.log.bug(error)
        return False


def perform(world: World, package: PackageId, tempo: Tempo) -> bool:
    """All fragments are here: verify, act, write the result down. False: fragments were wrong and are fetched anew."""
    spool = world.spool
    holding = spool.holdings[package]
    info, folder = holding.info, spool.folder / package
    if info is None:
        raise AssertionError("a package without info is not performed")
    paths = [spool.fragment_path(package, number) for number in range(1, info.fragments + 1)]
    file = assemble.join(paths) if paths else None
    try:
        if file is not None:
            fault = assemble.fault(file, info, holding.manifest)
            if fault:
                _fetch_anew(world, package, fault)
                return False
        spool.note(package, Phase.VERIFIED)
        world.log.info(f"{package}: everything is here and verified; {info.action.value.title()} begins.")
        job = Job(info, holding.name, folder, file, tempo.execution_timeout_minutes)
        ending = world.host.act(job, _Witness(world, package))
    except OSError as error:
        raise space_or("ERR_BUILD", "The fragments cannot be joined", error) from None
    finally:
        if file is not None:
            file.close()
    spool.note(package, Phase.EXITED, code=ending.code, why=ending.why, exit_code=ending.exit_code)
    _finish(world, package, ending)
    return True


def give_up(world: World, package: PackageId, code: str, why: str) -> None:
    """The package ends here, without having run."""
    _finish(world, package, Ending(code, why))


def _finish(world: World, package: PackageId, ending: Ending) -> None:
    world.spool.conclude(package, ending.code, ending.why)
    text = f"{package}: {ending.code}" + (f": {ending.why}" if ending.why else ".")
    if ending.code == "SUCCESS":
        world.log.info(text)
    else:
        world.log.error(text)
    send_results(world)


def _fetch_anew(world: World, package: PackageId, fault: str) -> None:
    """Throw away the fragments that are wrong. Raises Failure where nobody can tell which, or it went on too long."""
    holding = world.spool.holdings[package]
    if holding.manifest is None or holding.record.rounds + 1 >= MOST_ROUNDS:
        raise Failure("ERR_BAD_DIGEST", fault)
    paths = [world.spool.fragment_path(package, n) for n in range(1, len(holding.manifest.pieces) + 1)]
    wrong = assemble.wrong_pieces(paths, holding.manifest)
    if not wrong:
        raise Failure("ERR_BAD_DIGEST", fault)  # the info file's own digest is wrong: no fetching mends that
    world.spool.note(package, Phase.REJECTED)
    world.spool.throw_away(package, wrong)
    world.log.warning(f"{package}: {fault} Fetched anew: {', '.join(map(str, wrong[:20]))}.")


class _Witness:
    """Writes into the package's journal what must be there before and after a command starts."""

    def __init__(self, world: World, package: PackageId) -> None:
        self.world = world
        self.package = package

    def armed(self, run: str) -> None:
        """From here on the command may have run."""
        self.world.spool.note(self.package, Phase.ARMED, run=run)

    def started(self, pid: int) -> None:
        """ARMED says enough to be safe: where this cannot be written, the command goes on all the same."""
        try:
            self.world.spool.note(self.package, Phase.STARTED, pid=pid)
        except OSError as error:
            self.world.log.warning(f"{self.package}: the journal cannot be written: {error}")
