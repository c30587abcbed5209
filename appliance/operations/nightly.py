"""The server's own backup: once a day into BACKUP_FOLDER, read again to its last byte, the oldest ones removed.

It is not sealed: a server that starts by itself would have the passphrase lie beside the keys.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from appliance.domain.log import Deed
from appliance.domain.refusal import Kind, Refusal, filled
from appliance.operations.backup import back_up, prove
from appliance.operations.desk import Desk
from appliance.store import configuration, log

LOG = logging.getLogger("ocs.backup")
LOOK_SECONDS = 60.0
RUNTIME = "last_backup"
DONE = "{name}, {size} bytes, proved."

_OURS = re.compile(r"^ocs-\d{8}-\d{6}\.tar\.zst$")
_CUT_SHORT = re.compile(r"^\.ocs-\d{8}-\d{6}\.tar\.zst\.\w+\.tmp$")  # by a kill; one is made at a time


@dataclass(frozen=True)
class LastBackup:
    """How the last backup of the server ended. `sentence` has {named} places for `values`."""

    at: int  # seconds since 1970
    ok: bool
    sentence: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The sentence in English."""
        return filled(self.sentence, dict(self.values))


async def nightly(desk: Desk) -> None:
    """Make a backup whenever one is due, until cancelled. The server runs it beside its listeners."""
    while True:
        try:
            await back_up_if_due(desk)
        except Refusal as refusal:
            LOG.warning("the nightly backup could not be done: %s", refusal)
        except Exception:
            LOG.exception("the nightly backup ended in a bug")
        await asyncio.sleep(LOOK_SECONDS)


async def last_backup(desk: Desk) -> LastBackup | None:
    """How the last backup of the server ended; None where there was none yet."""
    async with desk.store.reading() as tx:
        kept = (await configuration.runtime(tx)).get(RUNTIME)
    return LastBackup(**json.loads(kept)) if kept else None


async def back_up_if_due(desk: Desk) -> LastBackup | None:
    """Make today's backup where it was not made yet, and keep how it ended; None where none is due."""
    async with desk.store.reading() as tx:
        settings = await configuration.settings(tx)
    folder, now, last = settings.text("BACKUP_FOLDER"), desk.clock.now(), await last_backup(desk)
    if not folder or (last is not None and latest_due(now, settings.number("BACKUP_HOUR")) <= last.at <= now):
        return None
    result = await _make(desk, Path(folder), settings.number("BACKUP_KEEP"), now)
    async with desk.store.writing() as tx:
        await configuration.put_runtime(tx, {RUNTIME: json.dumps(asdict(result))})
        if not result.ok:
            await log.append(tx, desk.actor, Deed.BACKUP_FAILED, folder, met=result.text)
    LOG.log(logging.INFO if result.ok else logging.ERROR, "nightly backup: %s", result.text)
    return result


def latest_due(now: int, hour: int) -> int:
    """The last moment up to now at which it was that hour here."""
    here = time.localtime(now)
    days = 0 if here.tm_hour >= hour else 1
    return int(time.mktime((here.tm_year, here.tm_mon, here.tm_mday - days, hour, 0, 0, 0, 0, -1)))


async def _make(desk: Desk, folder: Path, keep: int, now: int) -> LastBackup:
    target = folder / f"ocs-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}.tar.zst"
    try:
        if not folder.is_dir():
            raise Refusal(Kind.MISSING, "the folder {folder} is not there.", folder=folder)
        made = await back_up(desk, target, None, _silent, overwrite=True)
        await prove(target, None, desk.store.path.parent, desk.clock, _silent)
        await asyncio.to_thread(_remove_old, folder, keep)
    except Refusal as refusal:
        return LastBackup(now, False, refusal.sentence, {name: str(value) for name, value in refusal.values.items()})
    return LastBackup(now, True, DONE, {"name": target.name, "size": str(made.size)})


def _remove_old(folder: Path, keep: int) -> None:
    """The newest ones stay; what is named otherwise is not ours."""
    there = sorted(folder.iterdir())
    ours = [path for path in there if _OURS.match(path.name)]
    for path in [*ours[:-keep], *(path for path in there if _CUT_SHORT.match(path.name))]:
        path.unlink(missing_ok=True)


def _silent(*_: object) -> None:
    """Nobody watches at night."""
