"""`agent install` and `uninstall`: the plan as a value, then carried out below a root of the test."""

from __future__ import annotations

import configparser
import os
import plistlib
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent import basedir, bundle, service, service_plan, service_systems, settings, update
from appliance.agent.failure import Unusable
from appliance.agent.ownership import guard, trusted
from appliance.agent.service import Options, install, plan_install, plan_uninstall, uninstall
from appliance.agent.service_plan import Command, Machine, Plan, WriteFile, carry_out, run_command, shown

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
BASE = "/var/lib/ocs-agent"
CONFIG = {"server": "http://ocs.example.org:8080/ocsinventory", "tag": "room 5"}


class Lab:
    """A root folder, a running archive, and programs that write down what they are told."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.archive = folder / "ocs.pyz"
        with zipfile.ZipFile(self.archive, "w") as archive:
            archive.writestr("__main__.py", "print('an agent')")
        self.bundle = folder / "given.pem"
        self.bundle.write_bytes(CERTIFICATE)
        self.ran: list[tuple[str, ...]] = []
        self.fails: set[str] = set()
        self.options = Options("linux", BASE, self.archive, sys.executable, service.UNIX_HOME, CONFIG, self.bundle)

    def run(self, words: tuple[str, ...]) -> tuple[int, str]:
        self.ran.append(words)
        return (1, "Failed to do it\nsecond line") if words[1] in self.fails else (0, "")

    @property
    def machine(self) -> Machine:
        return Machine(self.root, self.run)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def modes(self) -> dict[str, str]:
        """Every file and folder below the root that an installation made."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = "/" + path.relative_to(self.root).as_posix()
            if name.startswith(("/opt/", "/var/lib/", "/etc/systemd/system/")):
                found[name] = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        return found


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(service, "demand_root", lambda: None)
    return Lab(tmp_path)


def test_installing_puts_everything_in_place_and_starts_the_service_last(lab: Lab) -> None:
    told = install(lab.options, machine=lab.machine)
    assert lab.modes() == {
        "/etc/systemd/system/ocs-agent.service": "0644",
        "/opt/ocs-agent": "0755",
        "/opt/ocs-agent/ocs.pyz": "0755",
        "/var/lib/ocs-agent": "0700",
        "/var/lib/ocs-agent/agent.cfg": "0600",
        "/var/lib/ocs-agent/cacert.pem": "0600",
    }
    assert lab.at("/opt/ocs-agent/ocs.pyz").read_bytes() == lab.archive.read_bytes()
    assert lab.at(f"{BASE}/cacert.pem").read_bytes() == CERTIFICATE
    unit = service_systems.UNIT
    assert lab.ran == [
        ("systemctl", "daemon-reload"), ("systemctl", "enable", unit), ("systemctl", "restart", unit),
    ]  # fmt: skip
    assert told == "The agent is installed: /opt/ocs-agent/ocs.pyz, with its base directory /var/lib/ocs-agent."


def test_the_agent_reads_the_settings_that_were_installed(lab: Lab) -> None:
    install(lab.options, machine=lab.machine)
    values, warnings = settings.read_config(lab.at(f"{BASE}/agent.cfg"))
    assert (values, warnings) == (CONFIG, [])
    folder = lab.at(BASE)
    given, _ = settings.gather(["--basedir", str(folder)])
    assert (given.server, given.tag, given.bundle) == (CONFIG["server"], "room 5", folder / "cacert.pem")
    basedir.checked(folder)


def test_installing_again_changes_settings_and_clears_what_an_update_left(lab: Lab) -> None:
    install(lab.options, machine=lab.machine)
    for name in ("ocs.pyz.old", "ocs.pyz.trial", "ocs.pyz.new"):
        lab.at(f"/opt/ocs-agent/{name}").touch()
    again = replace(lab.options, archive=lab.at("/opt/ocs-agent/ocs.pyz"), config={"server": "http://b/c"}, bundle=None)
    install(again, machine=lab.machine)
    assert sorted(path.name for path in lab.at("/opt/ocs-agent").iterdir()) == ["ocs.pyz"]
    assert settings.read_config(lab.at(f"{BASE}/agent.cfg"))[0] == {"server": "http://b/c"}
    assert lab.at(f"{BASE}/cacert.pem").read_bytes() == CERTIFICATE


def test_the_installed_file_itself_is_not_copied_onto_itself(lab: Lab) -> None:
    plan = plan_install(replace(lab.options, archive=Path("/opt/ocs-agent/ocs.pyz")))
    assert [step.path for step in plan.steps if isinstance(step, WriteFile) and step.source] == [f"{BASE}/cacert.pem"]


def test_a_dry_run_shows_every_step_and_no_password_and_does_nothing(lab: Lab) -> None:
    text = install(lab.options, dry_run=True, machine=lab.machine)
    assert "write   0600  /var/lib/ocs-agent/agent.cfg" in text
    assert "        | server = http://ocs.example.org:8080/ocsinventory" in text
    assert "        | ExecStart=" in text
    assert text.splitlines()[-1] == "run           systemctl restart ocs-agent.service"
    secret = replace(lab.options, config={**CONFIG, "password": "hunter2"}, bundle=None)
    text = install(secret, dry_run=True, machine=lab.machine)
    assert "hunter2" not in text
    assert "Without /var/lib/ocs-agent/cacert.pem nothing is deployed" in text.splitlines()[-1]
    assert (lab.modes(), lab.ran) == ({}, [])
    assert "hunter2" not in repr(plan_install(secret))


def test_uninstalling_takes_back_what_install_made_and_keeps_the_spool(lab: Lab) -> None:
    install(lab.options, machine=lab.machine)
    spool = lab.at(f"{BASE}/spool")
    spool.mkdir()
    (spool / "state.json").write_text("{}")
    lab.ran.clear()
    told = uninstall(lab.options, machine=lab.machine)
    assert list(lab.modes()) == [BASE, f"{BASE}/spool", f"{BASE}/spool/state.json"]
    assert lab.ran == [("systemctl", "disable", "--now", service_systems.UNIT), ("systemctl", "daemon-reload")]
    assert "The spool stays in /var/lib/ocs-agent" in told
    uninstall(lab.options, machine=lab.machine)  # a second time finds nothing to do


def test_purging_removes_the_spool_and_nothing_that_an_agent_did_not_make(lab: Lab) -> None:
    install(lab.options, machine=lab.machine)
    folder = lab.at(BASE)
    for name in ("spool", "update"):
        (folder / name).mkdir()
    for name in ("spool/state.json", "update/a.pyz", "agent.log", "agent.log.1", "notes of an administrator"):
        (folder / name).touch()
    basedir.lock(folder).close()
    uninstall(lab.options, purge=True, machine=lab.machine)
    assert list(lab.modes()) == [BASE, f"{BASE}/notes of an administrator"]
    (folder / "notes of an administrator").unlink()
    (folder / "spool").mkdir()
    (folder / "spool/state.json").touch()
    uninstall(lab.options, purge=True, machine=lab.machine)
    assert lab.modes() == {}


def test_what_the_agent_made_itself_beside_its_bundle_goes_with_it_and_who_it_is_when_purged(lab: Lab) -> None:
    install(lab.options, machine=lab.machine)
    folder = lab.at(BASE)
    (folder / "spool").mkdir()
    (folder / "spool/state.json").touch()
    (folder / "member.pem").write_text("certificate and key of a computer that joined")
    bundle.keep(folder / "cacert.pem", CERTIFICATE.decode(), CERTIFICATE)  # the server had a new one
    assert (folder / "cacert.pem.server").is_file()
    uninstall(lab.options, machine=lab.machine)
    assert list(lab.modes()) == [BASE, f"{BASE}/member.pem", f"{BASE}/spool", f"{BASE}/spool/state.json"]
    uninstall(lab.options, purge=True, machine=lab.machine)
    assert lab.modes() == {}


def test_a_folder_that_holds_no_agents_spool_is_not_purged(lab: Lab) -> None:
    mail = lab.at("/var/spool/mail")
    mail.mkdir(parents=True)
    with pytest.raises(Unusable, match="holds no agent's spool"):
        uninstall(replace(lab.options, folder="/var"), purge=True, machine=lab.machine)
    assert mail.is_dir()
    assert lab.ran == []


def test_nothing_is_purged_under_an_agent_at_work(lab: Lab) -> None:
    folder = lab.at(BASE)
    (folder / "spool").mkdir(parents=True, mode=0o700)
    (folder / "spool/state.json").touch()
    with basedir.lock(folder), pytest.raises(Unusable, match="still at work"):
        uninstall(lab.options, purge=True, machine=lab.machine)
    assert (folder / "spool/state.json").exists()


@pytest.mark.parametrize("word", ["daemon-reload", "enable", "restart"])
def test_a_program_that_fails_is_named_with_its_reason(lab: Lab, word: str) -> None:
    lab.fails.add(word)
    with pytest.raises(Unusable, match=f"systemctl {word}.*ended with code 1: Failed to do it"):
        install(lab.options, machine=lab.machine)


def test_a_value_that_would_be_another_line_is_refused(lab: Lab) -> None:
    for value in ("a\nserver = http://evil.example.org/", "a\r", " a", "a\x00"):
        with pytest.raises(Unusable, match="The value of tag"):
            install(replace(lab.options, config={**CONFIG, "tag": value}), machine=lab.machine)
    assert lab.modes() == {}


# -- who could change what root runs


def test_nobody_but_root_installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for act in (install, uninstall):
        with pytest.raises(Unusable, match="Only root"):
            act(lab.options, machine=lab.machine)
        assert act(lab.options, dry_run=True, machine=lab.machine)
    assert lab.ran == []


@pytest.mark.parametrize("which", ["archive", "folder", "base", "home", "bundle"])
def test_what_others_could_write_is_refused(lab: Lab, which: str) -> None:
    path = {
        "archive": lab.archive, "folder": lab.archive.parent, "base": lab.at("/var/lib"), "home": lab.at("/opt"),
        "bundle": lab.bundle,
    }[which]  # fmt: skip
    if not path.exists():
        path.mkdir(parents=True)
    path.chmod(0o777)
    with pytest.raises(Unusable, match="can be written by others"):
        install(lab.options, machine=lab.machine)
    assert lab.ran == []
    if path.is_dir():
        path.chmod(0o1777)  # as /tmp: others cannot touch what is not theirs
        install(lab.options, machine=lab.machine)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_another_account_is_refused_but_for_whoever_ran_sudo(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(lab.archive, 54321, 54321)
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(Unusable, match="belongs to another account"):
        install(lab.options, machine=lab.machine)
    monkeypatch.setenv("SUDO_UID", "54321")
    install(lab.options, machine=lab.machine)
    assert lab.at("/opt/ocs-agent/ocs.pyz").stat().st_uid == os.geteuid()
    os.chown(lab.at("/opt/ocs-agent"), 54321, 54321)  # there, whoever ran sudo is not trusted
    with pytest.raises(Unusable, match="belongs to another account"):
        install(lab.options, machine=lab.machine)


def test_a_link_is_followed_to_what_it_stands_for(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "python").touch()
    os.symlink(tmp_path / "open" / "python", tmp_path / "python")
    guard(tmp_path / "python", trusted())
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(Unusable, match="open can be written by others"):
        guard(tmp_path / "python", trusted())


def test_what_is_no_archive_or_no_certificate_is_refused(lab: Lab) -> None:
    lab.bundle.write_bytes(b"not a certificate")
    with pytest.raises(Unusable, match="holds no certificate"):
        install(lab.options, machine=lab.machine)
    with pytest.raises(Unusable, match="cannot be read"):
        install(replace(lab.options, bundle=lab.bundle.with_name("nothing.pem")), machine=lab.machine)
    lab.archive.write_text("print('hello')")
    with pytest.raises(Unusable, match="is no built file"):
        install(lab.options, machine=lab.machine)
    with pytest.raises(Unusable, match="runs from its sources"):
        install(replace(lab.options, archive=None), machine=lab.machine)


def test_without_systemd_the_command_is_told(lab: Lab) -> None:
    shutil.rmtree(lab.root / "run/systemd")
    with pytest.raises(Unusable, match=r"systemd does not run here.*ocs\.pyz agent --basedir"):
        install(lab.options, machine=lab.machine)
    with pytest.raises(Unusable, match="no `agent install` for freebsd14"):
        plan_install(replace(lab.options, system="freebsd14"))


def test_settings_become_options(tmp_path: Path) -> None:
    given, _ = settings.gather(
        [
            "--server",
            "ocs.example.org:8080",
            "--basedir",
            str(tmp_path),
            "--ca",
            "/etc/ssl/ca.pem",
            "--tag",
            "x",
            "--debug",
        ]
    )
    options = service.options_of(given)
    assert options.config == {"server": "http://ocs.example.org:8080/ocsinventory", "tag": "x", "debug": "1"}
    assert (options.bundle, options.folder) == (Path("/etc/ssl/ca.pem"), str(tmp_path))
    assert (options.archive, options.python) == (update.running_file(), sys.executable)
    given, _ = settings.gather(["--server", "ocs.example.org", "--basedir", str(tmp_path)])
    assert service.options_of(given).bundle is None


# -- what systems are told


def exec_start(unit: str) -> str:
    return next(line for line in unit.splitlines() if line.startswith("ExecStart="))


def test_the_unit_starts_the_agent_isolated_and_forbids_nothing_that_installations_need(lab: Lab) -> None:
    unit = service_systems.unit(lab.options.command)
    assert exec_start(unit) == (
        f"ExecStart={sys.executable} -I -S /opt/ocs-agent/ocs.pyz agent --basedir /var/lib/ocs-agent"
    )
    parsed = configparser.ConfigParser(strict=True, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit)
    wanted = {"Restart": "always", "KillMode": "process", "OOMPolicy": "continue", "UMask": "0077"}
    assert wanted.items() <= dict(parsed["Service"]).items()
    forbidding = {
        "ProtectSystem", "ProtectHome", "ReadOnlyPaths", "PrivateTmp", "PrivateDevices", "PrivateMounts",
        "NoNewPrivileges", "RestrictSUIDSGID", "ProtectKernelModules", "ProtectKernelTunables", "RestrictNamespaces",
        "MemoryDenyWriteExecute", "User", "DynamicUser", "SystemCallArchitectures", "LockPersonality",
    }  # fmt: skip
    assert not forbidding & set(parsed["Service"])
    for name in forbidding - {"User", "DynamicUser"}:
        assert name in unit, f"the unit says why it does without {name}"


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/opt/plain", "/opt/plain"),
        ("/opt/a b", '"/opt/a b"'),
        ("/opt/100%", '"/opt/100%%"'),
        ("/opt/$HOME", '"/opt/$$HOME"'),
        ('/opt/"x"\\', '"/opt/\\"x\\"\\\\"'),
        ("/opt/a;b", '"/opt/a;b"'),
    ],
)
def test_a_path_with_odd_characters_stays_one_word(word: str, written: str) -> None:
    assert exec_start(service_systems.unit(("/usr/bin/python3", word))) == f"ExecStart=/usr/bin/python3 {written}"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_itself_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / service_systems.UNIT
    unit.write_text(service_systems.unit((sys.executable, "-I", str(tmp_path / "a b 50%.pyz"), "agent")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", unit], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "ocs-agent" in line]
    assert (done.returncode, ours) == (0, [])


def test_launchd_is_told_with_a_plist(lab: Lab) -> None:
    folder = "/Library/Application Support/OCS Agent"
    plan = plan_install(replace(lab.options, system="darwin", folder=folder))
    files = {step.path: step for step in plan.steps if isinstance(step, WriteFile)}
    told = plistlib.loads(files[service.PLIST].content)
    assert told["ProgramArguments"] == [
        sys.executable, "-I", "-S", "/opt/ocs-agent/ocs.pyz", "agent", "--basedir", folder,
    ]  # fmt: skip
    assert (told["KeepAlive"], told["RunAtLoad"], told["AbandonProcessGroup"]) == (True, True, True)
    assert f"logfile = {folder}/agent.log" in files[f"{folder}/agent.cfg"].content.decode()
    commands = [step.words[1] for step in plan.steps if isinstance(step, Command)]
    assert commands == ["bootout", "enable", "bootstrap"]
    back = plan_uninstall(replace(lab.options, system="darwin", folder=folder), purge=True)
    assert {service.PLIST, "/opt/ocs-agent/ocs.pyz", f"{folder}/spool", folder} <= {
        getattr(step, "path", "") for step in back.steps
    }


def windows(lab: Lab) -> Options:
    return replace(
        lab.options, system="win32", folder=r"C:\ProgramData\OCS Agent", python=r"C:\Program Files\Python\python.exe",
        home=r"C:\Program Files\OCS Agent",
    )  # fmt: skip


def test_windows_gets_a_task_that_runs_as_the_system_at_boot(lab: Lab) -> None:
    options = windows(lab)
    plan = plan_install(options)
    files = {step.path: step for step in plan.steps if isinstance(step, WriteFile)}
    raw = files[r"C:\Program Files\OCS Agent\task.xml"].content
    assert raw[:2] == b"\xff\xfe"
    task = ElementTree.fromstring(raw.decode("utf-16").partition("?>")[2])
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}

    def said(path: str) -> str | None:
        return task.findtext(path, namespaces=space)

    assert said("t:Principals/t:Principal/t:UserId") == "S-1-5-18"
    assert said("t:Settings/t:ExecutionTimeLimit") == "PT0S"
    assert said("t:Actions/t:Exec/t:Command") == r"C:\Program Files\Python\python.exe"
    assert said("t:Actions/t:Exec/t:Arguments") == (
        r'-I -S "C:\Program Files\OCS Agent\ocs.pyz" agent --basedir "C:\ProgramData\OCS Agent"'
    )
    assert task.find("t:Triggers/t:BootTrigger", space) is not None
    commands = [step.words for step in plan.steps if isinstance(step, Command)]
    assert commands[0][:3] == ("icacls", options.folder, "/inheritance:r")
    assert [words[1] for words in commands[1:]] == ["/End", "/Create", "/Run"]
    config = files[r"C:\ProgramData\OCS Agent\agent.cfg"].content.decode()
    assert r"logfile = C:\ProgramData\OCS Agent\agent.log" in config


def test_the_folders_rights_are_set_on_windows_before_anything_secret_is_written(lab: Lab) -> None:
    steps = plan_install(windows(lab)).steps
    rights = next(n for n, step in enumerate(steps) if isinstance(step, Command) and step.words[0] == "icacls")
    secret = next(n for n, step in enumerate(steps) if getattr(step, "path", "").endswith("agent.cfg"))
    assert rights < secret


def test_characters_of_xml_in_a_path_stay_what_they_are(lab: Lab) -> None:
    raw = service_systems.task(("python.exe", r"C:\R&D <1>\ocs.pyz"))
    assert r"C:\R&amp;D &lt;1&gt;\ocs.pyz" in raw.decode("utf-16")


def test_the_plan_of_windows_can_be_shown(lab: Lab) -> None:
    text = shown(plan_install(windows(lab)))
    assert "        |       <UserId>S-1-5-18</UserId>" in text


# -- programs of the system


def test_a_program_is_run_with_a_clean_environment_and_its_errors_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCS_SECRET", "x")
    assert run_command(["/bin/sh", "-c", 'echo "$OCS_SECRET$PATH" >&2; exit 3'])[0] == 3
    assert "x/" not in run_command(["/bin/sh", "-c", 'echo "$OCS_SECRET$PATH" >&2'])[1]
    assert run_command(["does-not-exist-here"]) == (127, "does-not-exist-here is not installed")
    (tmp_path / "ls").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "ls").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # it is the system's own that is meant
    assert run_command(["ls", "/"])[0] == 0


def test_a_whole_installation_with_a_systemctl_that_is_really_run(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "systemctl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    script.chmod(0o755)
    monkeypatch.setattr(service_plan, "UNIX_PATH", str(script.parent))
    install(lab.options, machine=Machine(lab.root))
    uninstall(lab.options, machine=Machine(lab.root))
    unit = service_systems.UNIT
    told = ["daemon-reload", f"enable {unit}", f"restart {unit}", f"disable --now {unit}", "daemon-reload"]
    assert (tmp_path / "told").read_text().splitlines() == told


def test_a_step_that_the_disk_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unusable, match="/file/x"):
        carry_out(Plan((WriteFile("/file/x", 0o600, b""),)), Machine(tmp_path))
