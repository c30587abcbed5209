"""One step of one package: a fragment, or verify, warn, act, write the result down. When is the driver's to decide.

Killed anywhere, the next run goes on from the journal. Source: protocol.md 5.1; security.md 3.3.
"""

from __future__ import annotations

from appliance.agent import assemble
from appliance.agent.failure import Failure, Rejected, Spoiled, Unreachable
from appliance.agent.fetch import fetch_fragment
from appliance.agent.jobs import Ending, Job
from appliance.agent.people import Answer
from appliance.agent.progress import tell_progress
from appliance.agent.record import Phase
from appliance.agent.telling import tell
from appliance.agent.unpack import space_or
from appliance.agent.world import World
from appliance.clock import stamp
from appliance.domain.cycle import Fetch, Step
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo

MOST_ROUNDS = 3  # how often a package is fetched anew because the whole was wrong
MOST_REFUSALS = 3  # periods on end in which the server says that there is no such fragment, or has another one
REFUSALS = frozenset({403, 404, 410})


class Period:
    """What came of one period: who came forward, and whose fragments are not there, or are others."""

    def __init__(self) -> None:
        self.forward: set[PackageId] = set()
        self.refused: dict[PackageId, Failure] = {}


def carry_out(step: Step, world: World, tempo: Tempo, period: Period) -> None:
    """One fragment, or the action."""
    package = step.package
    try:
        if isinstance(step, Fetch):
            fetch_fragment(world, package, step.fragment)
            world.log.debug(f"{package}: fragment {step.fragment} is here.")
            _comes_again(world, package)
            period.forward.add(package)
            tell_progress(world, package)
        elif perform(world, package, tempo):
            period.forward.add(package)
    except Unreachable as error:
        world.log.warning(f"{package}: {error} It is tried again.")
        if isinstance(error, Rejected) and error.status in REFUSALS:
            period.refused[package] = Failure("ERR_DOWNLOAD_PACK", str(error))
        elif isinstance(error, Spoiled):
            period.refused[package] = Failure("ERR_BAD_DIGEST", str(error))
    except Failure as failure:
        give_up(world, package, failure.code, failure.why)
        period.forward.add(package)
    except Exception as error:  # other packages go on; this one is tried again unless its command may have run
        world.log.error(f"{package}: this step failed:")
        world.log.bug(error)
        if package in world.spool.holdings:
            _settle(world, package, tempo)


def perform(world: World, package: PackageId, tempo: Tempo) -> bool:
    """All fragments are here: verify, warn, act, write the result down. False: it is not over yet."""
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
        if info.notice is not None:
            answer = world.people.ask(info.notice, name=holding.name, delays=holding.record.delays)
            if answer is Answer.CANCELLED:
                raise Failure("ERR_ABORTED", "The person at the computer cancelled it.")
            if answer is Answer.DELAYED:
                spool.note(package, Phase.DELAYED, contact=world.memory.contacts)
                world.log.info(f"{package}: the person put it off; it is asked again after the next contact.")
                return False
        job = Job(info, holding.name, folder, file, tempo.execution_timeout_minutes)
        ending = world.host.act(job, _Witness(world, package))
    except OSError as error:
        raise space_or("ERR_BUILD", "The fragments cannot be joined", error) from None
    finally:
        if file is not None:
            file.close()
    finish(world, package, ending)
    return True


def give_up(world: World, package: PackageId, code: str, why: str) -> None:
    """The package ends here, without having run."""
    if code == "ERR_OUT_OF_SPACE":  # room for the journal
        for number in world.spool.holdings[package].missing[:1]:
            world.spool.files.remove(world.spool.part_path(package, number))
    finish(world, package, Ending(code, why))


def finish(world: World, package: PackageId, ending: Ending) -> None:
    """It has ended: write that down, have the person confirm it, clean up, tell the server."""
    holding = world.spool.holdings[package]
    world.spool.exited(package, ending.code, ending.why, exit_code=ending.exit_code)
    if holding.info is not None and holding.info.done_text and holding.record.acted:
        try:
            world.people.confirm_done(holding.info.done_text, name=holding.name)
        except Exception as error:  # a result is never lost for a window
            world.log.bug(error)
    world.spool.conclude(package, ending.code, ending.why)
    at = world.spool.holdings[package].record
    text = f"{package}: {at.code}" + (f": {at.why}" if at.why else ".")
    if at.code == "SUCCESS":
        world.log.info(text)
    else:
        world.log.error(text)
    tell(world)


def take_up(world: World, package: PackageId, tempo: Tempo) -> None:
    """A command that an earlier run of the agent has armed: take its end where it is known for sure."""
    at = world.spool.holdings[package].record
    if at.run and not world.spool.holdings[package].damaged:
        world.log.info(f"{package}: its command was started before; its end is looked for.")
        ending = world.host.ended(world.spool.folder / package, tempo.execution_timeout_minutes)
        if ending is not None:
            finish(world, package, ending)
            return
    begun = f"It was started at {stamp(at.at)} as process {at.pid}" if at.pid else f"It was to start at {stamp(at.at)}"
    if at.phase not in (Phase.ARMED, Phase.STARTED):
        begun = "Its journal is damaged"
    why = f"{begun}; the agent was stopped before its end was known. It is not run again by itself."
    finish(world, package, Ending("ERR_DONE_FAILED", why))


def end_of_period(world: World, period: Period) -> None:
    """Count the packages that only met such answers, and give up those that did so too often."""
    for package, failure in period.refused.items():
        holding = world.spool.holdings.get(package)
        if package in period.forward or holding is None or not holding.record.is_open:
            continue
        count = holding.record.refusals + 1
        if count >= MOST_REFUSALS:
            give_up(world, package, failure.code, f"{failure.why} So it was in {count} periods on end.")
        else:
            world.spool.note(package, Phase.REFUSED, count=count)


def _comes_again(world: World, package: PackageId) -> None:
    if world.spool.holdings[package].record.refusals:
        world.spool.note(package, Phase.REFUSED, count=0)


def _settle(world: World, package: PackageId, tempo: Tempo) -> None:
    """After an error that nobody foresaw: what may have run is ended as after a restart, and never begun again."""
    phase = world.spool.holdings[package].record.phase
    if phase in (Phase.ARMED, Phase.STARTED):
        take_up(world, package, tempo)
    elif phase is Phase.EXITED:
        at = world.spool.holdings[package].record
        world.spool.conclude(package, at.code, at.why)


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
