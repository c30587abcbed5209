"""`agent status`: what is in the spool and why it waits, as sentences; and as a document with stable keys."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent import status
from appliance.agent.contact import make_contact
from appliance.agent.driver import run_once
from appliance.agent.notice import Answer
from appliance.agent.record import Phase
from appliance.agent.world import World
from appliance.clock import iso
from appliance.domain.package import Notice
from appliance.domain.tempo import Tempo
from tests.agent.kit import Built, Lab, package


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


def reasons(lab: Lab) -> dict[str, str]:
    return {one["package"]: one["reason"] for one in status.collect(lab.folder, lab.clock)["spool"]}


def taken(lab: Lab, *built: Built, tempo: Tempo | None = None) -> World:
    lab.server.tempo = tempo or Tempo()
    return lab.take_in(*built)


def test_what_is_fetched_says_which_fragment_comes_when(lab: Lab) -> None:
    one = package(data=b"abcd", fragment_size=1, priority=5)
    world = taken(lab, one)
    world.spool.part_path(one.id, 1).write_bytes(b"a")
    world.spool.keep_fragment(one.id, 1)
    assert reasons(lab)[one.id] == (
        "Next is fragment 2 of 4, in each cycle that 5 divides; the pauses until its end add up to 20 min 40 s."
    )


def test_what_is_held_back_by_priority_0_names_it(lab: Lab) -> None:
    urgent, other = package(1, data=b"x", priority=0), package(2, data=b"y")
    taken(lab, urgent, other)
    assert reasons(lab)[other.id] == f"Held back by {urgent.id}, which has priority 0 and goes first, alone."
    assert reasons(lab)[urgent.id].startswith("Next is fragment 1 of 1, in every cycle, first and alone")


def test_a_priority_beyond_the_period_says_that_it_never_moves(lab: Lab) -> None:
    one = package(priority=9)
    taken(lab, one, tempo=Tempo(period_length=5))
    assert reasons(lab)[one.id] == "Never moves: priority 9 is beyond the period of 5 cycles."


def test_what_waits_for_its_schedule_says_until_when(lab: Lab) -> None:
    one = package()
    one.pack = replace(one.pack, schedule="2029/01/31 10:30")
    taken(lab, one)
    assert reasons(lab)[one.id] == "All of it is here; it waits for its schedule, 2029-01-31 10:30:00."
    document = status.collect(lab.folder, lab.clock)["spool"][0]
    assert document["scheduled"] == time.strftime(
        "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.mktime((2029, 1, 31, 10, 30, 0, 0, 0, -1)))
    )


def test_what_the_person_put_off_says_so(lab: Lab) -> None:
    one = package(notice=Notice("Beware", 5, may_delay=True))
    lab.people.answers.append(Answer.DELAYED)
    lab.server.add(one)
    run_once(lab.start())
    assert (
        reasons(lab)[one.id]
        == "The person at the computer put it off (1 time); it is asked again after the next contact."
    )


def test_a_server_that_does_not_listen_is_named(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    lab.server.deaf = True
    run_once(lab.start())
    lab.server.down = True
    make_contact(lab.start())
    assert reasons(lab)[one.id] == (
        "Waits for the server, which has not acknowledged its result yet. The last contact failed: The server is down."
    )


def test_refused_fragments_and_a_switched_off_deployment_are_named(lab: Lab) -> None:
    one = package(data=b"x")
    lab.server.add(one)
    lab.server.refused.add((one.id, 1))
    world = lab.start()
    run_once(world)
    assert reasons(lab)[one.id].endswith("No fragment was to be had as it was built in 1 period on end.")
    lab.server.tempo = Tempo(on=False)
    make_contact(world)
    assert "switched off by the server" in reasons(lab)[one.id]


def test_a_running_command_says_since_when(lab: Lab) -> None:
    one = package()
    world = taken(lab, one)
    world.spool.note(one.id, Phase.ARMED, run="x")
    world.spool.note(one.id, Phase.STARTED, pid=4711)
    assert reasons(lab)[one.id].endswith("as process 4711.")


def test_the_table_has_a_line_and_a_reason_for_each_package(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = package(1, data=b"xy", fragment_size=1, name="Media player"), package(2, name="Caf\u00e9")
    taken(lab, one, two)
    assert status.show(lab.folder, lab.clock, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("In the spool:")
    assert lines[at + 1].split() == ["PACKAGE", "NAME", "STATE", "FRAGMENTS", "PRIORITY"]
    assert lines[at + 2].split() == [one.id, "Media", "player", "fetching", "0", "of", "2", "1"]
    assert lines[at + 3].startswith("      Next is fragment 1 of 2")
    assert lines[at + 4].split() == [two.id, "Caf\u00e9", "whole", "-", "1"]
    status.show(lab.folder, lab.clock, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["spool"][0]["fetched"] == 0
    assert document["running"] is False


MEMBER = """deviceid: pc-1-2026-01-31-09-30-00
server: https://ocs.example.org:4343/ocsinventory
renew-after: {renew}
expires: {expires}
-----BEGIN CERTIFICATE-----
MBIwEKADAgECAgcPQkAPQkABMAA=
-----END CERTIFICATE-----
"""


def identity(lab: Lab, capsys: pytest.CaptureFixture[str]) -> str:
    """The line of the table that tells of the membership."""
    status.show(lab.folder, lab.clock, as_json=False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Identity ")]
    return line.removeprefix("Identity").strip()


def test_what_the_computer_joined_and_until_when_stands_in_the_status(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.start()
    assert identity(lab, capsys) == "did not join a server"
    document = status.collect(lab.folder, lab.clock)
    assert (document["membership"], document["membership_fault"]) == (None, "")
    now, file = lab.clock.now(), lab.folder / "member.pem"
    joined = "joined https://ocs.example.org:4343/ocsinventory, certificate f42400f424001"
    for renew, expires, state, said in (
        (now + 60, now + 90, "good", f"{joined} until {iso(now + 90)}, renewed from {iso(now + 60)} on"),
        (now, now + 90, "due", f"{joined} until {iso(now + 90)}, its renewal is due"),
        (now - 60, now, "ended", f"{joined} ended {iso(now)}; `agent join` with a new token puts it right"),
    ):
        file.write_text(MEMBER.format(renew=renew, expires=expires))
        file.chmod(0o600)
        assert identity(lab, capsys) == said
        assert status.collect(lab.folder, lab.clock)["membership"] == {
            "server": "https://ocs.example.org:4343/ocsinventory",
            "deviceid": "pc-1-2026-01-31-09-30-00",
            "serial": "f42400f424001",
            "expires": iso(expires),
            "renew_after": iso(renew),
            "state": state,
        }
    status.show(lab.folder, lab.clock, as_json=True)
    assert json.loads(capsys.readouterr().out)["membership"]["state"] == "ended"


def test_a_membership_that_cannot_be_read_is_said_and_the_rest_is_shown(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    taken(lab, one := package(data=b"x"))
    file = lab.folder / "member.pem"
    file.write_text("nothing of the kind")
    file.chmod(0o600)
    assert "is damaged; `agent join` with a new token puts it right" in identity(lab, capsys)
    file.chmod(0o644)
    assert "can be read by others; chmod 600 it" in identity(lab, capsys)
    document = status.collect(lab.folder, lab.clock)
    assert (document["membership"], document["spool"][0]["package"]) == (None, one.id)
    assert "chmod 600" in document["membership_fault"]
