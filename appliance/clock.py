"""The one place that looks at time."""

from __future__ import annotations

import time


class Clock:
    """The real clock: wall time in whole seconds since 1970, and rest."""

    def now(self) -> int:
        """Seconds since 1970."""
        return int(time.time())

    def monotonic(self) -> float:
        """Seconds that never jump, for durations."""
        return time.monotonic()

    def rest(self, seconds: float) -> None:
        """Sleep; never in a loop of events."""
        if seconds > 0:
            time.sleep(seconds)


def stamp(moment: int) -> str:
    """A moment as people and logs read it: 2026-11-21 09:30:00, local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def iso(moment: int) -> str:
    """A moment for machines: 2026-11-21T09:30:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
