"""Words of `ocs.pyz agent`: run, status, --once, --local. Wiring only. PORTABLE.

Everything is imported here, at the start: the file that this runs from may be replaced while it runs.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from appliance.agent import basedir, inventory, memory, settings, status
from appliance.agent.contact import with_checksum
from appliance.agent.driver import recover, run_forever, run_once
from appliance.agent.failure import Unusable
from appliance.agent.files import Files
from appliance.agent.identity import device_id, host_name
from appliance.agent.inventory import checksum
from appliance.agent.log import Log
from appliance.agent.perform import LocalHost
from appliance.agent.remote import Account, HttpRemote
from appliance.agent.settings import Settings
from appliance.agent.spool import Spool
from appliance.agent.world import World
from appliance.clock import Clock
from appliance.domain.messages import DeviceId
from appliance.wire import contact as messages

DONE, FAILED, USAGE = 0, 1, 2


def main(argv: list[str]) -> int:
    """Run the agent; give the exit code."""
    inventory.preload()
    "x".encode("idna")  # socket imports this codec when it meets its first name
    try:
        given, warnings = settings.gather(argv)
        if given.word == "status":
            return status.show(given.folder, Clock(), as_json=given.json)
        if given.local:
            return _print_inventory(given)
        return _run(given, warnings)
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
    with basedir.lock(folder):
        clock = Clock()
        try:
            log = Log(clock, file=given.logfile, debug=given.debug)
        except OSError as error:
            raise Unusable(f"The log {given.logfile} cannot be written: {error.strerror}.") from None
        for warning in warnings:
            log.warning(warning)
        world = _world(given, folder, clock, log)
        log.debug(f"Server {given.server}, base directory {folder}, bundle {given.bundle}.")
        if given.bundle is None or not given.bundle.is_file():
            log.warning(f"There is no {given.bundle}; without it nothing is deployed.")
        recover(world)
        if given.once:
            try:
                return DONE if run_once(world, force_inventory=given.force_inventory) else FAILED
            except Exception as error:
                log.bug(error)
                return FAILED
        run_forever(world, force_inventory=given.force_inventory)
    return DONE


def _world(given: Settings, folder: Path, clock: Clock, log: Log) -> World:
    files = Files()
    spool = Spool(folder / basedir.SPOOL, clock, files)
    remote = HttpRemote(
        given.server,
        bundle=given.bundle,
        proxy=given.proxy,
        account=Account(given.user, given.password, given.realm),
    )
    return World(
        remote=remote,
        spool=spool,
        memory=memory.load(spool.folder),
        clock=clock,
        host=LocalHost(install_path=folder, server=given.server, outer=os.environ, files=files),
        log=log,
        inventory=inventory.collect,
        host_name=host_name(),
        chance=random.SystemRandom().random,
        tag=given.tag,
    )


def _print_inventory(given: Settings) -> int:
    """The INVENTORY message as it would be sent, on standard output; nothing is changed."""
    known = memory.load(given.folder / basedir.SPOOL)
    device_id(known, host_name(), Clock().now())
    sections = inventory.collect()
    bits, _ = checksum.changed(known.fingerprints, sections)
    spool = Spool(given.folder / basedir.SPOOL, Clock(), Files())
    spool.load()
    account = list(known.account.items()) or ([("TAG", given.tag)] if given.tag else [])
    xml = messages.encode_inventory(
        DeviceId(known.device_id),
        with_checksum(sections, bits),
        account=account,
        history=spool.history(),
    )
    sys.stdout.buffer.write(xml + b"\n")
    sys.stdout.buffer.flush()
    return DONE
