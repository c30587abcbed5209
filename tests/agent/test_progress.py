"""How far a download has come, told by the way: to our own server only, seldom, and never in a package's way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent.contact import make_contact
from appliance.agent.driver import run_once
from appliance.agent.failure import Rejected, Unreachable
from appliance.agent.periods import run_period
from appliance.domain.tempo import Tempo
from tests.agent.kit import FAST, Built, Lab, package

SLOW = Tempo(cycle_latency=50, frag_latency=0, period_latency=0)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


def forty() -> Built:
    return package(data=bytes(range(40)), fragment_size=1)


def told(lab: Lab) -> list[int]:
    return [progress.fetched for progress in lab.server.mentions]


def test_it_is_told_after_the_first_fragment_then_once_a_minute_and_after_the_last(lab: Lab) -> None:
    one = package(data=b"abcde", fragment_size=1)
    lab.server.gossips = True
    world = lab.take_in(one)
    run_period(world, replace(SLOW, period_length=6))
    rest = ("rest", 50)
    assert lab.story == [
        *[("fetch", one.id, 1), ("progress", one.id, 1), rest],
        *[("fetch", one.id, 2), rest],
        *[("fetch", one.id, 3), ("progress", one.id, 3), rest],
        *[("fetch", one.id, 4), rest],
        *[("fetch", one.id, 5), ("progress", one.id, 5), rest],
        *[("perform", one.id), ("told", one.id, "SUCCESS")],
    ]
    assert {(said.device_id, said.package) for said in lab.server.mentions} == {(world.device_id, one.id)}


def test_without_pauses_only_the_first_and_the_last_fragment_are_told(lab: Lab) -> None:
    lab.server.add(forty())
    assert run_once(lab.start())
    assert told(lab) == [1, 40]


def test_each_package_has_its_own_minute(lab: Lab) -> None:
    one, two = package(1, data=b"abc", fragment_size=1), package(2, data=b"abc", fragment_size=1)
    world = lab.take_in(one, two)
    run_period(world, replace(SLOW, period_length=2))
    assert [(said.package, said.fetched) for said in lab.server.mentions] == [(one.id, 1), (two.id, 1)]


def test_a_clock_that_jumps_silences_nothing_and_floods_nobody(lab: Lab) -> None:
    world = lab.take_in(forty())
    for jump in (0, -10_000_000, 10_000_000):
        lab.clock.wrong = jump
        run_period(world, replace(SLOW, period_length=2))
    assert told(lab) == [1, 3, 5]


def test_a_fragment_that_did_not_come_is_not_told(lab: Lab) -> None:
    one = package(data=b"ab", fragment_size=1)
    world = lab.take_in(one)
    lab.server.broken.add((one.id, 1))
    run_period(world, replace(SLOW, period_length=3))
    assert told(lab) == []
    lab.server.broken.clear()
    run_period(world, replace(SLOW, period_length=1))
    assert told(lab) == [1]


def test_a_restarted_agent_counts_what_was_there_before(lab: Lab) -> None:
    world = lab.take_in(forty())
    run_period(world, replace(FAST, period_length=7))
    run_period(lab.start(), replace(FAST, period_length=1))
    assert told(lab) == [1, 8]


def test_a_package_without_a_file_has_nothing_to_tell(lab: Lab) -> None:
    lab.server.add(package())
    assert run_once(lab.start())
    assert told(lab) == []


def test_a_genuine_server_is_never_told(lab: Lab) -> None:
    one = forty()
    lab.server.is_genuine = True
    lab.server.add(one)
    assert run_once(lab.start())
    run_period(lab.take_in(package(2, data=b"abc", fragment_size=1)), SLOW)
    assert lab.results()[one.id] == "SUCCESS"
    assert told(lab) == []


def test_a_server_that_was_never_met_or_turned_out_to_be_genuine_is_not_told(lab: Lab) -> None:
    world = lab.take_in(forty())
    lab.server.server = "http://other.example.org/ocsinventory"
    run_period(world, replace(SLOW, period_length=2))
    assert told(lab) == []
    lab.server.server = "http://ocs.example.org/ocsinventory"
    lab.server.is_genuine = True
    assert make_contact(world)
    run_period(world, replace(SLOW, period_length=2))
    assert told(lab) == []


def test_while_contacts_or_results_fail_nothing_is_told(lab: Lab) -> None:
    world = lab.take_in(forty())
    lab.server.down = True
    assert not make_contact(world)
    run_period(world, replace(FAST, period_length=2))
    assert told(lab) == []
    lab.server.down = False
    assert make_contact(world)
    world.patience.failures = 1
    other = package(2)
    lab.server.add(other)
    world.spool.announce(other.pack)
    world.spool.conclude(other.id, "ERR_ABORTED")
    lab.server.deaf = True
    run_period(world, replace(FAST, period_length=2))
    assert told(lab) == []
    lab.server.deaf = False
    world.patience.until = 0
    run_period(world, replace(FAST, period_length=1))
    assert told(lab) == [5]


def test_a_server_that_cannot_be_reached_with_it_is_left_alone_for_ten_minutes_and_nothing_else_notices(
    lab: Lab,
) -> None:
    one = forty()
    world = lab.take_in(one)

    def lost(xml: bytes) -> None:
        lab.server.story.append("lost")
        raise Unreachable("The server does not listen.")

    lab.server.mention = lost  # type: ignore[method-assign]
    run_period(world, replace(SLOW, period_length=14))
    fetched = [entry for entry in lab.story if entry != ("rest", 50)]
    assert fetched[:2] == [("fetch", one.id, 1), "lost"]
    assert fetched.count("lost") == 2
    assert fetched.index("lost", 2) == 14  # after the 13th fragment, 600 seconds later
    assert not any("could not be told" in line for line in lab.log.lines)
    assert world.patience.failures == 0


def test_a_server_that_refuses_it_is_not_asked_again_before_the_next_contact(lab: Lab) -> None:
    world = lab.take_in(forty())
    real, refusals = lab.server.mention, []

    def refuses(xml: bytes) -> None:
        refusals.append(xml)
        raise Rejected(400, "ocs.example.org answers 400.")

    lab.server.mention = refuses  # type: ignore[method-assign]
    run_period(world, replace(SLOW, period_length=20))
    assert len(refusals) == 1
    lab.server.mention = real  # type: ignore[method-assign]
    assert make_contact(world)
    run_period(world, replace(SLOW, period_length=1))
    assert told(lab) == [21]


def test_an_error_that_nobody_foresaw_fails_no_deployment(lab: Lab) -> None:
    one = forty()
    lab.server.add(one)
    lab.log.debugging = True

    def breaks(xml: bytes) -> None:
        raise KeyError("nobody foresaw this")

    lab.server.mention = breaks  # type: ignore[method-assign]
    assert run_once(lab.start())
    assert lab.results() == {one.id: "SUCCESS"}
    levels = {line.split()[0] for line in lab.log.lines if "could not be told" in line}
    assert levels == {"debug"}


def test_nothing_of_it_is_kept(lab: Lab) -> None:
    world = lab.take_in(forty())
    run_period(world, replace(FAST, period_length=3))
    spool = lab.folder / "spool"
    assert not any("progress" in path.read_text("utf-8", "replace").lower() for path in spool.glob("*.json"))
    journal = next(spool.glob("*/journal")).read_text()
    assert "progress" not in journal.lower()
