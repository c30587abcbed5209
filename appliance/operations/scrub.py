"""Read every fragment through, slowly, once in SCRUB_DAYS: what rotted is found before an agent asks for it.

What is found damaged is not served any more (operations/depot.py), stands in the server's log, and how the last round
ended is kept. `check` finds more, and says what to do.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import asdict, dataclass

from appliance.domain.refusal import Refusal
from appliance.operations.desk import Desk
from appliance.operations.package_files import Named, named_files, opened
from appliance.store import configuration, packages
from appliance.store.proofs import Pause

LOG = logging.getLogger("ocs.scrub")
LOOK_SECONDS = 60.0
REST = 4  # times as long as a read took: the disk is the agents' for the rest
RUNTIME = "last_scrub"
DAY = 86_400


@dataclass(frozen=True)
class LastScrub:
    """How the last round ended."""

    at: int  # seconds since 1970
    files: int
    size: int
    damaged: tuple[str, ...]  # their names


async def scrubbing(desk: Desk) -> None:
    """A round whenever one is due, until cancelled. The server runs it beside its listeners."""
    over = threading.Event()
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await scrub_if_due(desk, over)
            except Refusal as refusal:
                LOG.warning("the scrub could not be done: %s", refusal)
            except Exception:
                LOG.exception("the scrub ended in a bug")
    finally:
        over.set()  # a thread that reads on would hold up the end


async def last_scrub(desk: Desk) -> LastScrub | None:
    """How the last round ended; None where there was none yet."""
    async with desk.store.reading() as tx:
        kept = json.loads((await configuration.runtime(tx)).get(RUNTIME, "null"))
    return LastScrub(kept["at"], kept["files"], kept["size"], tuple(kept["damaged"])) if kept else None


async def scrub_if_due(desk: Desk, over: threading.Event) -> LastScrub | None:
    """Make a round where one is due, and keep how it ended; None where none is. `over` ends it early."""
    async with desk.store.reading() as tx:
        days = (await configuration.settings(tx)).number("SCRUB_DAYS")
    now, last = desk.clock.now(), await last_scrub(desk)
    if not days or (last is not None and now - days * DAY < last.at <= now):
        return None
    return await scrub(desk, over)


async def scrub(desk: Desk, over: threading.Event) -> LastScrub | None:
    """One round over all fragments; None where `over` ended it."""
    async with desk.store.reading() as tx:
        named = [file for file in await named_files(tx) if file.number]
    damaged = []
    for file in named:
        sentence = await asyncio.to_thread(_trouble, desk, file, over)
        if over.is_set():
            return None
        if sentence and await _is_still_named(desk, file):
            LOG.error("%s `check` says what to do.", sentence)
            damaged.append(file.name)
    result = LastScrub(desk.clock.now(), len(named), sum(file.size or 0 for file in named), tuple(damaged))
    async with desk.store.writing() as tx:
        await configuration.put_runtime(tx, {RUNTIME: json.dumps(asdict(result))})
    LOG.info("%d fragments were read through, %d bytes; damaged: %d", result.files, result.size, len(damaged))
    return result


def _trouble(desk: Desk, named: Named, over: threading.Event) -> str:
    """What is wrong with a fragment, as a sentence; empty: nothing."""
    try:
        with opened(desk.shelf, named) as file:
            right = desk.shelf.proofs.prove(file, named.sha256, _pausing(desk, over))
    except Refusal as refusal:
        return str(refusal)
    except OSError as error:
        return f"{named.name} of package {named.package} cannot be read: {error.strerror}."
    return "" if right else f"{named.name} of package {named.package} is damaged on the disk."


def _pausing(desk: Desk, over: threading.Event) -> Pause:
    before = desk.clock.monotonic()

    def pause() -> bool:
        nonlocal before
        ended = over.wait(REST * (desk.clock.monotonic() - before))
        before = desk.clock.monotonic()
        return ended

    return pause


async def _is_still_named(desk: Desk, file: Named) -> bool:
    """Whether a row speaks of these bytes still: an edit or a deletion may have come between."""
    async with desk.store.reading() as tx:
        found = await packages.marked_piece(tx, file.package, file.number)
    return found is not None and (found[0].sha256, found[1]) == (file.sha256, file.manifest)
