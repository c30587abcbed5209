"""How long the agent has lived, beside what the clock on the wall says.

A clock that jumps by forty days must not end every package that is under way: a package is too old only where both
agree. Source: security.md 3.2 (Time), F19.
"""

from __future__ import annotations

from appliance.agent.memory import Memory
from appliance.agent.record import Record
from appliance.clock import Clock

DAY = 24 * 3600
LONGEST_GAP = 2 * DAY  # seconds: what one pause between two runs counts at most, beside twice the time between contacts


class Age:
    """Seconds lived, in `memory.lived`: all that passes while the agent runs, and the pauses between its runs.

    A pause is known by the clock on the wall alone, so it counts up to LONGEST_GAP. Nothing is saved here.
    """

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self.memory = memory
        self.clock = clock
        self._looked = clock.monotonic()
        if memory.seen_at:
            longest = max(LONGEST_GAP, 2 * 3600 * memory.prolog_hours)
            memory.lived += min(max(0, clock.now() - memory.seen_at), longest)
        memory.seen_at = clock.now()

    def look(self) -> int:
        """The seconds lived until now."""
        passed = int(self.clock.monotonic() - self._looked)
        if passed > 0:
            self._looked += passed
            self.memory.lived += passed
        self.memory.seen_at = self.clock.now()
        return self.memory.lived

    def is_over(self, record: Record, days: int) -> bool:
        """Whether a package was first announced more than so many days ago, by both counts."""
        seconds = days * DAY
        return self.clock.now() - record.first_at > seconds and self.look() - record.first_lived > seconds
