"""What goes with a package: SCHEDULE, FORCE, POSTCMD, the person at the computer."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent.contact import make_contact
from appliance.agent.driver import run_forever, run_once
from appliance.agent.failure import Failure
from appliance.agent.jobs import Ending
from appliance.agent.notice import Answer
from appliance.agent.perform import LocalHost
from appliance.agent.record import Phase
from appliance.agent.schedule import moment
from appliance.domain.package import Notice, PackageId
from tests.agent.kit import Built, Lab, package


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


def announce(lab: Lab, built: Built, **pack: object) -> Built:
    """The server announces it so, once more."""
    built.pack = replace(built.pack, **pack)  # type: ignore[arg-type]
    lab.server.finished.discard(built.id)
    lab.server.add(built)
    return built


def of_kind(lab: Lab, *kinds: str) -> list[object]:
    return [entry for entry in lab.story if isinstance(entry, tuple) and entry[0] in kinds]


# SCHEDULE


def written(at: float) -> str:
    return time.strftime("%Y/%m/%d %H:%M", time.localtime(at))


def test_a_scheduled_package_is_fetched_at_once_and_performed_at_its_moment_by_the_daemon(lab: Lab) -> None:
    start = (int(lab.clock.time) // 60 + 100) * 60
    one = announce(lab, package(data=b"abc", fragment_size=1), schedule=written(start))
    performed: list[float] = []
    real = lab.fake_host.act

    def act(job: object, witness: object) -> Ending:
        performed.append(lab.clock.time)
        return real(job, witness)  # type: ignore[arg-type]

    lab.fake_host.act = act  # type: ignore[method-assign, assignment]
    rests: list[float] = []

    def rest(seconds: float) -> None:
        if seconds > 0:
            rests.append(seconds)
            lab.clock.time += seconds
        if len(rests) > 3:
            raise KeyboardInterrupt

    lab.clock.rest = rest  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_forever(lab.start())
    assert len(lab.server.fetched) == 3
    assert performed == [start]
    assert rests[0] == start - 1_800_000_000  # one wake-up, at the moment itself
    assert lab.results() == {one.id: "SUCCESS"}


def test_a_schedule_survives_restarts_and_once_leaves_it_to_a_later_run(lab: Lab) -> None:
    start = (int(lab.clock.time) // 60 + 100) * 60
    one = announce(lab, package(data=b"abc"), schedule=written(start))
    assert run_once(lab.start())
    assert run_once(lab.start())
    assert (lab.server.fetched, lab.fake_host.ran) == ([(one.id, 1)], [])
    lab.clock.time = start - 1
    assert run_once(lab.start())
    assert lab.fake_host.ran == []
    lab.clock.time = start
    assert run_once(lab.start())
    assert (lab.server.fetched, lab.fake_host.ran) == ([(one.id, 1)], [one.id])


def test_a_package_that_waits_for_its_schedule_holds_nobody_back_not_even_with_priority_0(lab: Lab) -> None:
    urgent = announce(lab, package(1, data=b"x", priority=0), schedule=written(lab.clock.time + 9000))
    other = announce(lab, package(2, data=b"y"))
    assert run_once(lab.start())
    assert lab.fake_host.ran == [other.id]
    assert lab.server.fetched == [(urgent.id, 1), (other.id, 1)]


def test_a_schedule_that_changes_is_taken_over(lab: Lab) -> None:
    one = announce(lab, package(), schedule=written(lab.clock.time + 9000))
    assert run_once(lab.start())
    announce(lab, one, schedule="")
    assert run_once(lab.start())
    assert lab.fake_host.ran == [one.id]


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-20 10:00", "2026/13/01 10:00", "2026/02/30 10:00", "2026/11/20"])
def test_a_malformed_schedule_is_err_bad_param_and_nothing_is_fetched(lab: Lab, text: str) -> None:
    one = announce(lab, package(data=b"x"), schedule=text)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_BAD_PARAM"}
    assert (lab.server.fetched, lab.fake_host.ran) == ([], [])
    with pytest.raises(Failure, match="YYYY/MM/DD HH:MM"):
        moment(text)


def test_a_moment_is_in_local_time_and_the_missing_hour_is_the_one_after(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("the zone cannot be set here")
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert moment("2026/01/15 10:30") == 1768469400
        assert moment("2026/07/15 10:30") == 1784104200
        assert moment("2026/03/29 02:30") in (1774747800, 1774744200)
        assert moment("") == 0
    finally:
        monkeypatch.undo()
        time.tzset()


# FORCE


def test_force_runs_it_again_once_for_each_announcement_that_follows_a_told_result(lab: Lab) -> None:
    one = announce(lab, package())
    assert run_once(lab.start())
    for _ in range(2):
        announce(lab, one, force=True)
        assert run_once(lab.start())
        assert run_once(lab.start())  # no longer announced
    assert lab.fake_host.ran == [one.id] * 3
    assert lab.start().spool.history() == [one.id]


def test_force_repeated_while_the_result_is_not_told_does_not_run_it_again(lab: Lab) -> None:
    one = announce(lab, package(), force=True)
    lab.server.deaf = True
    world = lab.start()
    for _ in range(3):
        run_once(world)
        world = lab.start()
        make_contact(world)
    assert lab.fake_host.ran == [one.id]
    lab.server.deaf = False
    run_once(world)
    assert lab.fake_host.ran == [one.id]


def test_force_repeated_while_it_is_fetched_changes_nothing(lab: Lab) -> None:
    one = announce(lab, package(data=b"abc", fragment_size=1), force=True)
    world = lab.take_in(one)
    for _ in range(3):
        assert make_contact(world)
    assert run_once(world)
    assert len(lab.server.fetched) == 3
    assert lab.fake_host.ran == [one.id]


# POSTCMD


def test_postcmd_comes_after_the_server_knows_the_result(lab: Lab) -> None:
    one = announce(lab, package(), post_command="REBOOT")
    assert run_once(lab.start())
    kinds = ("perform", "told", "post")
    assert of_kind(lab, *kinds) == [("perform", one.id), ("told", one.id, "SUCCESS"), ("post", one.id, "REBOOT")]
    assert lab.leftovers() == []


def test_postcmd_waits_for_a_deaf_server_and_survives_restarts(lab: Lab) -> None:
    one = announce(lab, package(), post_command="echo x")
    lab.server.deaf = True
    run_once(lab.start())
    assert of_kind(lab, "post") == []
    lab.server.deaf = False
    lab.start()  # the result is told, and then it runs, before any contact
    assert of_kind(lab, "post") == [("post", one.id, "echo x")]
    lab.start()
    assert len(of_kind(lab, "post")) == 1


@pytest.mark.parametrize(
    ("ending", "runs"),
    [
        (Ending("SUCCESS"), True),
        (Ending("ERR_EXIT_CODE_3", "", 3), True),  # as the genuine Windows agent: whatever the exit code
        (Ending("ERR_EXECUTE"), False),
        (Ending("ERR_EXECUTE_TIMEOUT"), False),
        (Ending("ERR_DONE_FAILED"), False),
    ],
)
def test_postcmd_runs_only_where_the_action_came_to_its_end(lab: Lab, ending: Ending, runs: bool) -> None:
    one = announce(lab, package(), post_command="echo x")
    lab.fake_host.endings[one.id] = ending
    run_once(lab.start())
    assert bool(of_kind(lab, "post")) is runs
    assert lab.leftovers() == []


def test_postcmd_never_runs_for_a_package_that_was_there_already(lab: Lab) -> None:
    one = announce(lab, package())
    run_once(lab.start())
    announce(lab, one, post_command="SHUTDOWN")
    run_once(lab.start())
    assert of_kind(lab, "post") == []


def test_a_postcmd_that_may_have_run_is_not_run_again(lab: Lab) -> None:
    one = announce(lab, package(), post_command="REBOOT")
    world = lab.take_in(one)
    world.spool.exited(one.id, "SUCCESS")
    world.spool.conclude(one.id, "SUCCESS")
    world.spool.note(one.id, Phase.ACKED)
    world.spool.note(one.id, Phase.POST_ARMED)
    lab.start()
    assert of_kind(lab, "post") == []
    assert lab.leftovers() == []
    assert lab.start().spool.history() == [one.id]


def test_one_restart_is_enough_for_several_packages_and_comes_after_their_commands(lab: Lab) -> None:
    ids = [PackageId(f"170000000{n}") for n in (1, 2, 3)]
    lab.server.deaf = True
    for number, command in enumerate(("REBOOT", "echo x", "reboot"), 1):
        announce(lab, package(number), post_command=command)
    run_once(lab.start())
    lab.server.deaf = False
    world = lab.start()
    assert of_kind(lab, "post") == [("post", ids[1], "echo x"), ("post", ids[0], "REBOOT")]
    assert world.goes_down
    assert lab.leftovers() == []


def test_nothing_is_begun_while_the_computer_goes_down(lab: Lab) -> None:
    first = announce(lab, package(1, priority=1), post_command="SHUTDOWN")
    second = announce(lab, package(2, priority=2))
    run_once(lab.start())
    assert lab.fake_host.ran == [first.id]
    run_once(lab.start())  # it is up again
    assert lab.fake_host.ran == [first.id, second.id]


def test_a_restart_that_the_system_refuses_does_not_stop_the_agent(lab: Lab) -> None:
    announce(lab, package(1, priority=1), post_command="REBOOT")
    second = announce(lab, package(2, priority=2))
    lab.fake_host.post_code = 1
    world = lab.start()
    assert run_once(world)
    assert second.id in lab.fake_host.ran
    assert any("'REBOOT' ended with code 1" in line for line in lab.log.lines)


@pytest.mark.skipif(os.name == "nt", reason="a Unix shell's command")
def test_a_postcmd_is_a_command_of_the_shell_whose_end_and_output_are_kept(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "agent")
    lab.host = LocalHost(install_path=tmp_path, server="http://s", outer=os.environ, files=lab.files)
    one = announce(lab, package(argument="true"), post_command="echo $OCS_ACTION $OCS_PACKAGE_ID; exit 4")
    assert run_once(lab.start())
    document = (lab.folder / f"spool/results/{one.id}.json").read_text()
    assert '"post_exit_code": 4' in document
    assert f'"post_output": "POSTCMD {one.id}\\n"' in document


# The person at the computer


NOTICE = Notice("Beware", countdown=60, may_cancel=True, may_delay=True)


def test_the_person_is_asked_before_and_confirms_before_the_result_is_told(lab: Lab) -> None:
    one = announce(lab, package(notice=NOTICE, done_text="Fill in the form"))
    assert run_once(lab.start())
    assert of_kind(lab, "ask", "perform", "confirm", "told") == [
        ("ask", "Beware", 0),
        ("perform", one.id),
        ("confirm", "Fill in the form"),
        ("told", one.id, "SUCCESS"),
    ]


def test_the_outcome_is_written_down_before_the_person_confirms_it(lab: Lab) -> None:
    one = announce(lab, package(done_text="Done"))
    world = lab.take_in(one)

    def dies(text: str, *, name: str) -> None:
        raise KeyboardInterrupt

    lab.people.confirm_done = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_once(world)
    lab.start()
    assert lab.results() == {one.id: "SUCCESS"}
    assert lab.fake_host.ran == [one.id]


def test_a_cancelled_package_is_err_aborted_and_does_not_run(lab: Lab) -> None:
    one = announce(lab, package(notice=NOTICE, done_text="Done"), post_command="REBOOT")
    lab.people.answers.append(Answer.CANCELLED)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_ABORTED"}
    assert (lab.fake_host.ran, lab.leftovers(), of_kind(lab, "confirm", "post")) == ([], [], [])


def test_a_delayed_package_is_asked_again_after_the_next_contact_and_the_delays_are_counted(lab: Lab) -> None:
    one = announce(lab, package(1, notice=NOTICE, data=b"x"))
    other = announce(lab, package(2, priority=3))
    lab.people.answers += [Answer.DELAYED, Answer.DELAYED]
    world = lab.start()
    assert run_once(world)
    assert lab.fake_host.ran == [other.id]  # others go on
    world = lab.start()  # a restart is no contact
    assert of_kind(lab, "ask") == [("ask", "Beware", 0)]
    assert run_once(world)
    assert run_once(lab.start())
    assert of_kind(lab, "ask") == [("ask", "Beware", 0), ("ask", "Beware", 1), ("ask", "Beware", 2)]
    assert lab.results()[one.id] == "SUCCESS"
    assert lab.server.fetched == [(one.id, 1)]


def test_a_window_that_fails_loses_no_result(lab: Lab) -> None:
    one = announce(lab, package(done_text="Done"))

    def fails(text: str, *, name: str) -> None:
        raise RuntimeError("no display")

    lab.people.confirm_done = fails  # type: ignore[method-assign]
    assert run_once(lab.start())
    assert lab.results() == {one.id: "SUCCESS"}
