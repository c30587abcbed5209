"""How long one computer needs for one package with today's settings, in closed form.

Source: the manual, "Dividing your package"; protocol.md 5.1. It is the arithmetic of cycle.turn for a package that is
alone on its computer and never fails, so what happens beside it (other packages, a computer switched off) comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.domain.cycle import longest_wait
from appliance.domain.tempo import Tempo

DAY = 86_400
HOUR = 3600
RATE = 1_250_000  # bytes a second: 10 Mbit/s, where nobody says otherwise


@dataclass(frozen=True)
class Estimate:
    """The time until the action begins. `never`: the priority number is higher than a period is long."""

    cycles: int  # the one of the action included
    rest_seconds: int
    transfer_seconds: int
    contact_seconds: int  # the longest wait for the contact that brings the package; half of it on average
    timeout_seconds: int  # an agent gives up after that
    never: bool = False

    @property
    def seconds(self) -> int:
        """From the contact to the action."""
        return self.rest_seconds + self.transfer_seconds

    @property
    def longest_seconds(self) -> int:
        """From affecting the package to the action, where the contact was just missed."""
        return self.seconds + self.contact_seconds

    @property
    def gives_up(self) -> bool:
        """Whether an agent would give the package up before it is done."""
        return self.never or self.seconds > self.timeout_seconds

    def over(self, size: int, rate: int) -> Estimate:
        """The same over a line of so many bytes a second."""
        return replace(self, transfer_seconds=transfer(size, rate))


def transfer(size: int, rate: int) -> int:
    """Seconds that so many bytes take."""
    return -(-size // max(1, rate))


def estimate(
    *, priority: int, fragments: int, size: int, tempo: Tempo, contact_hours: int, rate: int = RATE
) -> Estimate:
    """What one computer needs. `size` in bytes, `rate` in bytes a second, `contact_hours` is PROLOG_FREQ.

    A rest follows each fragment, each cycle and each period; none follows the action, which is the end.
    """
    cycles = longest_wait(priority, fragments, tempo.period_length)
    moving, contact, timeout = transfer(size, rate), contact_hours * HOUR, tempo.timeout_days * DAY
    if cycles is None:
        return Estimate(0, 0, moving, contact, timeout, never=True)
    full, periods = cycles - 1, (cycles - 1) // tempo.period_length
    rests = fragments * tempo.frag_latency + full * tempo.cycle_latency + periods * tempo.period_latency
    return Estimate(cycles, rests, moving, contact, timeout)
