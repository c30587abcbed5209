"""Linux desktops: who sits there, and zenity and kdialog as programs that are really run."""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent import dialogs_linux, sessions
from appliance.agent.dialogs import Account, Call, Question, Reply, run
from appliance.agent.sessions import Session

QUESTION = Question(
    "Software installation: Player",
    'Save & close <b>all</b>\n"--help" \\n $HOME `id`',
    30,
    may_cancel=True,
    may_delay=True,
)
HERE = Account(os.geteuid(), os.getegid(), "alice")


def session(**variables: str) -> Session:
    return Session(HERE, "/home/alice", ":0", {"DISPLAY": ":0", **variables}, active=True)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Desk:
    """A folder on PATH with a dialog program that is a script, and what that script was given."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.record = folder / "record"
        self.told: list[str] = []

    def program(self, name: str, body: str) -> None:
        """A Python script: it writes down its arguments and environment, then does `body`."""
        text = f"#!{sys.executable} -IS\nimport json, os, sys, time, signal\n"
        text += f"json.dump([sys.argv[1:], dict(os.environ)], open({str(self.record)!r}, 'w'))\n{body}\n"
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def ask(self, question: Question = QUESTION, **variables: str) -> Reply:
        found = list(dialogs_linux.find([session(**variables)], run, self.told.append, path=str(self.bin)))
        return found[0].ask(question)

    @property
    def given(self) -> tuple[list[str], dict[str, str]]:
        words, environment = json.loads(self.record.read_text())
        return words, environment


ONLY_CANCEL, ONLY_DELAY = replace(QUESTION, may_delay=False), replace(QUESTION, may_cancel=False)
NO_CHOICE = replace(QUESTION, may_cancel=False, may_delay=False)


@pytest.mark.parametrize(
    ("question", "ends", "reply"),
    [
        (QUESTION, "sys.exit(int(os.environ['ZENITY_OK']))", Reply.ACCEPTED),
        (QUESTION, "sys.exit(int(os.environ['ZENITY_CANCEL']))", Reply.CANCELLED),
        (QUESTION, "print('Later'); sys.exit(int(os.environ['ZENITY_EXTRA']))", Reply.DELAYED),
        (QUESTION, "print('Later'); sys.exit(int(os.environ['ZENITY_ESC']))", Reply.DELAYED),  # zenity 3
        (QUESTION, "sys.exit(int(os.environ['ZENITY_ESC']))", Reply.CLOSED),
        (QUESTION, "sys.exit(int(os.environ['ZENITY_TIMEOUT']))", Reply.TIMED_OUT),
        (QUESTION, "sys.exit(5)", Reply.TIMED_OUT),  # zenity 3.44, whatever its environment says
        (ONLY_CANCEL, "sys.exit(int(os.environ['ZENITY_CANCEL']))", Reply.CANCELLED),
        (ONLY_DELAY, "sys.exit(int(os.environ['ZENITY_CANCEL']))", Reply.DELAYED),  # the button says Later
        (NO_CHOICE, "sys.exit(int(os.environ['ZENITY_OK']))", Reply.ACCEPTED),
        (NO_CHOICE, "sys.exit(int(os.environ['ZENITY_ESC']))", Reply.CLOSED),
        # a lost or missing display ends a program with 1, which must cancel nothing
        (QUESTION, "sys.exit('cannot open display')", Reply.UNSHOWN),
        (QUESTION, "os.kill(os.getpid(), signal.SIGSEGV)", Reply.UNSHOWN),
    ],
)
def test_what_zenity_says_is_understood(desk: Desk, question: Question, ends: str, reply: Reply) -> None:
    desk.program("zenity", ends)
    assert desk.ask(question) is reply


@pytest.mark.parametrize(
    ("question", "ends", "reply"),
    [
        (QUESTION, "sys.exit(0)", Reply.ACCEPTED),
        (QUESTION, "sys.exit(1)", Reply.DELAYED),  # also a display that is lost: asked again later
        (QUESTION, "sys.exit(2)", Reply.CANCELLED),
        (ONLY_DELAY, "sys.exit(1)", Reply.DELAYED),
        (ONLY_DELAY, "sys.exit(2)", Reply.CLOSED),  # the Escape key
        (ONLY_CANCEL, "sys.exit(2)", Reply.CANCELLED),
        (ONLY_CANCEL, "sys.exit(1)", Reply.UNSHOWN),  # the display is lost, which cancels nothing
        (NO_CHOICE, "sys.exit(0)", Reply.ACCEPTED),
        (NO_CHOICE, "sys.exit(2)", Reply.CLOSED),
        (QUESTION, "os.abort()", Reply.UNSHOWN),  # so Qt ends without a display
    ],
)
def test_what_kdialog_says_is_understood(desk: Desk, question: Question, ends: str, reply: Reply) -> None:
    desk.program("kdialog", ends)
    assert desk.ask(question) is reply


def test_zenity_gets_the_text_as_data_and_buttons_for_what_is_allowed(desk: Desk) -> None:
    desk.program("zenity", "sys.exit(10)")
    desk.ask()
    words, _ = desk.given
    assert words[0] == "--question"
    assert '--text=Save &amp; close &lt;b&gt;all&lt;/b&gt;\n"--help" \\\\n $HOME `id`' in words
    assert {"--ok-label=Start now", "--cancel-label=Cancel", "--extra-button=Later", "--timeout=30"} <= set(words)
    desk.ask(NO_CHOICE)
    words, _ = desk.given
    assert words[0] == "--info"
    assert not [word for word in words if "cancel" in word or "extra" in word]


def test_kdialog_gets_the_text_as_data_and_buttons_for_what_is_allowed(desk: Desk) -> None:
    desk.program("kdialog", "")
    for question, rest in (
        (QUESTION, ["--yes-label", "Start now", "--no-label", "Later", "--cancel-label", "Cancel"]),
        (ONLY_CANCEL, ["--continue-label", "Start now", "--cancel-label", "Cancel"]),
        (ONLY_DELAY, ["--yes-label", "Start now", "--no-label", "Later"]),
        (NO_CHOICE, []),
    ):
        desk.ask(question)
        words, _ = desk.given
        assert words[:2] == ["--title", QUESTION.title]
        assert words[3] == '<qt>Save &amp; close &lt;b&gt;all&lt;/b&gt;<br/>"--help" \\\\n $HOME `id`</qt>'
        assert words[4:] == rest


def test_the_program_gets_the_session_and_nothing_of_the_agent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/tmp/evil.so")
    monkeypatch.setenv("OCS_SECRET", "x")
    desk.program("zenity", "sys.exit(10)")
    desk.ask(XAUTHORITY="/run/user/1000/auth")
    _, environment = desk.given
    wanted = {"DISPLAY": ":0", "XAUTHORITY": "/run/user/1000/auth", "HOME": "/home/alice", "USER": "alice"}
    assert wanted.items() <= environment.items()
    assert not {"LD_PRELOAD", "OCS_SECRET", "SUDO_UID"} & set(environment)


def test_a_desktop_of_kde_gets_kdialog_and_any_other_one_zenity(desk: Desk) -> None:
    desk.program("zenity", "")
    desk.program("kdialog", "")
    for variables, names in ({"XDG_CURRENT_DESKTOP": "KDE"}, ["kdialog", "zenity"]), ({}, ["zenity", "kdialog"]):
        found = dialogs_linux.find([session(**variables)], run, print, path=str(desk.bin))
        assert [dialog.program.name for dialog in found] == names
        assert "for alice on :0" in next(iter(dialogs_linux.find([session()], run, print, path=str(desk.bin)))).name


def test_a_program_that_others_can_write_is_not_run(desk: Desk) -> None:
    desk.program("zenity", "")
    (desk.bin / "zenity").chmod(0o757)
    assert list(dialogs_linux.find([session()], run, print, path=str(desk.bin))) == []


def test_a_program_that_cannot_be_started_is_no_answer(desk: Desk) -> None:
    (desk.bin / "zenity").write_text("#!/nowhere/at/all\n")
    (desk.bin / "zenity").chmod(0o755)
    assert desk.ask() is Reply.UNSHOWN
    assert "zenity for alice on :0 cannot be started" in desk.told[0]


# -- a program's end


def python(body: str, seconds: float = 20) -> Call:
    return Call((sys.executable, "-ISc", body), {"PATH": os.environ["PATH"]}, seconds)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_program_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    body = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "child = os.fork()\n"
        "if not child: signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child}}')\n"
        "print('shown', flush=True); time.sleep(600)"
    )
    finished = run(python(body, 0.6))
    assert (finished.code, finished.out) == (None, "shown")
    pids = [int(text) for text in note.read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 5  # the kernel takes its moment
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        os.sched_yield()
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_program_that_floods_its_output_fills_no_memory() -> None:
    finished = run(python("import sys\nfor n in range(4000): sys.stdout.write('x' * 1024)\nsys.stderr.write('end')"))
    assert (finished.code, len(finished.out), finished.err) == (0, 4096, "end")


def test_a_program_that_closes_its_output_is_still_waited_for() -> None:
    finished = run(python("import os, time\nos.close(1); os.close(2); time.sleep(0.1); os._exit(7)"))
    assert finished.code == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as somebody else")
def test_the_program_is_the_persons_own_with_no_right_of_roots(tmp_path: Path) -> None:
    body = "import os; print(os.getresuid(), os.getresgid(), os.getgroups(), os.getsid(0) == os.getpid())"
    account = Account(54321, 54322, "alice", (54322, 54323))
    call = replace(python(body), account=account, command=("/usr/bin/env", "python3", "-ISc", body))
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no Python that every account can run")
    finished = run(replace(call, environment={"PATH": "/usr/bin:/bin"}))
    assert finished.out == "(54321, 54321, 54321) (54322, 54322, 54322) [54322, 54323] True", finished.err


# -- who sits there


class Computer:
    """A root folder with processes and sockets in it. Sockets and processes belong to whoever runs the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sockets: list[socket.socket] = []
        for name in ("proc", "tmp/.X11-unix", "run/user", "run/systemd/sessions"):
            (root / name).mkdir(parents=True)

    def process(self, pid: int, environment: Mapping[str, str]) -> None:
        folder = self.root / "proc" / str(pid)
        folder.mkdir()
        (folder / "environ").write_bytes(b"\0".join(f"{k}={v}".encode() for k, v in environment.items()))

    def socket(self, path: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        before = os.open(".", os.O_RDONLY)
        try:
            os.chdir(target.parent)  # a socket's path may have 107 bytes, a test's folder has more
            listening.bind(target.name)
        finally:
            os.fchdir(before)
            os.close(before)
        self.sockets.append(listening)


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    made = Computer(tmp_path / "root")
    yield made
    for listening in made.sockets:
        listening.close()


OWN = os.geteuid()
ME = pwd.getpwuid(OWN).pw_name if OWN in [entry.pw_uid for entry in pwd.getpwall()] else ""
needs_a_name = pytest.mark.skipif(not ME, reason="this account has no name")


@needs_a_name
def test_a_desktop_is_found_by_the_display_of_its_processes(computer: Computer) -> None:
    computer.socket("tmp/.X11-unix/X0")
    computer.process(10, {"PATH": "/bin"})
    variables = {
        "DISPLAY": ":0",
        "XAUTHORITY": "/home/alice/.Xauthority",
        "LANG": "de_DE.UTF-8",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1/bus",
    }
    computer.process(11, {**variables, "LD_PRELOAD": "/tmp/evil.so"})
    computer.process(12, {"DISPLAY": ":0"})
    [found] = sessions.find(computer.root, euid=OWN)
    assert (found.account.uid, found.account.name, found.display) == (OWN, ME, ":0")
    assert found.variables == variables


@needs_a_name
def test_a_wayland_desktop_is_found_by_its_socket_alone(computer: Computer) -> None:
    computer.socket(f"run/user/{OWN}/wayland-0")
    computer.socket(f"run/user/{OWN}/bus")
    (computer.root / f"run/user/{OWN}/wayland-0.lock").touch()
    [found] = sessions.find(computer.root, euid=OWN)
    assert found.variables == {
        "WAYLAND_DISPLAY": "wayland-0",
        "XDG_RUNTIME_DIR": f"/run/user/{OWN}",
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{OWN}/bus",
    }


@needs_a_name
@pytest.mark.parametrize(
    "environment",
    [
        {"DISPLAY": ":7"},  # there is no such display
        {"DISPLAY": "evil.example.org:0"},  # on another computer
        {"DISPLAY": ":0; id"},
        {"WAYLAND_DISPLAY": "../../../tmp/.X11-unix/X0"},
        {"WAYLAND_DISPLAY": "/tmp/.X11-unix/X0"},
        {"WAYLAND_DISPLAY": ""},
    ],
)
def test_a_display_that_is_not_there_or_not_here_is_no_desktop(computer: Computer, environment: dict[str, str]) -> None:
    computer.socket("tmp/.X11-unix/X0")
    computer.process(11, environment)
    assert sessions.find(computer.root, euid=OWN) == []


@needs_a_name
def test_other_accounts_desktops_are_roots_business(computer: Computer) -> None:
    computer.socket("tmp/.X11-unix/X0")
    computer.process(11, {"DISPLAY": ":0"})
    assert sessions.find(computer.root, euid=OWN + 1) == []


def test_the_login_screen_and_accounts_without_a_name_are_nobodys_desktop(computer: Computer) -> None:
    computer.socket("tmp/.X11-unix/X0")
    computer.process(11, {"DISPLAY": ":0"})
    uid = (computer.root / "proc/11").stat().st_uid
    if os.geteuid() == 0:
        for stranger in (54321, 65534, 100):
            os.chown(computer.root / "proc/11", stranger, stranger)
            assert sessions.find(computer.root, euid=0) == []
    else:
        assert uid == OWN


@needs_a_name
def test_the_desktop_that_somebody_looks_at_comes_first(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (0, 1):
        computer.socket(f"tmp/.X11-unix/X{number}")
    computer.process(11, {"DISPLAY": ":0"})
    computer.process(12, {"DISPLAY": ":1"})
    assert [found.active for found in sessions.find(computer.root, euid=OWN)] == [False, False]
    (computer.root / "run/systemd/sessions/2").write_text(f"UID={OWN}\nACTIVE=1\nTYPE=x11\n")
    (computer.root / "run/systemd/sessions/3").write_text("UID=nonsense\nACTIVE=1\nTYPE=tty\n")
    assert [found.active for found in sessions.find(computer.root, euid=OWN)] == [True, True]


def test_this_very_computer_can_be_looked_at() -> None:
    for found in sessions.find():
        assert stat.S_ISDIR(os.stat("/").st_mode)
        assert found.display
