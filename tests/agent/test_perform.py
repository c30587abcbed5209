"""Acting on real processes and real folders: what each end is called, and what a command finds."""

from __future__ import annotations

import io
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from appliance.agent import process
from appliance.agent.expand import target_folder
from appliance.agent.failure import Failure
from appliance.agent.files import Files
from appliance.agent.jobs import Ending, Job
from appliance.agent.perform import LocalHost
from appliance.agent.process import KEPT_OUTPUT, Run, run
from appliance.domain.package import Action
from tests.agent.kit import package, tar_of, zip_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands here are a Unix shell's")


class Story:
    """A witness."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def armed(self, run: str) -> None:
        self.told.append("armed")

    def started(self, pid: int) -> None:
        self.told.append("started")


class Bench:
    """A place to act in."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.folder = tmp / "spool" / "1700000001"
        self.folder.mkdir(parents=True)
        self.story = Story()

    def act(
        self,
        action: Action,
        argument: str,
        files: dict[str, bytes] | None = None,
        *,
        minutes: float = 1,
        name: str = "A package",
        outer: dict[str, str] | None = None,
    ) -> Ending:
        data = tar_of(files) if files is not None else b""
        built = package(action=action, argument=argument, data=data)
        environment = {"PATH": "/nowhere", "SECRET": "x", **(outer or {})}
        host = LocalHost(install_path=self.tmp, server="http://ocs.example.org", outer=environment, files=Files())
        file = io.BytesIO(data) if data else None
        return host.act(Job(built.info, name, self.folder, file, minutes), self.story)  # type: ignore[arg-type]

    @property
    def output(self) -> bytes:
        return (self.folder / "output").read_bytes()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_execute_reports_the_exit_code_of_the_command(bench: Bench, code: int) -> None:
    ending = bench.act(Action.EXECUTE, f"exit {code}")
    assert (ending.code, ending.exit_code) == (f"ERR_EXIT_CODE_{code}" if code else "SUCCESS", code)


def test_a_command_that_a_signal_ended_says_so_with_a_negative_code(bench: Bench) -> None:
    assert bench.act(Action.EXECUTE, "kill -9 $$").code == "ERR_EXIT_CODE_-9"


def test_execute_gives_the_exact_string_to_the_shell_and_runs_among_the_files(bench: Bench) -> None:
    ending = bench.act(Action.EXECUTE, """echo "a&b<c>'d' $((1+1))" > out; cat data out""", {"data": b"here\n"})
    assert ending.code == "SUCCESS"
    assert bench.output == b"here\na&b<c>'d' 2\n"


def test_execute_without_files_runs_in_an_empty_private_folder(bench: Bench) -> None:
    assert bench.act(Action.EXECUTE, "ls -A; stat -c %a . 2>/dev/null || stat -f %Lp .").code == "SUCCESS"
    assert bench.output == b"700\n"


def test_launch_starts_the_program_in_the_archive_without_a_shell(bench: Bench) -> None:
    script = b"""#!/bin/sh\nprintf '%s|' "$@"; exit 3\n"""
    ending = bench.act(Action.LAUNCH, """setup.sh --quiet "two words" '$(id)' ;id""", {"setup.sh": script})
    assert ending == Ending("ERR_EXIT_CODE_3", "The command ended with code 3.", 3)
    assert bench.output == b"--quiet|two words|$(id)|;id|"


def test_launch_runs_a_script_without_an_interpreter_line_as_genuine_agents_do(bench: Bench) -> None:
    assert bench.act(Action.LAUNCH, "setup", {"setup": b"echo hello\n"}).code == "SUCCESS"
    assert bench.output == b"hello\n"


def test_launch_finds_a_program_whose_name_is_quoted(bench: Bench) -> None:
    assert bench.act(Action.LAUNCH, '"my setup.sh" x', {"my setup.sh": b"#!/bin/sh\necho $1\n"}).code == "SUCCESS"
    assert bench.output == b"x\n"


@pytest.mark.parametrize("argument", ["missing.sh", "../setup.sh", "/bin/true", "bin", '""', "./../x", "setup.sh;id"])
def test_launch_of_what_is_not_in_the_archive_is_err_execute(bench: Bench, argument: str) -> None:
    with pytest.raises(Failure) as caught:
        bench.act(Action.LAUNCH, argument, {"setup.sh": b"#!/bin/sh\n", "bin/x": b""})
    assert caught.value.code == "ERR_EXECUTE"
    assert bench.story.told == []


def test_a_program_that_cannot_be_started_is_err_execute(bench: Bench) -> None:
    ending = bench.act(Action.LAUNCH, "setup.sh", {"setup.sh": b"#!/no/such/interpreter\n"})
    assert ending.code == "ERR_EXECUTE"
    assert bench.story.told == ["armed"]


@pytest.mark.parametrize(
    ("argument", "code"), [("", "ERR_EXECUTE_PACK"), ("  ", "ERR_EXECUTE_PACK"), ('"open', "ERR_BAD_PARAM")]
)
def test_a_launch_without_a_readable_command_is_refused(bench: Bench, argument: str, code: str) -> None:
    with pytest.raises(Failure) as caught:
        bench.act(Action.LAUNCH, argument, {"setup.sh": b""})
    assert caught.value.code == code


def test_it_is_written_down_before_the_command_starts(bench: Bench) -> None:
    bench.act(Action.EXECUTE, "true")
    assert bench.story.told == ["armed", "started"]


def test_a_command_finds_a_clean_environment_and_its_package(bench: Bench) -> None:
    name = "Caf\u00e9 \U0001f600 'quoted' & <b>\nsecond line"
    assert bench.act(Action.EXECUTE, 'printf %s "$OCS_PACKAGE_NAME"; echo; env', name=name).code == "SUCCESS"
    text = bench.output.decode()
    assert text.startswith(name + "\n")
    assert "SECRET" not in text
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert found["PATH"].startswith("/usr/local/sbin")
    assert found["OCS_PACKAGE_ID"] == "1700000001"
    assert found["OCS_ACTION"] == "EXECUTE"
    assert found["OCS_SERVER"] == "http://ocs.example.org"
    assert found["OCS_INSTALL_PATH"] == found["INSTALL_PATH"] == str(bench.tmp)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_command_gets_no_handle_of_the_agent(bench: Bench) -> None:
    with open(bench.tmp / "held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        bench.act(Action.EXECUTE, "ls -l /proc/$$/fd | grep -v pipe: ; cat")
    lines = [line for line in bench.output.decode().splitlines() if "->" in line]
    assert [line.rsplit("-> ")[1] for line in lines if "/fd" not in line] == [
        "/dev/null",
        str(bench.folder / "output"),
        str(bench.folder / "output"),
    ]


def test_the_last_of_the_output_is_kept_whatever_its_bytes(bench: Bench) -> None:
    command = r"printf 'first'; head -c 300000 /dev/zero; printf '\377\200end' >&2"
    assert bench.act(Action.EXECUTE, command).code == "SUCCESS"
    assert len(bench.output) == KEPT_OUTPUT
    assert bench.output.endswith(b"\0\xff\x80end")


def test_a_chatty_command_does_not_fill_the_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OUTPUT", 200_000)
    monkeypatch.setattr(process, "POLL", 0.01)
    largest = 0
    real = process._bounded

    def watched(output: int, path: Path, kept: bytes) -> bytes:
        nonlocal largest
        kept = real(output, path, kept)
        largest = max(largest, path.stat().st_size)
        return kept

    monkeypatch.setattr(process, "_bounded", watched)
    command = "i=0; while [ $i -lt 60 ]; do head -c 50000 /dev/zero; i=$((i+1)); sleep 0.005; done; printf end"
    assert bench.act(Action.EXECUTE, command).code == "SUCCESS"
    assert largest < 1_500_000
    assert bench.output.endswith(b"\0end")


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.3)
    detached = "setsid" if sys.platform.startswith("linux") else ""
    command = f"trap '' TERM; (trap '' TERM; sleep 60 & echo $!; wait) & {detached} sleep 61 & echo $!; wait; sleep 62"
    began = time.monotonic()
    ending = bench.act(Action.EXECUTE, command, minutes=0.01)
    assert ending.code == "ERR_EXECUTE_TIMEOUT"
    assert time.monotonic() - began < 10
    pids = [int(line) for line in bench.output.split()]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_launch_waits_for_what_it_leaves_in_its_group_and_execute_does_not(bench: Bench, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = b'#!/bin/sh\n(sleep 0.4; echo done > "$1") &\nexit 5\n'
    assert bench.act(Action.LAUNCH, f"run.sh {mark}", {"run.sh": script}).code == "ERR_EXIT_CODE_5"
    assert mark.read_text() == "done\n"
    began = time.monotonic()
    assert bench.act(Action.EXECUTE, "sleep 5 & exit 0").code == "SUCCESS"
    assert time.monotonic() - began < 4


def test_store_puts_everything_in_place_and_replaces_whole_files(bench: Bench) -> None:
    target = bench.tmp / "deep" / "er"
    files = {"run.sh": b"new", ".hidden": b"h", "sub/.dot/file": b"x", "sub/empty/": b""}
    target.mkdir(parents=True)
    (target / "run.sh").write_bytes(b"old and longer")
    (target / "stays").write_bytes(b"s")
    victim = bench.tmp / "victim"
    victim.write_bytes(b"v")
    (target / ".hidden").symlink_to(victim)
    assert bench.act(Action.STORE, str(target), files) == Ending("SUCCESS")
    assert (target / "run.sh").read_bytes() == b"new"
    assert stat.S_IMODE((target / "run.sh").stat().st_mode) == 0o755
    assert not (target / ".hidden").is_symlink()  # the link was replaced, not followed
    assert victim.read_bytes() == b"v"
    assert (target / "sub/.dot/file").read_bytes() == b"x"
    assert (target / "sub/empty").is_dir()
    assert (target / "stays").exists()
    assert bench.story.told == []  # storing can be repeated: nothing need be written down before it


def test_store_expands_variables_and_knows_the_install_path(bench: Bench) -> None:
    outer = {"SITE": str(bench.tmp / "site")}
    assert bench.act(Action.STORE, "${SITE}/a b/$OCS", {"f": b"1"}, outer={**outer, "OCS": "c"}).code == "SUCCESS"
    assert (bench.tmp / "site/a b/c/f").read_bytes() == b"1"
    assert bench.act(Action.STORE, "INSTALL_PATH/own", {"f": b"2"}).code == "SUCCESS"
    assert (bench.tmp / "own/f").read_bytes() == b"2"


@pytest.mark.parametrize("path", ["relative", "", "$NO_SUCH/x", "/a/../b", "${}/x", "/tmp/x\ny", "C:\\x", "$EMPTY/x"])
def test_store_to_no_clear_place_is_err_bad_param(bench: Bench, path: str) -> None:
    with pytest.raises(Failure) as caught:
        bench.act(Action.STORE, path, {"f": b""}, outer={"EMPTY": ""})
    assert caught.value.code == "ERR_BAD_PARAM"


def test_store_below_a_file_is_err_execute_and_says_where(bench: Bench) -> None:
    (bench.tmp / "file").write_bytes(b"")
    with pytest.raises(Failure, match=r"Storing in .*file/x failed") as caught:
        bench.act(Action.STORE, str(bench.tmp / "file/x"), {"f": b""})
    assert caught.value.code == "ERR_EXECUTE"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"%ProgramFiles%\Acme", r"C:\Program Files\Acme"),
        (r"%programfiles%\%X%", r"C:\Program Files\1"),
        (r"INSTALL_PATH\x", r"C:\ocs\x"),
        ("D:/x", "D:/x"),
    ],
)
def test_windows_paths_expand_without_regard_to_case(path: str, expected: str) -> None:
    found = target_folder(path, {"ProgramFiles": r"C:\Program Files", "X": "1"}, r"C:\ocs", windows=True)
    assert found == expected


@pytest.mark.parametrize("path", [r"%NOSUCH%\x", r"%TEMP%\..\Windows", r"\\server\share", "C:x", r"C:\a:b", "/x"])
def test_windows_paths_that_lead_nowhere_clear_are_refused(path: str) -> None:
    with pytest.raises(Failure, match="ERR_BAD_PARAM"):
        target_folder(path, {"TEMP": r"C:\T"}, r"C:\ocs", windows=True)


def test_a_broken_archive_is_err_unzip_and_starts_nothing(bench: Bench) -> None:
    built = package(action=Action.LAUNCH, argument="x", data=b"no archive")
    host = LocalHost(install_path=bench.tmp, server="", outer={}, files=Files())
    with pytest.raises(Failure) as caught:
        host.act(Job(built.info, "", bench.folder, io.BytesIO(b"no archive"), 1), bench.story)
    assert caught.value.code == "ERR_UNZIP"
    assert bench.story.told == []


def test_a_zip_works_as_well(bench: Bench) -> None:
    data = zip_of({"go.sh": b"#!/bin/sh\nexit 0\n"}, executable=False)
    built = package(action=Action.LAUNCH, argument="go.sh", data=data)
    host = LocalHost(install_path=bench.tmp, server="", outer={}, files=Files())
    assert host.act(Job(built.info, "", bench.folder, io.BytesIO(data), 1), bench.story) == Ending("SUCCESS", "", 0)


def test_a_command_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        run(Run(["/no/such"], tmp_path, {}, 1, tmp_path / "output", False), lambda pid: None)
