"""What happens during a period: contacts that fall due, changed settings, new packages; and telling a deaf server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent.driver import run_forever, run_once
from appliance.agent.jobs import Ending, Job, Witness
from appliance.agent.periods import run_period
from appliance.agent.telling import send_results
from appliance.domain.tempo import Tempo
from tests.agent.kit import Lab, package

SLOW = Tempo(cycle_latency=600, frag_latency=10, period_latency=0)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


def rest(seconds: int) -> tuple[str, int]:
    return ("rest", seconds)


def test_a_contact_that_falls_due_is_made_before_the_next_cycle_which_goes_by_the_new_settings(lab: Lab) -> None:
    one = package(1, data=b"abcd", fragment_size=1)
    lab.server.tempo = SLOW
    world = lab.take_in(one)
    world.memory.next_contact = lab.clock.now() + 700
    new = package(2, data=b"x")
    lab.server.add(new)
    lab.server.tempo = replace(SLOW, cycle_latency=5, frag_latency=1)
    run_period(world, with_contacts=True)
    assert lab.story[:12] == [
        *[("fetch", one.id, 1), rest(10), rest(600)],
        *[("fetch", one.id, 2), rest(10), rest(600)],
        *["prolog", ("info", new.id)],
        *[("fetch", one.id, 3), rest(1), ("fetch", new.id, 1), rest(1)],
    ]
    assert rest(600) not in lab.story[8:]
    assert lab.results() == {one.id: "SUCCESS", new.id: "SUCCESS"}


def test_download_0_ends_a_running_download_at_the_next_step(lab: Lab) -> None:
    one = package(data=b"abcd", fragment_size=1)
    lab.server.tempo = SLOW
    world = lab.take_in(one)
    world.memory.next_contact = lab.clock.now() + 600
    lab.server.tempo = replace(SLOW, on=False)
    run_period(world, with_contacts=True)
    assert lab.server.fetched == [(one.id, 1)]
    assert lab.leftovers() == [one.id]


def test_a_package_of_priority_0_that_arrives_in_a_period_goes_first_from_the_next_cycle_on(lab: Lab) -> None:
    one, urgent = package(1, data=b"abcd", fragment_size=1), package(2, data=b"xy", fragment_size=1, priority=0)
    lab.server.tempo = SLOW
    world = lab.take_in(one)
    world.memory.next_contact = lab.clock.now() + 600
    lab.server.add(urgent)
    run_period(world, with_contacts=True)
    steps = [entry for entry in lab.story if isinstance(entry, tuple) and entry[0] in ("fetch", "perform")]
    assert steps[:5] == [
        *[("fetch", one.id, 1), ("fetch", urgent.id, 1), ("fetch", urgent.id, 2), ("perform", urgent.id)],
        ("fetch", one.id, 2),
    ]


def test_a_package_that_is_withdrawn_in_a_period_is_dropped(lab: Lab) -> None:
    one = package(data=b"abcd", fragment_size=1)
    lab.server.tempo = SLOW
    world = lab.take_in(one)
    world.memory.next_contact = lab.clock.now() + 600
    lab.server.withdrawn.add(one.id)
    run_period(world, with_contacts=True)
    assert (lab.server.fetched, lab.leftovers()) == ([(one.id, 1)], [])


def test_a_deaf_server_is_left_alone_ever_longer_and_at_most_an_hour(lab: Lab) -> None:
    one = package()
    world = lab.take_in(one)
    world.spool.conclude(one.id, "SUCCESS")
    lab.server.deaf = True
    waits = []
    for _ in range(10):
        assert not send_results(world)
        waits.append(world.patience.until - lab.clock.now())
        assert not send_results(world)  # asked too early: nothing is sent
        lab.clock.time = world.patience.until
    assert waits == [45, 90, 180, 360, 720, 1440, 2700, 2700, 2700, 2700]
    assert len([line for line in lab.log.lines if "could not be told" in line]) == 10
    lab.clock.wrong = -40 * 24 * 3600  # a clock that was set back must not silence it
    lab.server.deaf = False
    assert send_results(world)


def test_the_daemon_wakes_up_to_tell_a_result_again(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    lab.server.deaf = True
    world = lab.start()
    rests: list[float] = []

    def tired(seconds: float) -> None:
        if seconds <= 0:
            return
        rests.append(seconds)
        lab.clock.time += seconds
        lab.server.deaf = len(rests) < 3
        if len(rests) == 4:
            raise KeyboardInterrupt

    lab.clock.rest = tired  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_forever(world)
    assert rests[:3] == [45, 90, 180]
    assert rests[3] > 1800
    assert lab.server.codes == [(one.id, "SUCCESS")]


def test_a_clock_that_was_set_back_while_the_agent_slept_does_not_silence_it(lab: Lab) -> None:
    world = lab.start()
    rests: list[float] = []

    def tired(seconds: float) -> None:
        rests.append(seconds)
        lab.clock.time += seconds
        lab.clock.wrong = -400 * 24 * 3600
        if len(rests) == 3:
            raise KeyboardInterrupt

    lab.clock.rest = tired  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_forever(world)
    assert max(rests) <= 24 * 3600


def test_an_error_after_the_command_has_started_ends_it_as_a_restart_would(lab: Lab) -> None:
    one = package()
    lab.server.add(one)

    def act(job: Job, witness: Witness) -> Ending:
        witness.armed("run")
        raise KeyError("nobody foresaw this")

    lab.fake_host.act = act  # type: ignore[method-assign]
    run_once(lab.start())
    assert lab.results() == {one.id: "ERR_DONE_FAILED"}
