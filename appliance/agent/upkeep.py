"""The file that this agent runs from: replaced by a package or by hand, on trial, confirmed. How is update's business.

What a running agent has imported stays as it is; a new file is taken up by becoming it, where no command runs. update
is imported in each verb: late.py has seen to it that it is there, and a start without an update does without.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

from appliance.agent.failure import Restart, Unusable
from appliance.clock import Clock

INBOX = "update"
SUFFIXES = (".new", ".old", ".trial")


class Upkeep:
    """`installed`: the running file, None where it runs from its sources: then there is nothing to do."""

    def __init__(self, installed: Path | None, folder: Path, clock: Clock, tell: Callable[[str], None]) -> None:
        self.installed = installed
        self.folder = folder
        self.clock = clock
        self.tell = tell
        self.on_trial = False
        self._began = clock.monotonic()
        self._seen = _stamp(installed)

    def begin(self) -> None:
        """First of all at a start. Raises Restart where another file is in place now."""
        if self.installed is None or not (_is_under_way(self.installed) or not (self.folder / INBOX).is_dir()):
            return
        from appliance.agent import update

        try:
            begun = update.begin(self.installed, self.folder)
        except OSError as error:
            self.tell(f"What an update left behind cannot be looked after: {error}.")
            return
        if begun.tell:
            self.tell(begun.tell)
        self.on_trial = begun.on_trial
        if begun.restart:
            raise Restart

    def confirm(self) -> None:
        """A contact succeeded: the running file has proved itself."""
        if self.installed is not None and self.on_trial:
            from appliance.agent import update

            try:
                update.confirm(self.installed)
            except OSError as error:
                self.tell(f"That this version works cannot be written down: {error}.")
                return
            self.on_trial = False

    def look(self) -> None:
        """Before a contact: become the file that is in place now. Raises Restart."""
        if self.installed is None:
            return
        from appliance.agent import update

        if self.on_trial and self.clock.monotonic() - self._began > update.PATIENCE:
            self.tell("This version was on trial for a day without a contact; it starts anew.")
            raise Restart
        now = _stamp(self.installed)
        if now is None or now == self._seen:
            return
        self._seen = now  # one that is refused is not tried again and again
        try:
            version = update.verified(self.installed)
        except Unusable as error:
            self.tell(f"{self.installed} was replaced, and not by an agent: {error} The one in memory goes on.")
            return
        self.tell(f"{self.installed} was replaced; it goes on as version {version}.")
        raise Restart

    def take(self) -> bool:
        """Where no command runs and results were told: take what a package brought; whether to restart."""
        if self.installed is None:
            return False
        from appliance.agent import update

        return update.take(self.folder, self.installed, self.tell)


def running_file() -> Path | None:
    """The archive that this program runs from; None where it runs from a source tree."""
    return next((above for above in Path(__file__).absolute().parents if above.is_file()), None)


def _is_under_way(installed: Path) -> bool:
    """Whether anything of an update lies beside the file; where nothing does, update need not even be imported."""
    return any(installed.with_name(installed.name + suffix).exists() for suffix in SUFFIXES)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path) if path is not None else None
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found is not None else None
