"""What is remembered between two runs: journals that survive anything, history, results, identity."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.agent import journal, memory, record, results
from appliance.agent.driver import run_once
from appliance.agent.files import Files, remove_tree
from appliance.agent.identity import device_id, new_device_id
from appliance.agent.jobs import Ending
from appliance.agent.memory import Memory
from appliance.agent.record import Phase
from appliance.domain.messages import is_device_id
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo
from tests.agent.kit import START, Lab, package

ENTRIES = [
    {"phase": "ANNOUNCED", "at": 1, **record.announced(package().pack)},
    {"phase": "INFO", "at": 2},
    {"phase": "VERIFIED", "at": 3},
    {"phase": "ARMED", "at": 4, "run": "x"},
    {"phase": "EXITED", "at": 5, "code": "ERR_EXIT_CODE_3", "why": "\u00e9\n", "exit_code": 3},
]
WHOLE = b"".join(map(journal.line, ENTRIES))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


@given(st.integers(0, len(WHOLE)), st.binary(max_size=40))
def test_a_journal_torn_anywhere_gives_the_events_before_the_tear(cut: int, garbage: bytes) -> None:
    found = journal.read(WHOLE[:cut] + garbage.replace(b"\n", b"x"))
    whole = WHOLE.splitlines(keepends=True)
    kept = sum(1 for n in range(1, len(whole) + 1) if len(b"".join(whole[:n])) <= cut)
    assert list(found.entries) == ENTRIES[:kept]
    assert found.good == len(b"".join(whole[:kept]))
    assert not found.damaged


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_journal_with_a_wrong_byte_loses_that_line_and_tells(at: int, flip: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= flip
    found = journal.read(bytes(data))
    assert all(entry in ENTRIES for entry in found.entries)
    assert len(found.entries) >= len(ENTRIES) - 2
    last = len(WHOLE) - len(journal.line(ENTRIES[-1]))
    assert found.damaged or at >= last


@given(st.binary(max_size=300))
def test_any_bytes_are_a_journal_of_something(data: bytes) -> None:
    assert journal.read(data).entries == ()


def test_events_of_a_later_version_are_left_alone() -> None:
    extra = {"phase": "DELAYED", "at": 9, "count": 1}
    announced = {"phase": "ANNOUNCED", "at": 1, "pack": {**ENTRIES[0]["pack"], "new": 1}}
    found = record.fold(PackageId("1700000001"), [announced, ENTRIES[1], extra])
    assert found is not None
    assert (found.phase, found.first_at) == (Phase.INFO, 1)


def test_what_follows_a_torn_line_is_written_over_it(lab: Lab) -> None:
    one = package()
    world = lab.take_in(one)
    path = world.spool.folder / one.id / "journal"
    path.write_bytes(path.read_bytes() + b'12345678 {"phase":"ARM')
    again = lab.start()
    again.spool.note(one.id, Phase.VERIFIED)
    found = journal.read(path.read_bytes())
    assert [entry["phase"] for entry in found.entries] == ["ANNOUNCED", "INFO", "VERIFIED"]
    assert not found.damaged


def test_a_journal_damaged_in_its_middle_never_leads_to_a_second_run(lab: Lab) -> None:
    one = package()
    world = lab.take_in(one)
    path = world.spool.folder / one.id / "journal"
    world.spool.note(one.id, Phase.ARMED)
    world.spool.note(one.id, Phase.VERIFIED)  # as if ARMED were lost among others
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"ARMED"', b'"ARMEX"'))
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_DONE_FAILED"}
    assert lab.fake_host.ran == []


@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.STARTED])
def test_a_command_that_may_have_run_is_not_run_again(lab: Lab, phase: Phase) -> None:
    one = package()
    world = lab.take_in(one)
    world.spool.note(one.id, Phase.ARMED)
    world.spool.note(one.id, phase)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_DONE_FAILED"}
    assert lab.fake_host.ran == []
    assert any("ERR_DONE_FAILED" in line for line in lab.log.lines)


def test_a_command_whose_end_was_written_down_keeps_its_outcome(lab: Lab) -> None:
    one = package()
    world = lab.take_in(one)
    world.spool.note(one.id, Phase.ARMED)
    world.spool.note(one.id, Phase.EXITED, code="ERR_EXIT_CODE_3", why="x", exit_code=3)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_EXIT_CODE_3"}


def test_after_an_acknowledged_error_a_new_announcement_runs_it_again(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    lab.fake_host.endings[one.id] = Ending("ERR_EXIT_CODE_3")
    assert run_once(lab.start())
    lab.server.finished.clear()
    lab.fake_host.endings.clear()
    assert run_once(lab.start())
    assert [code for _, code in lab.server.codes] == ["ERR_EXIT_CODE_3", "SUCCESS"]


def test_what_is_installed_is_told_and_not_run_again_unless_forced(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    assert run_once(lab.start())
    lab.server.finished.clear()
    assert run_once(lab.start())
    one.pack = type(one.pack)(**{**one.pack.__dict__, "force": True})
    lab.server.finished.clear()
    assert run_once(lab.start())
    assert [code for _, code in lab.server.codes] == ["SUCCESS", "ERR_ALREADY_SETUP", "SUCCESS"]
    assert lab.fake_host.ran == [one.id, one.id]
    assert lab.start().spool.history() == [one.id]
    assert lab.leftovers() == []


def test_a_withdrawn_package_that_has_not_started_is_dropped(lab: Lab) -> None:
    one, two = package(1, data=b"abc", fragment_size=1, priority=9), package(2, priority=9)
    world = lab.take_in(one, two)
    lab.server.withdrawn.add(one.id)
    lab.server.tempo = Tempo(period_length=2, cycle_latency=0, frag_latency=0)
    assert run_once(world)
    assert lab.leftovers() == [two.id]
    assert lab.server.codes == []


def test_fragments_that_are_there_are_not_fetched_again_and_short_ones_are(lab: Lab) -> None:
    one = package(data=b"abcdefgh", fragment_size=2)
    world = lab.take_in(one)
    for number in (1, 2, 3):
        world.spool.part_path(one.id, number).write_bytes(one.fragments[number - 1])
        world.spool.keep_fragment(one.id, number)
    world.spool.fragment_path(one.id, 2).write_bytes(b"c")  # as a power cut may leave it
    assert run_once(lab.start())
    assert lab.server.fetched == [(one.id, 2), (one.id, 4)]
    assert lab.results() == {one.id: "SUCCESS"}


def test_a_fragment_that_rotted_is_fetched_anew_and_only_that_one(lab: Lab) -> None:
    one = package(data=b"abcdefgh", fragment_size=2)
    world = lab.take_in(one)
    for number in (1, 2, 3, 4):
        world.spool.part_path(one.id, number).write_bytes(one.fragments[number - 1])
        world.spool.keep_fragment(one.id, number)
    world.spool.fragment_path(one.id, 3).write_bytes(b"EF")
    assert run_once(lab.start())
    assert lab.server.fetched == [(one.id, 3)]
    assert lab.results() == {one.id: "SUCCESS"}


def test_without_a_manifest_a_wrong_whole_is_err_bad_digest_and_nothing_runs(lab: Lab) -> None:
    one = package(data=b"abcdefgh", fragment_size=2, with_manifest=False)
    one.fragments[2] = b"XX"
    lab.server.add(one)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_BAD_DIGEST"}
    assert (lab.fake_host.ran, lab.leftovers()) == ([], [])


def test_with_a_manifest_a_wrong_fragment_is_thrown_away_at_once_and_never_performed(lab: Lab) -> None:
    one = package(data=b"abcdefgh", fragment_size=2)
    good, one.fragments[2] = one.fragments[2], b"XX"
    lab.server.add(one)
    world = lab.start()
    assert run_once(world)
    assert lab.results() == {}
    assert world.spool.holdings[one.id].missing == [3, 4]
    one.fragments[2] = good
    assert run_once(lab.start())
    assert lab.results() == {one.id: "SUCCESS"}


def test_an_md5_that_no_fragments_can_have_is_err_bad_digest_though_the_manifest_fits(lab: Lab) -> None:
    one = package(data=b"abc", digest="0" * 32)
    lab.server.add(one)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_BAD_DIGEST"}


def test_results_are_kept_for_status_with_their_output_and_old_ones_go(lab: Lab) -> None:
    world = lab.start()
    for number in range(results.MOST + 3):
        one = package(number)
        world.spool.announce(one.pack)
        (world.spool.folder / one.id / "output").write_bytes(b"\xffout")
        world.spool.conclude(one.id, "SUCCESS")
        world.spool.acknowledge(one.id)
    kept = results.read(world.spool.folder)
    assert len(kept) == results.MOST
    assert kept[0]["output"] == "\\xffout"
    assert len(lab.start().spool.history()) == results.MOST + 3


def test_folders_without_a_journal_are_swept_and_strangers_are_left_alone(lab: Lab) -> None:
    lab.start()
    (lab.folder / "spool/1700000009").mkdir()
    (lab.folder / "spool/1700000009/fragment").write_bytes(b"x")
    (lab.folder / "spool/notes").mkdir()
    lab.start()
    assert lab.leftovers() == []
    assert (lab.folder / "spool/notes").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="links as on Unix")
def test_cleaning_never_follows_a_link(lab: Lab, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"v")
    one = package()
    world = lab.take_in(one)
    (world.spool.folder / one.id / "link").symlink_to(victim)
    (world.spool.folder / one.id / "work").mkdir()
    (world.spool.folder / one.id / "work/link").symlink_to(victim)
    world.spool.conclude(one.id, "SUCCESS")
    world.spool.acknowledge(one.id)
    assert lab.leftovers() == []
    assert (victim / "file").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes as on Unix")
def test_what_a_package_made_unwritable_is_removed_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "b/c").mkdir(parents=True)
    (folder / "b/c/file").write_bytes(b"")
    (folder / "b/c").chmod(0o500)
    (folder / "b").chmod(0o500)
    remove_tree(folder)
    assert not folder.exists()


def test_memory_is_kept_whole_and_a_broken_one_is_a_fresh_one(tmp_path: Path) -> None:
    known = Memory(device_id="x", account={"TAG": "\u00e9"}, tempo=Tempo(period_length=3), manifest_hosts=["h"])
    memory.save(known, tmp_path, Files())
    assert memory.load(tmp_path) == known
    for broken in (b"", b"[]", b'{"device_id": 5, "tempo": {"no": 1}, "other": 1}', b"\xff"):
        (tmp_path / memory.NAME).write_bytes(broken)
        assert memory.load(tmp_path) == Memory()


@given(st.text(max_size=300), st.integers(0, 2**32))
def test_every_host_name_gives_a_device_id_that_servers_accept(host: str, now: int) -> None:
    assert is_device_id(new_device_id(host, now))


def test_the_device_id_stays_until_the_computer_is_renamed() -> None:
    known = Memory()
    first = device_id(known, "pc1", START)
    assert device_id(known, "pc1", START + 5000) == first
    assert device_id(known, "pc2", START + 5000) != first
    assert known.device_id.startswith("pc2-20")


def test_the_journal_is_readable_by_people(lab: Lab) -> None:
    one = package()
    world = lab.take_in(one)
    lines = (world.spool.folder / one.id / "journal").read_text().splitlines()
    assert json.loads(lines[1].partition(" ")[2]) == {"phase": "INFO", "at": START}
