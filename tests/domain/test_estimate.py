"""The honest time: equal to the cycles told one by one, and to what our own agent does on a clock that only rests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.cycle import Fetch, Parcel, turn
from appliance.domain.estimate import DAY, Estimate, estimate
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo

tempos = st.builds(
    Tempo,
    cycle_latency=st.integers(0, 500),
    frag_latency=st.integers(0, 100),
    period_latency=st.integers(0, 900),
    period_length=st.integers(1, 25),
)


def quick(priority: int, fragments: int, tempo: Tempo, size: int = 0) -> Estimate:
    return estimate(priority=priority, fragments=fragments, size=size, tempo=tempo, contact_hours=24)


def told(priority: int, fragments: int, tempo: Tempo) -> tuple[int, int] | None:
    """Cycles and seconds of rest until the action, cycle by cycle; None: it never comes."""
    parcel = Parcel(PackageId("1700000001"), priority, tuple(range(1, fragments + 1)))
    cycles = rests = 0
    while True:
        moved = False
        for cycle in range(1, tempo.period_length + 1):
            cycles += 1
            for step in turn(cycle, [parcel]):
                if not isinstance(step, Fetch):
                    return cycles, rests
                parcel, moved = Parcel(parcel.package, priority, parcel.missing[1:]), True
                rests += tempo.frag_latency
            rests += tempo.cycle_latency
        rests += tempo.period_latency
        if not moved:
            return None


@given(st.integers(0, 12), st.integers(0, 60), tempos)
def test_it_is_what_the_cycles_add_up_to(priority: int, fragments: int, tempo: Tempo) -> None:
    guess, real = quick(priority, fragments, tempo), told(priority, fragments, tempo)
    assert guess.never == (real is None)
    if real:
        assert (guess.cycles, guess.rest_seconds) == real


@pytest.mark.parametrize("priority", [0, 1, 3, 5, 10, 11])
@pytest.mark.parametrize("fragments", [0, 1, 7, 23])
@pytest.mark.parametrize(
    "tempo", [Tempo(), Tempo(cycle_latency=7, frag_latency=3, period_latency=100, period_length=6)]
)
def test_it_is_what_our_own_agent_takes(priority: int, fragments: int, tempo: Tempo, tmp_path: Path) -> None:
    from appliance.agent.periods import run_period
    from tests.agent.kit import Lab, package

    lab = Lab(tmp_path / "agent")
    lab.server.tempo = tempo
    world = lab.take_in(package(1, data=b"x" * fragments, fragment_size=1, priority=priority))
    guess = quick(priority, fragments, tempo)
    begun = lab.clock.time
    for _ in range(400):
        before = lab.clock.time
        run_period(world, tempo)
        if lab.fake_host.ran or lab.clock.time == before:
            break
    at = next((n for n, entry in enumerate(lab.story) if isinstance(entry, tuple) and entry[0] == "perform"), None)
    assert guess.never == (at is None)
    if at is not None:
        rested = sum(e[1] for e in lab.story[:at] if isinstance(e, tuple) and e[0] == "rest")
        assert rested == guess.rest_seconds
        assert lab.clock.time - begun == guess.rest_seconds, "and nothing after the action"


def test_the_manuals_example_of_priority_5() -> None:
    # "the agent would pause for cycles 1-4, and then start downloading a fragment when it starts cycle 5"
    guess = quick(5, 1, Tempo(), size=12_500_001)
    assert (guess.cycles, guess.rest_seconds) == (10, 9 * 60 + 10)
    assert guess.transfer_seconds == 11
    assert guess.seconds == 561
    assert guess.longest_seconds == 561 + DAY
    assert not guess.gives_up


def test_a_priority_beyond_the_period_never_moves_and_a_slow_one_is_given_up() -> None:
    assert quick(6, 1, Tempo(period_length=5)).never
    slow = quick(10, 400, Tempo(cycle_latency=3600, timeout_days=30))
    assert (slow.never, slow.gives_up) == (False, True)
    assert slow.seconds > 30 * DAY
