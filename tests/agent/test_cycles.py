"""The cycle engine: which steps it takes, in which order, and where it rests.

Source: the manual, "How does it work?".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.agent.age import DAY
from appliance.agent.contact import make_contact, soonest
from appliance.agent.driver import run_forever, run_once
from appliance.agent.jobs import Ending, Job, Witness
from appliance.agent.periods import deploy, left, run_period
from appliance.domain.tempo import Tempo
from tests.agent.kit import FAST, START, Lab, package

MANUAL = Tempo(cycle_latency=60, frag_latency=10, period_latency=5)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


def rest(seconds: int) -> tuple[str, int]:
    return ("rest", seconds)


def test_priority_five_rests_four_cycles_then_fetches_once(lab: Lab) -> None:
    firefox = package(data=b"ab", fragment_size=1, priority=5)
    world = lab.take_in(firefox)
    run_period(world, Tempo(period_length=5))
    assert lab.story == [rest(60)] * 4 + [("fetch", firefox.id, 1), rest(10), rest(60)]


def test_the_period_latency_comes_after_the_last_cycle(lab: Lab) -> None:
    world = lab.take_in(package(priority=9))
    run_period(world, Tempo(period_length=2, cycle_latency=7, period_latency=3))
    assert lab.story == [rest(7), rest(7), rest(3)]


def test_two_fragments_need_three_eligible_cycles(lab: Lab) -> None:
    one = package(data=b"ab", fragment_size=1)
    world = lab.take_in(one)
    run_period(world, MANUAL)
    assert lab.story == [
        *[("fetch", one.id, 1), rest(10), rest(60)],
        *[("fetch", one.id, 2), rest(10), rest(60)],
        *[("perform", one.id), ("told", one.id, "SUCCESS")],
    ]


def test_priority_two_and_five_share_the_tenth_cycle(lab: Lab) -> None:
    two, five = package(2, data=b"abcdef", fragment_size=1, priority=2), package(5, data=b"abc", priority=5)
    world = lab.take_in(five, two)
    run_period(world, Tempo(cycle_latency=60, frag_latency=10))
    steps = [entry for entry in lab.story if entry != rest(10) and entry != rest(60)]
    assert steps == [
        *[("fetch", two.id, 1), ("fetch", two.id, 2), ("fetch", five.id, 1)],
        *[("fetch", two.id, 3), ("fetch", two.id, 4), ("fetch", two.id, 5), ("perform", five.id)],
        ("told", five.id, "SUCCESS"),
    ]


def test_a_package_of_priority_zero_goes_first_and_alone_also_while_it_fails(lab: Lab) -> None:
    urgent, other = package(0, data=b"x", priority=0), package(1, data=b"y", priority=1)
    world = lab.take_in(other, urgent)
    lab.server.broken.add((urgent.id, 1))
    run_period(world, FAST)
    assert set(lab.story) == {("fetch", urgent.id, 1)}
    lab.server.broken.clear()
    lab.story.clear()
    assert run_once(world)
    done = [entry for entry in lab.story if isinstance(entry, tuple) and entry[0] == "perform"]
    assert done == [("perform", urgent.id), ("perform", other.id)]


def test_a_failed_fragment_is_tried_again_at_the_next_eligible_cycle_and_others_go_on(lab: Lab) -> None:
    bad, good = package(1, data=b"x", priority=2), package(2, data=b"y", priority=1)
    world = lab.take_in(bad, good)
    lab.server.broken.add((bad.id, 1))
    run_period(world, Tempo(period_length=4, cycle_latency=1, frag_latency=0))
    assert [entry for entry in lab.story if entry != rest(1)] == [
        *[("fetch", good.id, 1), ("perform", good.id), ("told", good.id, "SUCCESS")],
        *[("fetch", bad.id, 1), ("fetch", bad.id, 1)],
    ]


def test_a_priority_beyond_the_period_never_moves_and_once_leaves_it_to_the_next_run(lab: Lab) -> None:
    far = package(priority=9)
    lab.server.add(far)
    lab.server.tempo = Tempo(period_length=5, cycle_latency=0, frag_latency=0)
    world = lab.start()
    assert run_once(world)
    assert [name for name, one in world.spool.holdings.items() if one.is_under_way] == [far.id]


def test_download_off_stops_everything_and_drops_nothing(lab: Lab) -> None:
    one = package(data=b"xy", fragment_size=1)
    world = lab.take_in(one)
    lab.server.tempo = Tempo(on=False)
    assert run_once(world)
    assert lab.story == ["prolog"]
    assert lab.leftovers() == [one.id]


def test_silence_about_deployment_withdraws_nothing_and_changes_no_pace(lab: Lab) -> None:
    one = package(data=b"xy", fragment_size=1)
    world = lab.take_in(one)
    lab.server.tempo = None
    assert run_once(world)
    assert lab.results() == {one.id: "SUCCESS"}


def test_a_package_that_is_too_old_is_given_up_with_err_timeout(lab: Lab) -> None:
    one = package(data=b"xy")
    world = lab.take_in(one)
    lab.clock.time += 30 * DAY + 1
    assert not left(world)
    assert lab.results() == {one.id: "ERR_TIMEOUT"}
    assert lab.leftovers() == []


def test_the_timeout_counts_from_the_first_announcement_and_over_restarts(lab: Lab) -> None:
    one = package(data=b"xy")
    lab.take_in(one)
    for _ in range(29):
        lab.clock.time += DAY
        world = lab.start()
        assert make_contact(world)
        assert left(world)
    lab.clock.time += DAY + 100
    assert not left(world)


@pytest.mark.parametrize("jump", [40 * DAY, -40 * DAY, -START, 2**31 - START])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_jumps_gives_nothing_up_and_the_agent_goes_on(lab: Lab, jump: int, restarts: bool) -> None:
    one = package(data=b"xy", fragment_size=1)
    world = lab.take_in(one)
    lab.clock.wrong += jump
    world = lab.start() if restarts else world
    assert left(world)
    assert soonest(world) <= lab.clock.now() + 24 * 3600
    assert make_contact(world)
    lab.clock.wrong = 0
    assert left(world)
    assert run_once(world)
    assert lab.results() == {one.id: "SUCCESS"}


def test_a_computer_that_was_off_for_weeks_gets_its_chance(lab: Lab) -> None:
    one = package(data=b"xy")
    lab.take_in(one)
    lab.clock.time += 40 * DAY
    assert run_once(lab.start())
    assert lab.results() == {one.id: "SUCCESS"}


def test_an_error_is_told_and_is_no_history(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    lab.fake_host.endings[one.id] = Ending("ERR_EXIT_CODE_3", "why", 3)
    world = lab.start()
    assert run_once(world)
    assert lab.results() == {one.id: "ERR_EXIT_CODE_3"}
    assert world.spool.history() == []


def test_the_daemon_rests_between_contacts_and_wakes_for_nothing_else(lab: Lab) -> None:
    lab.server.add(package())
    world = lab.start()
    contacts = []

    def tired(seconds: float) -> None:
        contacts.append(seconds)
        lab.clock.time += seconds
        if len(contacts) == 4:
            raise KeyboardInterrupt

    lab.clock.rest = lambda seconds: tired(seconds) if seconds > 0 else None  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_forever(world)
    assert contacts == [int(24 * 3600 * 0.55), 24 * 3600, 24 * 3600, 24 * 3600]  # the first one spreads computers


def test_a_daemon_that_is_started_again_keeps_to_the_contact_that_was_planned(lab: Lab) -> None:
    world = lab.take_in()
    planned = world.memory.next_contact
    lab.clock.rest = lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    again = lab.start()
    with pytest.raises(KeyboardInterrupt):
        run_forever(again)
    assert again.memory.next_contact == planned
    assert "prolog" not in lab.story


def test_a_deaf_server_is_told_the_result_later_and_the_command_runs_once(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    lab.server.deaf = True
    world = lab.start()
    assert not run_once(world)
    assert lab.fake_host.ran == [one.id]
    assert world.spool.history() == [one.id]  # success is history before anybody is told
    lab.server.deaf = False
    assert run_once(lab.start())
    assert lab.fake_host.ran == [one.id]
    assert lab.server.codes == [(one.id, "SUCCESS")]
    assert lab.leftovers() == []


def test_once_fails_where_the_contact_fails(lab: Lab) -> None:
    lab.server.down = True
    world = lab.start()
    assert not run_once(world)
    assert world.memory.trouble == "The server is down."


def test_an_inventory_that_fails_does_not_stop_the_deployments(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    lab.server.inventory_wanted = True
    real = lab.server.contact
    lab.server.contact = lambda xml: b"<no/>" if b"INVENTORY" in xml else real(xml)  # type: ignore[method-assign]
    assert not run_once(lab.start())
    assert lab.results() == {one.id: "SUCCESS"}


def test_a_bug_in_one_package_is_logged_and_the_others_go_on(lab: Lab) -> None:
    bad, good = package(1), package(2)
    lab.server.add(bad, good)
    world = lab.start()
    real = lab.fake_host.act

    def act(job: Job, witness: Witness) -> Ending:
        if job.info.package == bad.id:
            raise KeyError("nobody foresaw this")
        return real(job, witness)

    lab.fake_host.act = act  # type: ignore[method-assign]
    assert run_once(world)
    assert lab.results() == {good.id: "SUCCESS"}
    assert any("internal error: KeyError" in line for line in lab.log.lines)


def test_a_full_disk_does_not_end_the_daemon(lab: Lab) -> None:
    lab.server.add(package())
    world = lab.start()
    rests = []

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def tired(seconds: float) -> None:
        rests.append(seconds)
        lab.clock.time += max(0.0, seconds)
        if len(rests) == 3:
            raise KeyboardInterrupt

    lab.files.keep = full  # type: ignore[method-assign]
    lab.clock.rest = tired  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_forever(world)
    assert rests[:2] == [10, 10]
    assert rests[2] <= 3600  # the contact comes again soon


def test_latencies_of_zero_are_no_loop_without_rest(lab: Lab) -> None:
    one = package(data=b"x")
    world = lab.take_in(one)
    lab.server.broken.add((one.id, 1))
    world.memory.next_contact = lab.clock.now() + 25
    deploy(world)
    assert [entry for entry in lab.story if entry == rest(10)] == [rest(10)] * 3
    assert lab.story.count(("fetch", one.id, 1)) == 30
