"""Every outcome of the manual, each made by its real cause: what the running server says of it in the end.

What our server would never build or serve comes from a foreign depot, which the site's own authority vouches for.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import pty
import re
import shutil
import subprocess
import termios
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.agent import journal
from appliance.domain.messages import DeviceId, Report
from appliance.domain.package import Action, Info, PackageId
from appliance.trust.authority import make_authority
from appliance.wire import contact as messages
from appliance.wire import envelope
from tests.pythons import interpreters
from tests.whole import foreign
from tests.whole.computers import Computer, cut_power, running, small_disk
from tests.whole.foreign import Fault, ForeignDepot, authority_of, foreign_depot, is_root, status_of, written
from tests.whole.site import CLEAN, WAIT, Site, noise, script, site, targz, until

DAY = 24 * 3600
MOST_CONTACTS = 6  # until an agent must have given up what can never succeed


@dataclass(frozen=True)
class Place:
    """A site, a foreign depot that its agents trust, and one that they have no reason to."""

    site: Site
    folder: Path
    python: str
    depot: ForeignDepot
    stranger: ForeignDepot

    def computer(self, name: str, *words: str) -> Computer:
        """A new computer of the site."""
        return Computer(self.site, self.python, name, *words)

    def marker(self, computer: Computer) -> Path:
        """A file that commands append to: whoever ran is in it."""
        return self.folder / f"{computer.name}.ran"


@pytest.fixture(scope="module")
def place(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("outcomes")
    python = interpreters((3, 9), (3, 13))[0][1]
    with site(pyz, folder) as here:
        here.hurry()
        here.ask("config", "set", "AUTO_DUPLICATE_LVL", "0")  # all these computers are this one
        here.ask("config", "set", "FREQUENCY", "365")
        with foreign_depot(authority_of(here)) as depot, foreign_depot(make_authority(int(time.time()))) as stranger:
            yield Place(here, folder, python, depot, stranger)
        assert "Traceback" not in here.log()


@dataclass(frozen=True)
class Sleeper:
    """A command that takes longer than its minute, on its way while the other tests run."""

    computer: Computer
    package: str
    agent: subprocess.Popen[str]
    mark: str  # what its processes have in their command lines


@pytest.fixture(scope="module", autouse=True)
def sleeper(place: Place) -> Iterator[Sleeper]:
    computer = place.computer("sleeper")
    computer.set("DOWNLOAD_EXECUTION_TIMEOUT", 1)
    mark, ran = f"4711.{os.getpid()}", place.marker(computer)
    sleep = f"sleep {mark}"
    # a child, a grandchild that left the session and was orphaned, and one that will not be asked
    stubborn = f"trap '' TERM HUP; echo stubborn >> {ran}; {sleep}; {sleep}"
    command = f'echo begun >> {ran}; {sleep} & (setsid sh -c "{sleep} & {stubborn}" &); {sleep}; echo ended >> {ran}'
    package = computer.deploy("sleeper", "--action", "execute", "--command", command)
    agent = computer.start()
    try:
        until(lambda: len(written(ran)) == 2 or None, "the command and what it started run")
        assert len(running(mark)) > 4
        yield Sleeper(computer, package, agent, mark)
    finally:
        cut_power(computer)
        agent.communicate()


def finished(computer: Computer, package: str) -> tuple[str, str]:
    """One contact, after which the package must have ended and left nothing: what the server says of it."""
    computer.contact()
    assert computer.left() == []
    return computer.outcome(package)


def finished_in_time(computer: Computer, package: str) -> tuple[str, str]:
    """Contacts until the package has ended, so many as an agent may need to give up."""
    for _ in range(MOST_CONTACTS):
        computer.contact()
        if computer.ended(package):
            break
    assert computer.left() == []
    return computer.outcome(package)


def launched(computer: Computer, text: str, command: str = "setup.sh", extra: bytes = b"") -> tuple[str, ...]:
    """The words that build a Launch of a shell script."""
    files = {"setup.sh": script(text), **({"extra": extra} if extra else {})}
    file = targz(computer.site.folder / f"{computer.name}.tar.gz", files)
    return ("--action", "launch", "--command", command, "--file", str(file))


def executed(command: str) -> tuple[str, ...]:
    """The words that build an Execute."""
    return ("--action", "execute", "--command", command)


def forged(package: str, *fragments: bytes, **values: object) -> Info:
    """An Execute's info file with a right digest, but for what is given."""
    whole = hashlib.md5(b"".join(fragments), usedforsecurity=False).hexdigest()
    told = {"priority": 1, "action": Action.EXECUTE, "argument": "true", "fragments": len(fragments), "digest": whole}
    return Info(package=PackageId(package), **{**told, **values})  # type: ignore[arg-type]


def test_a_command_that_ends_with_0_is_a_success(place: Place) -> None:
    computer = place.computer("success")
    ran = place.marker(computer)
    launch = computer.deploy("launch", *launched(computer, f"echo launch >> {ran}"))
    execute = computer.deploy("execute", *executed(f"echo execute >> {ran}"))
    files = targz(place.folder / "stored.tar.gz", {"deep/.hidden": b"x\n"}, mode=0o644)
    path = place.folder / "stored"
    store = computer.deploy("store", "--action", "store", "--path", str(path), "--file", str(files))
    computer.contact()
    assert {computer.outcome(package) for package in (launch, execute, store)} == {("SUCCESS", "SUCCESS")}
    assert sorted(written(ran)) == ["execute", "launch"]
    assert (path / "deep" / ".hidden").read_bytes() == b"x\n"
    assert computer.left() == []


@pytest.mark.parametrize(
    ("command", "code"), [("exit 3", "3"), ("exit 255", "255"), ("kill -9 $$", "-9"), ("kill -TERM $$", "-15")]
)
@pytest.mark.parametrize("action", ["launch", "execute"])
def test_a_command_that_ends_otherwise_is_told_with_its_code(
    place: Place, action: str, command: str, code: str
) -> None:
    computer = place.computer(f"exit{code}{action}")
    ran = place.marker(computer)
    text = f"echo ran >> {ran}; {command}"
    words = executed(text) if action == "execute" else launched(computer, text)
    package = computer.deploy("exit", *words)
    assert finished(computer, package) == (f"ERR_EXIT_CODE_{code}", f"ERR_EXIT_CODE_{code}")
    computer.contact()
    assert written(ran) == ["ran"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ERR_EXIT_CODE_3010", "SUCCESS"),
        ("EXIT_CODE_3010", "SUCCESS"),
        ("EXIT_CODE_1641", "SUCCESS"),
        ("EXIT_CODE_3011", "SUCCESS"),
        ("SUCCESS_REBOOT_REQUIRED", "SUCCESS"),
        ("SUCCESS_REBOOT_INITIATED", "SUCCESS"),
        ("SUCCESS_RESTART_REQUIRED", "SUCCESS"),
        ("EXIT_CODE_194", "ERR_EXIT_CODE_194"),
    ],
)
def test_a_windows_installer_that_wants_a_reboot_has_succeeded(place: Place, code: str, status: str) -> None:
    """No Unix command can end with 3010: told as an agent on Windows tells it."""
    computer = place.computer(f"reboot-{code}")
    package = computer.deploy("reboot", *executed("never run"))
    tell(computer, messages.encode_prolog(DeviceId(computer.device_id)))
    assert computer.outcome(package)[0] == "NOTIFIED"
    tell(computer, messages.encode_report(Report(DeviceId(computer.device_id), package, code)))
    assert computer.outcome(package) == (status, code)


def tell(computer: Computer, message: bytes) -> None:
    """One message of the computer, sent by the test itself."""
    ask = urllib.request.Request(computer.site.http, envelope.pack(message), {"User-Agent": "OCS-NG_WINDOWS_AGENT"})
    with urllib.request.urlopen(ask, timeout=WAIT) as answer:
        assert answer.status == 200


def test_what_was_installed_before_does_not_run_again(place: Place) -> None:
    computer = place.computer("already")
    ran = place.marker(computer)
    package = computer.deploy("already", *executed(f"echo ran >> {ran}"))
    assert finished(computer, package) == ("SUCCESS", "SUCCESS")
    place.site.ask("package", "validate", package, "--success")
    computer.affect(package)
    assert finished(computer, package)[0] == "ERR_ALREADY_SETUP"
    assert written(ran) == ["ran"]


def test_a_program_whose_interpreter_is_missing_cannot_be_executed(place: Place) -> None:
    computer = place.computer("interpreter")
    file = targz(place.folder / "missing.tar.gz", {"setup.sh": b"#!/nowhere/interpreter\ntrue\n"})
    package = computer.deploy("missing", "--action", "launch", "--command", "setup.sh", "--file", str(file))
    assert finished(computer, package) == ("ERR_EXECUTE", "ERR_EXECUTE")
    assert computer.result(package)["why"]


def test_a_program_that_is_not_in_the_archive_cannot_be_executed(place: Place) -> None:
    computer = place.computer("noprogram")
    ran = place.marker(computer)
    package = computer.build("no program", *executed(f"echo ran >> {ran}"))
    file = archive(place.folder, {"other.sh": script(f"echo ran >> {ran}")})
    place.depot.forge(forged(package, file, action=Action.LAUNCH, argument="setup.sh"), file)
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_EXECUTE", "ERR_EXECUTE")
    assert not written(ran)


@pytest.mark.parametrize("action", [Action.EXECUTE, Action.LAUNCH])
def test_an_info_file_without_a_command_is_told_as_such(place: Place, action: Action) -> None:
    computer = place.computer(f"nocommand-{action.value.lower()}")
    ran = place.marker(computer)
    package = computer.build("no command", *executed(f"echo ran >> {ran}"))
    file = archive(place.folder, {"setup.sh": script(f"echo ran >> {ran}")})
    place.depot.forge(forged(package, file, action=action, argument=" "), file)
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_EXECUTE_PACK", "ERR_EXECUTE_PACK")
    assert not written(ran)


def test_a_path_with_an_unknown_variable_is_a_bad_parameter(place: Place) -> None:
    computer = place.computer("badpath")
    file = targz(place.folder / "badpath.tar.gz", {"a": b"a\n"})
    words = ("--action", "store", "--path", "$NOBODY_SET_THIS/a", "--file", str(file))
    package = computer.deploy("bad path", *words)
    assert finished(computer, package) == ("ERR_BAD_PARAM", "ERR_BAD_PARAM")
    assert "NOBODY_SET_THIS" in computer.result(package)["why"]


def test_a_command_line_that_nobody_can_read_is_a_bad_parameter(place: Place) -> None:
    computer = place.computer("badquote")
    ran = place.marker(computer)
    package = computer.deploy("bad quote", *launched(computer, f"echo ran >> {ran}", "setup.sh 'one"))
    assert finished(computer, package) == ("ERR_BAD_PARAM", "ERR_BAD_PARAM")
    assert not written(ran)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [('ACT="EXECUTE"', 'ACT="DANCE"'), ('PROTO="HTTP"', 'PROTO="GOPHER"'), ('PRI="1"', 'PRI="soon"')],
)
def test_an_info_file_with_a_value_that_nobody_knows_is_a_bad_parameter(place: Place, right: str, wrong: str) -> None:
    computer = place.computer(f"value-{wrong[:3].lower()}")
    ran = place.marker(computer)
    package = computer.build("bad value", *executed(f"echo ran >> {ran}"))
    place.depot.forge(forged(package, argument=f"echo ran >> {ran}"))
    told = place.depot.files[foreign.path_of(package, "info")]
    assert right.encode() in told
    place.depot.put(package, "info", told.replace(right.encode(), wrong.encode()))
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_BAD_PARAM", "ERR_BAD_PARAM")
    assert not written(ran)


def test_the_info_file_of_another_package_is_a_bad_id(place: Place) -> None:
    computer = place.computer("badid")
    ran = place.marker(computer)
    one = computer.build("one", *executed(f"echo one >> {ran}"))
    other = computer.build("other", *executed(f"echo other >> {ran}"))
    for name in ("info", "manifest"):
        data = (place.folder / "data" / "fragments" / other / name).read_bytes()
        place.depot.put(one, name, data)
    computer.announce(one, info=place.depot, fragments=place.depot)
    assert finished(computer, one) == ("ERR_BAD_ID", "ERR_BAD_ID")
    assert not written(ran)


def test_our_server_does_not_serve_an_info_file_that_was_put_there_for_another(place: Place) -> None:
    computer = place.computer("tampered")
    ran = place.marker(computer)
    one = computer.build("one", *executed(f"echo one >> {ran}"))
    other = computer.build("other", *executed(f"echo other >> {ran}"))
    fragments = place.folder / "data" / "fragments"
    computer.announce(one)
    shutil.copyfile(fragments / other / "info", fragments / one / "info")
    assert finished(computer, one) == ("ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_INFO")
    assert not written(ran)


def test_a_changed_fragment_of_a_genuine_server_is_a_bad_digest(place: Place) -> None:
    computer = place.computer("baddigest")
    ran = place.marker(computer)
    package = computer.build("bad digest", *executed("true"))
    file = archive(place.folder, {"setup.sh": script(f"echo ran >> {ran}"), "extra": noise(9000)})
    pieces = [file[:5000], file[5000:]]
    place.depot.forge(forged(package, *pieces, action=Action.LAUNCH, argument="setup.sh"), *pieces)
    place.depot.fail(package, f"{package}-1", foreign.changed)
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_BAD_DIGEST", "ERR_BAD_DIGEST")
    assert not written(ran)


def test_a_fragment_that_stays_changed_is_a_bad_digest_where_a_manifest_tells_it(place: Place) -> None:
    computer = place.computer("baddigest-manifest")
    ran = place.marker(computer)
    words = launched(computer, f"echo ran >> {ran}", extra=noise(9000))
    package = computer.build("bad digest", *words, "--fragment-size", "4K")
    place.depot.copy(place.site, package)
    place.depot.fail(package, f"{package}-2", foreign.changed)
    computer.announce(package, fragments=place.depot)
    assert finished_in_time(computer, package) == ("ERR_BAD_DIGEST", "ERR_BAD_DIGEST")
    assert not written(ran)


def test_fragments_that_fail_for_a_while_only_delay_a_package(place: Place) -> None:
    computer = place.computer("flaky")
    ran = place.marker(computer)
    words = launched(computer, f"echo ran >> {ran}", extra=noise(30_000))
    package = computer.build("flaky", *words, "--fragment-size", "8K")
    place.depot.copy(place.site, package)
    place.depot.fail(package, f"{package}-1", foreign.changed, foreign.page, foreign.honest)
    place.depot.fail(package, f"{package}-2", foreign.cut_short, status_of(503), foreign.slowly)
    place.depot.fail(package, f"{package}-3", foreign.elsewhere, status_of(404), foreign.honest)
    computer.announce(package, fragments=place.depot)
    assert finished_in_time(computer, package) == ("SUCCESS", "SUCCESS")
    assert written(ran) == ["ran"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status_of(404), id="404"),
        pytest.param(status_of(403), id="403"),
        pytest.param(foreign.page, id="page"),
        pytest.param(foreign.elsewhere, id="redirect"),
        pytest.param(foreign.cut_short, id="cut-short"),
        pytest.param(foreign.endless, id="endless"),
    ],
)
def test_an_info_file_that_cannot_be_fetched_is_told(
    place: Place, fault: Fault, request: pytest.FixtureRequest
) -> None:
    computer = place.computer(f"info-{request.node.callspec.id}")
    ran = place.marker(computer)
    package = computer.build("info", *executed(f"echo ran >> {ran}"))
    place.depot.copy(place.site, package)
    place.depot.fail(package, "info", fault)
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_INFO")
    assert not written(ran)


def test_an_info_file_under_a_strangers_certificate_is_not_even_asked_for(place: Place) -> None:
    computer = place.computer("stranger")
    ran = place.marker(computer)
    package = computer.build("stranger", *executed(f"echo ran >> {ran}"))
    place.stranger.copy(place.site, package)
    computer.announce(package, info=place.stranger, fragments=place.depot)
    assert finished(computer, package) == ("ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_INFO")
    assert place.stranger.seen == []
    assert not written(ran)


def test_a_fragment_that_never_comes_is_told(place: Place) -> None:
    computer = place.computer("nofragment")
    ran = place.marker(computer)
    words = launched(computer, f"echo ran >> {ran}", extra=noise(9000))
    package = computer.build("no fragment", *words, "--fragment-size", "4K")
    place.depot.copy(place.site, package)
    place.depot.remove(package, f"{package}-2")
    computer.announce(package, fragments=place.depot)
    assert finished_in_time(computer, package) == ("ERR_DOWNLOAD_PACK", "ERR_DOWNLOAD_PACK")
    assert not written(ran)


def test_a_package_that_did_not_come_within_its_days_is_given_up(place: Place) -> None:
    computer = place.computer("timeout")
    ran = place.marker(computer)
    computer.set("DOWNLOAD_PERIOD_LENGTH", 5)  # so priority 10 never moves
    computer.set("DOWNLOAD_TIMEOUT", 7)
    package = computer.deploy("timeout", *executed(f"echo ran >> {ran}"), priority=10)
    computer.contact()
    assert computer.outcome(package)[0] == "NOTIFIED"
    announce_earlier(computer, package, 6 * DAY)
    computer.contact()
    assert computer.outcome(package)[0] == "NOTIFIED"
    announce_earlier(computer, package, 1 * DAY + 60)
    assert finished(computer, package) == ("ERR_TIMEOUT", "ERR_TIMEOUT")
    assert not written(ran)


def announce_earlier(computer: Computer, package: str, seconds: int) -> None:
    """Turn the journal's clocks back, with the journal's own writer."""
    path = computer.spool / package / "journal"
    entries = journal.read(path.read_bytes()).entries
    clocks = ("at", "lived")
    earlier = [{**entry, **{name: entry[name] - seconds for name in clocks if name in entry}} for entry in entries]
    path.write_bytes(b"".join(map(journal.line, earlier)))


def test_a_fragment_that_vanishes_from_the_spool_cannot_be_joined(place: Place) -> None:
    computer = place.computer("build")
    ran = place.marker(computer)
    computer.set("DOWNLOAD_FRAG_LATENCY", 2)  # time to take it away in
    words = launched(computer, f"echo ran >> {ran}", extra=noise(6000))
    package = computer.deploy("build", *words, "--fragment-size", "4K")
    fragments = [computer.spool / package / f"{package}-{number}" for number in (1, 2)]
    agent = computer.start()
    until(lambda: fragments[1].exists() or None, "the last fragment is there")
    fragments[0].unlink()
    said, _ = agent.communicate(timeout=WAIT)
    assert agent.returncode == 0, said
    assert computer.outcome(package) == ("ERR_BUILD", "ERR_BUILD")
    assert computer.left() == []
    assert not written(ran)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("../outside", id="parent"),
        pytest.param("a/../../outside", id="hidden-parent"),
        pytest.param("{0}/outside", id="absolute"),
        pytest.param("C:outside", id="drive"),
    ],
)
def test_an_archive_that_would_write_elsewhere_is_not_unpacked(
    place: Place, name: str, request: pytest.FixtureRequest
) -> None:
    computer = place.computer(f"hostile-{request.node.callspec.id}")
    ran, outside = place.marker(computer), name.format(place.folder)
    package = computer.build("hostile", *executed(f"echo ran >> {ran}"))
    file = archive(place.folder, {"setup.sh": script(f"echo ran >> {ran}"), outside: b"evil\n"})
    place.depot.forge(forged(package, file, action=Action.LAUNCH, argument="setup.sh"), file)
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_UNZIP", "ERR_UNZIP")
    assert not written(ran)
    assert not list(place.folder.rglob("*outside"))


def test_what_is_no_archive_at_all_cannot_be_unpacked(place: Place) -> None:
    computer = place.computer("noarchive")
    package = computer.build("no archive", *executed("true"))
    file = gzip.compress(b"neither tar nor zip")
    place.depot.forge(forged(package, file, action=Action.LAUNCH, argument="setup.sh"), file)
    computer.announce(package, info=place.depot, fragments=place.depot)
    assert finished(computer, package) == ("ERR_UNZIP", "ERR_UNZIP")


def archive(folder: Path, files: dict[str, bytes]) -> bytes:
    """A tar.gz's bytes, with any names."""
    return targz(folder / "any.tar.gz", files).read_bytes()


@pytest.fixture
def small(place: Place, can_leave_out: Callable[[str], None], request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 3 MiB at its own folder."""
    name = re.sub(r"\W", "", request.node.name)[:40]
    if not is_root():
        can_leave_out("a small file system can only be mounted as root")
    try:
        context = small_disk(place.folder / name, "3m")
        folder = context.__enter__()
    except (subprocess.CalledProcessError, FileNotFoundError):
        can_leave_out("nothing can be mounted here")
        raise
    try:
        yield folder
    finally:
        context.__exit__(None, None, None)


def test_a_package_that_is_larger_than_the_disk_is_not_begun(place: Place, small: Path) -> None:
    computer = place.computer(small.name)
    ran = place.marker(computer)
    words = launched(computer, f"echo ran >> {ran}", extra=noise(4 * 1024 * 1024))
    package = computer.deploy("large", *words, "--fragment-size", "256K")
    assert finished(computer, package) == ("ERR_OUT_OF_SPACE", "ERR_OUT_OF_SPACE")
    why = computer.result(package)["why"]
    assert len(re.findall(r"\d[\d.]*", why)) >= 2, f"what is needed and what is there: {why}"
    assert not written(ran)
    assert place.site.requests(f"GET /download/{package}/{package}-") == []


def test_an_archive_that_unpacks_to_more_than_the_disk_is_not_unpacked(place: Place, small: Path) -> None:
    computer = place.computer(small.name)
    ran = place.marker(computer)
    words = launched(computer, f"echo ran >> {ran}", extra=bytes(8 * 1024 * 1024))
    package = computer.deploy("bomb", *words)
    assert finished(computer, package) == ("ERR_OUT_OF_SPACE", "ERR_OUT_OF_SPACE")
    assert not written(ran)


def test_files_for_a_full_disk_are_not_stored_in_part(place: Place, small: Path) -> None:
    computer = place.computer("fulltarget")
    (small / "already.there").write_bytes(bytes(2 * 1024 * 1024))
    (small / "blob").write_bytes(b"old\n")
    file = targz(place.folder / "full.tar.gz", {"blob": noise(2 * 1024 * 1024)}, mode=0o644)
    package = computer.deploy("full", "--action", "store", "--path", str(small), "--file", str(file))
    assert finished(computer, package) == ("ERR_OUT_OF_SPACE", "ERR_OUT_OF_SPACE")
    assert (small / "blob").read_bytes() == b"old\n"
    assert sorted(path.name for path in small.iterdir()) == ["already.there", "blob"]


@dataclass
class Terminal:
    """An agent with a person at its terminal."""

    process: subprocess.Popen[bytes]
    master: int
    shown: bytes = b""

    def read(self) -> None:
        """Whatever is written there, until the agent closes it."""
        try:
            while data := os.read(self.master, 4096):
                self.shown += data
        except OSError:
            pass  # its other side was closed

    def see(self, text: str) -> None:
        """Wait until the person sees it."""
        found = until(
            lambda: "seen" if text.encode() in self.shown else "ended" if self.process.poll() is not None else None,
            f"the terminal shows {text!r}",
        )
        assert found == "seen", f"the agent ended without {text!r}: {self.shown.decode(errors='replace')}"

    def press(self, key: str) -> None:
        """A key."""
        os.write(self.master, key.encode())

    def end(self) -> None:
        """Wait for the agent's end."""
        assert self.process.wait(WAIT) == 0, self.shown.decode(errors="replace")


def at_terminal(computer: Computer) -> Terminal:
    """One contact of the computer in a terminal of its own."""
    master, slave = pty.openpty()
    words = ["--server", computer.site.http, "--ca", computer.site.bundle, "--basedir", computer.folder, "--once"]
    process = subprocess.Popen(
        [computer.python, "-I", "-S", computer.site.pyz, "agent", *words],
        env={**CLEAN, "HOME": "/nonexistent"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    terminal = Terminal(process, master)
    threading.Thread(target=terminal.read, daemon=True).start()
    return terminal


def test_a_person_cancels_a_package_and_it_never_runs(place: Place) -> None:
    computer = place.computer("cancel")
    ran = place.marker(computer)
    warned = ("--warn-text", "New <b>software</b>", "--warn-countdown", "600", "--may-cancel")
    package = computer.deploy("cancel", *executed(f"echo ran >> {ran}"), *warned)
    terminal = at_terminal(computer)
    try:
        terminal.see("cancel")
        terminal.press("c")
        terminal.end()
    finally:
        terminal.process.kill()
        terminal.process.wait()
    assert computer.outcome(package) == ("ERR_ABORTED", "ERR_ABORTED")
    assert computer.left() == []
    computer.contact()
    assert not written(ran)


def test_a_person_delays_a_package_to_the_next_contact(place: Place) -> None:
    computer = place.computer("delay")
    ran = place.marker(computer)
    warned = ("--warn-text", "New software", "--warn-countdown", "600", "--may-delay")
    package = computer.deploy("delay", *executed(f"echo ran >> {ran}"), *warned)
    for key, status in (("d", "NOTIFIED"), ("\r", "SUCCESS")):
        terminal = at_terminal(computer)
        try:
            terminal.see("Enter")
            terminal.press(key)
            terminal.end()
        finally:
            terminal.process.kill()
            terminal.process.wait()
        assert computer.outcome(package)[0] == status
    assert written(ran) == ["ran"]
    assert computer.left() == []


@pytest.mark.parametrize("action", ["launch", "execute"])
def test_a_command_that_a_power_cut_ended_is_not_run_again(place: Place, action: str) -> None:
    computer = place.computer(f"powercut-{action}")
    ran = place.marker(computer)
    text = f"echo ran >> {ran}; sleep 3600; echo ended >> {ran}"
    package = computer.deploy("power cut", *(executed(text) if action == "execute" else launched(computer, text)))
    agent = computer.start()
    until(lambda: written(ran) or None, "the command runs")
    cut_power(computer)
    agent.communicate(timeout=WAIT)
    assert finished(computer, package) == ("ERR_DONE_FAILED", "ERR_DONE_FAILED")
    assert computer.result(package)["why"]
    computer.contact()
    assert written(ran) == ["ran"]


@pytest.mark.parametrize("action", ["launch", "execute"])
def test_a_command_that_outlives_its_agent_is_not_run_again(place: Place, action: str) -> None:
    computer = place.computer(f"outlives-{action}")
    ran, stop = place.marker(computer), place.folder / f"stop-{action}"
    text = f"echo ran >> {ran}; while [ ! -e {stop} ]; do sleep 0.1; done; echo ended >> {ran}"
    package = computer.deploy("outlives", *(executed(text) if action == "execute" else launched(computer, text)))
    agent = computer.start()
    try:
        until(lambda: written(ran) or None, "the command runs")
        agent.kill()
        agent.communicate(timeout=WAIT)
    finally:
        stop.touch()
    until(lambda: len(written(ran)) == 2 or None, "the command ends")
    status, received = finished(computer, package)
    assert status == received
    assert status in ("ERR_DONE_FAILED", "SUCCESS"), "its end is not known, or somebody kept it; nothing else"
    computer.contact()
    assert written(ran) == ["ran", "ended"]


def test_what_cannot_be_removed_is_told_and_removed_as_soon_as_it_can_be(
    place: Place, can_leave_out: Callable[[str], None]
) -> None:
    if not is_root():
        can_leave_out("something that cannot be removed takes a mount, which takes root")
    computer = place.computer("clean")
    ran = place.marker(computer)
    text = f"echo ran >> {ran}; mkdir busy && mount -t tmpfs tmpfs busy && pwd >> {ran}"
    package = computer.deploy("clean", *launched(computer, text))
    computer.try_contact()
    if len(written(ran)) != 2:
        can_leave_out("nothing can be mounted here")
    busy = Path(written(ran)[1]) / "busy"
    try:
        outcome = computer.outcome(package)
        again = computer.try_contact()
    finally:
        subprocess.run(["umount", busy], check=False, capture_output=True)
    assert outcome == ("ERR_CLEAN", "ERR_CLEAN")
    assert again[0] == 0, again[1]
    computer.contact()
    assert computer.outcome(package) == ("ERR_CLEAN", "ERR_CLEAN")
    assert computer.left() == []
    assert len(written(ran)) == 2


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(sleeper: Sleeper, place: Place) -> None:
    said, _ = sleeper.agent.communicate(timeout=WAIT)
    assert sleeper.agent.returncode == 0, said
    assert sleeper.computer.outcome(sleeper.package) == ("ERR_EXECUTE_TIMEOUT", "ERR_EXECUTE_TIMEOUT")
    assert running(sleeper.mark) == []
    assert sorted(written(place.marker(sleeper.computer))) == ["begun", "stubborn"]
    assert sleeper.computer.left() == []
