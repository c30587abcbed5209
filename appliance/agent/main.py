"""Words of `ocs.pyz agent`: run, status, join, install, uninstall, --once, --local. Wiring only. PORTABLE.

Everything is imported at the start, since the file that this runs from may be replaced while it runs: here what speaks
to the server, in late.py the rest, in each word that runs alone what only it needs.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from appliance.agent import basedir, late, membership, memory, settings
from appliance.agent.driver import recover, run_forever, run_once
from appliance.agent.failure import Restart, Unreachable, Unusable
from appliance.agent.files import Files
from appliance.agent.identity import device_id, host_name
from appliance.agent.log import Log
from appliance.agent.ownership import guard_root
from appliance.agent.remote import Account, HttpRemote
from appliance.agent.settings import Settings
from appliance.agent.spool import Spool
from appliance.agent.upkeep import Upkeep, running_file
from appliance.agent.world import World
from appliance.clock import Clock
from appliance.domain.messages import DeviceId

DONE, FAILED, USAGE = 0, 1, 2


def main(argv: list[str]) -> int:
    """Run the agent; give the exit code."""
    try:
        given, warnings = settings.gather(argv)
        if given.word == "status":
            from appliance.agent import status

            return status.show(given.folder, Clock(), as_json=given.json)
        if given.word in ("install", "uninstall"):
            return _service(given, warnings)
        if given.word == "join":
            return _join(given)
        if given.local:
            return _print_inventory(given)
        try:
            return _run(given, warnings)
        except Restart:
            from appliance.agent import update

            installed = running_file()
            assert installed is not None
            update.reexec([word for word in argv if word != "--force-inventory"], installed)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except Unusable as error:
        print(f"ocs.pyz agent: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("ocs.pyz agent: stopped; what is under way goes on at the next start.", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has left
        return FAILED


def _run(given: Settings, warnings: list[str]) -> int:
    folder = basedir.prepare(given.folder)
    if given.bundle is not None:
        guard_root(given.bundle)
    with basedir.lock(folder):
        clock = Clock()
        try:
            log = Log(clock, file=given.logfile, debug=given.debug)
        except OSError as error:
            raise Unusable(f"The log {given.logfile} cannot be written: {error.strerror}.") from None
        for warning in warnings:
            log.warning(warning)
        upkeep = Upkeep(running_file(), folder, clock, log.info)
        upkeep.begin()
        world = _world(given, folder, clock, log)
        log.debug(f"Server {given.server}, base directory {folder}, bundle {given.bundle}.")
        if given.bundle is None or not given.bundle.is_file():
            log.warning(f"There is no {given.bundle}; without it nothing is deployed.")
        world.upkeep = upkeep
        recover(world)
        if given.once:
            try:
                return DONE if run_once(world, force_inventory=given.force_inventory) else FAILED
            except Exception as error:
                log.bug(error)
                return FAILED
        run_forever(world, force_inventory=given.force_inventory)
    return DONE


def _service(given: Settings, warnings: list[str]) -> int:
    from appliance.agent import service

    for warning in warnings:
        print(f"ocs.pyz agent: {warning}", file=sys.stderr)
    options = service.options_of(given)
    if given.word == "install":
        print(service.install(options, dry_run=given.dry_run))
    else:
        print(service.uninstall(options, purge=given.purge, dry_run=given.dry_run))
    return DONE


def _join(given: Settings) -> int:
    """Get a certificate; the running agent, if there is one, must be stopped for it."""
    word = sys.stdin.readline() if given.token == "-" else given.token
    folder = basedir.prepare(given.folder)
    with basedir.lock(folder):
        clock, files = Clock(), Files()
        spool = Spool(folder / basedir.SPOOL, clock, files)
        spool.folder.mkdir(mode=0o700, exist_ok=True)
        known = memory.load(spool.folder)
        device_id(known, host_name(), clock.now())
        memory.save(known, spool.folder, files)
        made = membership.join(folder, word, DeviceId(known.device_id), given.proxy)
    print(f"This computer joined {made.server} as {made.device_id}.")
    return DONE


def _renew(given: Settings, folder: Path, clock: Clock, log: Log) -> None:
    member = membership.load(folder)
    if member is None or given.bundle is None or not membership.is_due(member, given.bundle, clock.now()):
        return
    try:
        membership.renew(folder, member, given.bundle, given.proxy)
        log.info("The certificate of this computer is renewed.")
    except Unreachable as error:
        log.warning(f"The certificate of this computer could not be renewed; it is tried again. {error}")


def _world(given: Settings, folder: Path, clock: Clock, log: Log) -> World:
    files = Files()
    spool = Spool(folder / basedir.SPOOL, clock, files)
    remote = HttpRemote(
        given.server,
        bundle=given.bundle,
        proxy=given.proxy,
        account=Account(given.user, given.password, given.realm),
        member=given.member.path if given.member else None,
        owns_bundle=given.bundle == given.folder / basedir.BUNDLE,
        tell=log.info,
    )
    return World(
        remote=remote,
        spool=spool,
        memory=memory.load(spool.folder),
        clock=clock,
        make_host=lambda: late.host(folder, given.server, files),
        make_people=lambda: late.people(clock, log),
        log=log,
        inventory=late.collect,
        host_name=host_name(),
        chance=random.SystemRandom().random,
        tag=given.tag,
        load=late.load,
        joined_as=given.member.device_id if given.member else "",
        renew=lambda: _renew(given, folder, clock, log),
    )


def _print_inventory(given: Settings) -> int:
    """The INVENTORY message as it would be sent, on standard output; nothing is changed."""
    from appliance.agent import submit

    known = memory.load(given.folder / basedir.SPOOL)
    device_id(known, host_name(), Clock().now())
    spool = Spool(given.folder / basedir.SPOOL, Clock(), Files())
    spool.load()
    sys.stdout.buffer.write(submit.whole_message(known, late.collect(), tag=given.tag, history=spool.history()) + b"\n")
    sys.stdout.buffer.flush()
    return DONE
