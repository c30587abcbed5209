"""What a computer is told at a contact, and what its results move. Announcements, overrides, outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.domain.eligibility import Cause, Reason
from appliance.domain.search import parse
from appliance.operations.activate import unactivate
from appliance.operations.affect import Selection
from appliance.operations.configure import set_setting
from appliance.operations.package_facts import package_stats
from tests.fakes.appliance import UNIX, WINDOWS, device
from tests.operations.kit import HERE, THERE, Scene, play

A, B = device("alpha"), device("beta")
DAY = 86_400


def test_an_unknown_computer_is_asked_for_its_inventory_and_told_the_tempo_and_not_kept(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        reply = await scene.contact(A)
        assert (reply.inventory_wanted, reply.packs, reply.prolog_hours) == (True, (), 24)
        assert reply.tempo is not None
        assert reply.tempo.timeout_days == 30
        assert await scene.rows("SELECT count(*) FROM computer") == [(0,)]
        await set_setting(scene.desk, "FREQUENCY", "-1")
        assert (await scene.contact(A)).inventory_wanted is False

    play(tmp_path, script)


@pytest.mark.parametrize(
    ("frequency", "age_days", "wanted"),
    [("0", 0, True), ("-1", 400, False), ("7", 6, False), ("7", 7, False), ("7", 8, True)],
)
def test_a_known_computer_is_asked_when_its_inventory_is_old(
    tmp_path: Path, frequency: str, age_days: int, wanted: bool
) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await set_setting(scene.desk, "FREQUENCY", frequency)
        scene.clock.moment += age_days * DAY
        reply = await scene.contact(A)
        assert reply.inventory_wanted is wanted
        assert reply.tempo is not None, "options travel with STOP too"

    play(tmp_path, script)


def test_what_is_set_for_one_computer_wins_over_what_is_set_for_all(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        await set_setting(scene.desk, "DOWNLOAD_CYCLE_LATENCY", "30")
        for name, value in {
            "DOWNLOAD_CYCLE_LATENCY": "0",
            "DOWNLOAD_FRAG_LATENCY": "1",
            "DOWNLOAD_PERIOD_LATENCY": "2",
            "DOWNLOAD_PERIOD_LENGTH": "3",
            "DOWNLOAD_TIMEOUT": "4",
            "DOWNLOAD_EXECUTION_TIMEOUT": "5",
            "PROLOG_FREQ": "6",
            "INVENTORY_ON_STARTUP": "0",
            "FREQUENCY": "-1",
        }.items():
            await set_setting(scene.desk, name, value, "alpha")
        mine, other = await scene.contact(A), await scene.contact(B)
        assert (mine.tempo.cycle_latency, mine.tempo.frag_latency, mine.tempo.period_latency) == (0, 1, 2)
        assert (mine.tempo.period_length, mine.tempo.timeout_days, mine.tempo.execution_timeout_minutes) == (3, 4, 5)
        assert (mine.prolog_hours, mine.on_startup, mine.inventory_wanted) == (6, False, False)
        assert (other.tempo.cycle_latency, other.tempo.frag_latency, other.prolog_hours) == (30, 10, 24)
        await set_setting(scene.desk, "DOWNLOAD_CYCLE_LATENCY", None, "alpha")
        assert (await scene.contact(A)).tempo.cycle_latency == 30

    play(tmp_path, script)


def test_switched_off_for_one_computer_only_that_one_is_told_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        package = await scene.package()
        await scene.affect(package)
        await set_setting(scene.desk, "DOWNLOAD", "0", "alpha")
        off, on = await scene.contact(A), await scene.contact(B)
        assert (off.tempo.on, off.packs) == (False, ())
        assert (on.tempo.on, len(on.packs)) == (True, 1)
        assert await scene.stage(package, A) == ("WAITING NOTIFICATION", "")
        await set_setting(scene.desk, "DOWNLOAD", "0")
        await set_setting(scene.desk, "DOWNLOAD", "1", "beta")
        assert (await scene.contact(B)).tempo.on is False, "off for all is off for everyone"

    play(tmp_path, script)


def test_a_package_is_announced_with_its_activation_until_a_result_arrives(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package()
        await scene.affect(package, schedule="2026/12/24 18:00", post_command="REBOOT")
        for _ in range(3):
            (pack,) = (await scene.contact(A)).packs
            assert (pack.package, pack.info_location, pack.fragment_location) == (package, HERE, THERE)
            assert (pack.schedule, pack.post_command, pack.force) == ("2026/12/24 18:00", "REBOOT", False)
            assert await scene.stage(package, A) == ("NOTIFIED", "")
        await scene.report(A, package, "SUCCESS")
        assert await scene.announced(A) == []

    play(tmp_path, script)


def test_not_activated_is_not_announced_and_unactivating_stops_what_waits(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package(active=False)
        await scene.affect(package)
        assert await scene.announced(A) == []
        await scene.activate(package)
        assert await scene.announced(A) == [package]
        assert await unactivate(scene.desk, package) == 1
        assert await scene.announced(A) == []
        assert await scene.stage(package, A) == ("NOTIFIED", "")

    play(tmp_path, script)


def test_of_several_activations_a_computer_gets_the_one_it_was_given_and_others_the_newest(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        package = await scene.package(active=False)
        paris = await scene.activate(package, "paris.example.org:4343/d", "paris.example.org/d")
        lyon = await scene.activate(package, "lyon.example.org:4343/d", "lyon.example.org/d")
        assert await scene.activate(package, "lyon.example.org:4343/d", "lyon.example.org/d") == lyon
        await scene.affect(package, Selection(computers=("alpha",)), activation=paris)
        await scene.affect(package, Selection(computers=("beta",)))
        where = [(await scene.contact(name)).packs[0].info_location for name in (A, B)]
        assert where == ["paris.example.org:4343/d", "lyon.example.org:4343/d"]
        assert await unactivate(scene.desk, package, paris) == 1
        assert (await scene.contact(A)).packs[0].info_location == "lyon.example.org:4343/d"

    play(tmp_path, script)


def test_what_a_computer_reported_as_installed_is_already_there(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package, forced = await scene.package("one"), await scene.package("forced")
        await scene.inventory(A, history=[package, forced])
        await scene.affect(package)
        await scene.affect(forced, force=True)
        assert await scene.announced(A) == [forced]
        assert await scene.stage(package, A) == ("ERR_ALREADY_SETUP", "SUCCESS_ALREADY_IN_HISTORY")
        await scene.inventory(A, history=[package, forced])
        assert await scene.announced(A) == [forced], "its old run must not stop the new one"

    play(tmp_path, script)


def test_the_genuine_unix_agent_is_told_nothing_new_while_it_is_at_work_and_others_are(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        first, second = await scene.package("first"), await scene.package("second")
        await scene.affect(first)
        assert await scene.announced(A, UNIX) == [first]
        assert await scene.announced(B, WINDOWS) == [first]
        await scene.affect(second)
        assert await scene.announced(A, UNIX) == [first]
        assert set(await scene.announced(B, WINDOWS)) == {first, second}
        _, stands = await package_stats(scene.desk, second)
        assert [s.why for s in stands if s.device_id == A] == [Reason(Cause.WAITS_FOR, {"package": "first"})]
        await scene.report(A, first, "SUCCESS")
        assert await scene.announced(A, UNIX) == [second]

    play(tmp_path, script)


def test_a_unix_agent_that_stays_silent_for_a_day_is_told_of_the_next_package(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        first = await scene.package("first")
        await scene.affect(first)
        await scene.contact(A, UNIX)
        second = await scene.package("second")
        await scene.affect(second)
        scene.clock.moment += DAY - 1
        assert await scene.announced(A, UNIX) == [first]
        scene.clock.moment += 1
        assert set(await scene.announced(A, UNIX)) == {first, second}

    play(tmp_path, script)


def test_lower_priority_numbers_are_announced_first(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        late, first = await scene.package("late", priority=9), await scene.package("first", priority=0)
        await scene.affect(late)
        await scene.affect(first)
        assert await scene.announced(A) == [first, late]

    play(tmp_path, script)


# Results


MOVES = [
    # what was sent before, what is sent now -> status, received
    ((), "SUCCESS", ("SUCCESS", "SUCCESS")),
    ((), "SUCCESS_0", ("SUCCESS", "SUCCESS_0")),
    ((), "SUCCESS_", ("SUCCESS", "SUCCESS_")),
    ((), "SUCCESS_3", ("ERR_EXIT_CODE_3", "SUCCESS_3")),
    ((), "EXIT_CODE_-5", ("ERR_EXIT_CODE_-5", "EXIT_CODE_-5")),
    ((), "ERR_BAD_DIGEST", ("ERR_BAD_DIGEST", "ERR_BAD_DIGEST")),
    ((), "", ("UNKNOWN_CODE", "")),
    ((), "NEVER_HEARD_OF", ("NEVER_HEARD_OF", "NEVER_HEARD_OF")),
    ((), "SUCCESS_ALREADY_SETUP", ("ERR_ALREADY_SETUP", "SUCCESS_ALREADY_SETUP")),
    ((), "ERR_ALREADY_SETUP", ("ERR_ALREADY_SETUP", "ERR_ALREADY_SETUP")),
    ((), "SUCCESS_REBOOT_REQUIRED", ("SUCCESS", "SUCCESS_REBOOT_REQUIRED")),
    (("SUCCESS_0",), "SUCCESS_", ("SUCCESS", "SUCCESS_0")),
    (("SUCCESS",), "SUCCESS_", ("SUCCESS", "SUCCESS")),
    (("SUCCESS",), "SUCCESS_0", ("SUCCESS", "SUCCESS_0")),
    (("SUCCESS",), "SUCCESS_ALREADY_SETUP", ("SUCCESS", "SUCCESS")),
    (("SUCCESS",), "ERR_EXECUTE", ("ERR_EXECUTE", "ERR_EXECUTE")),
    (("ERR_EXECUTE",), "SUCCESS_", ("SUCCESS", "SUCCESS_")),
    (("ERR_EXECUTE",), "ERR_CLEAN", ("ERR_CLEAN", "ERR_CLEAN")),
    (("SUCCESS_3",), "SUCCESS_", ("SUCCESS", "SUCCESS_")),
    (("SUCCESS_ALREADY_SETUP",), "SUCCESS", ("SUCCESS", "SUCCESS")),
]


@pytest.mark.parametrize(("before", "code", "shown"), MOVES)
def test_a_result_moves_the_row(tmp_path: Path, before: tuple[str, ...], code: str, shown: tuple[str, str]) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package()
        await scene.affect(package)
        await scene.contact(A)
        for earlier in before:
            await scene.report(A, package, earlier)
        await scene.report(A, package, code)
        assert await scene.stage(package, A) == shown
        events = await scene.rows("SELECT detail FROM event WHERE kind = 'result' ORDER BY id")
        assert [detail for (detail,) in events] == [*before, code]

    play(tmp_path, script)


def test_a_result_before_any_announcement_is_an_event_and_no_move(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package()
        await scene.affect(package)
        await scene.report(A, package, "SUCCESS")
        assert await scene.stage(package, A) == ("WAITING NOTIFICATION", "")
        assert await scene.rows("SELECT kind, detail FROM event ORDER BY id") == [
            ("affected", ""),
            ("result", "SUCCESS"),
        ]

    play(tmp_path, script)


def test_results_of_strangers_and_for_strangers_change_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        package, other = await scene.package("one"), await scene.package("other")
        await scene.affect(package, Selection(criteria=(parse("NAME = alpha"),)))
        await scene.contact(A)
        sql = "SELECT * FROM affectation, event, computer ORDER BY 1, 2"
        before = await scene.rows(sql)
        await scene.report(device("nobody"), package, "SUCCESS")
        await scene.report(A, other, "SUCCESS")
        await scene.report(B, package, "SUCCESS")
        for strange in ("", "0000000000", "no id", "' OR 1=1--", "9" * 1000):
            await scene.report(A, strange, "SUCCESS")
        assert await scene.rows(sql) == before

    play(tmp_path, script)


def test_a_code_of_any_length_and_kind_is_kept_short_and_printable(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package()
        await scene.affect(package)
        await scene.contact(A)
        await scene.report(A, package, "ERR_é\N{PILE OF POO}<&\"' " + "x" * 100_000)
        status, received = await scene.stage(package, A)
        assert status == received
        assert len(received) == 255
        assert received.startswith("ERR_??<&\"' xx")

    play(tmp_path, script)


def test_an_agent_in_a_loop_does_not_fill_the_disk_and_its_last_word_still_counts(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package()
        await scene.affect(package)
        await scene.contact(A)
        for _ in range(230):
            await scene.report(A, package, "ERR_EXECUTE")
        await scene.report(A, package, "SUCCESS")
        assert await scene.stage(package, A) == ("SUCCESS", "SUCCESS")
        assert await scene.rows("SELECT count(*) FROM event") == [(200,)]

    play(tmp_path, script)
