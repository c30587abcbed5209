"""`agent install` and `agent uninstall`: the service of the system at hand. Source: product.md 5; security.md A31, A33.

All that will be done is planned first, as a value; this module decides what, service_systems how each system is told,
service_plan carries it out. Running the agent is not its business.
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from appliance.agent import basedir, bundle, membership, service_systems, trial, update
from appliance.agent.failure import Unusable
from appliance.agent.ownership import guard, sources, trusted
from appliance.agent.service_plan import (
    Command,
    Idle,
    Machine,
    MakeFolder,
    Plan,
    Remove,
    Step,
    WriteFile,
    carry_out,
    shown,
)
from appliance.agent.settings import Settings

if sys.platform == "win32":
    import ctypes

FILE = "ocs.pyz"
LOGFILE = "agent.log"
UNIX_HOME = "/opt/ocs-agent"
UNIT_FOLDER = "/etc/systemd/system"
PLIST = f"/Library/LaunchDaemons/{service_systems.LABEL}.plist"
TASK_FILE = "task.xml"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADMINISTRATORS, _SYSTEM = "*S-1-5-32-544", "*S-1-5-18"


@dataclass(frozen=True)
class Options:
    """What is installed. Paths are texts in the target system's own way of writing them."""

    system: str  # as sys.platform has it: linux, darwin, win32
    folder: str  # the base directory
    archive: Path | None  # the running file; None: it runs from its sources, and there is none
    python: str
    home: str  # where the file is put
    config: dict[str, str] = field(default_factory=dict)  # keys of agent.cfg
    bundle: Path | None = None  # cacert.pem to copy; None: what is there stays
    has_bundle: bool = False  # whether it is there already

    def join(self, *parts: str) -> str:
        """A path as the target system writes it."""
        return "\\".join(parts) if self.system == "win32" else "/".join(parts)

    def below(self, name: str) -> str:
        """A path in the base directory."""
        return self.join(self.folder, name)

    @property
    def file(self) -> str:
        """The installed file."""
        return self.join(self.home, FILE)

    @property
    def command(self) -> tuple[str, ...]:
        """What the service runs."""
        return (self.python, "-I", "-S", self.file, "agent", "--basedir", self.folder)


def options_of(given: Settings) -> Options:
    """What these settings install, or uninstall, on this system."""
    told = {
        "server": given.server,
        "tag": given.tag,
        "proxy": given.proxy,
        "user": given.user,
        "password": given.password,
        "realm": given.realm,
        "logfile": str(given.logfile) if given.logfile else "",
        "debug": "1" if given.debug else "",
    }
    there = given.folder / basedir.BUNDLE
    home = UNIX_HOME
    if sys.platform == "win32":
        home = os.environ.get("PROGRAMFILES", r"C:\Program Files") + r"\OCS Agent"
    return Options(
        system=sys.platform,
        folder=str(given.folder),
        archive=update.running_file(),
        python=sys.executable,
        home=home,
        config={key: value for key, value in told.items() if value},
        bundle=given.bundle if given.bundle != there else None,
        has_bundle=there.is_file(),
    )


def install(options: Options, *, dry_run: bool = False, machine: Machine | None = None) -> str:
    """Install and start the service, or only say how; what to tell.

    Raises Unusable. What was done before stays done; installing again, or uninstalling, begins where it was.
    """
    machine = machine or Machine()
    plan = plan_install(options)
    if dry_run:
        return shown(plan)
    demand_root()
    check(options, machine)
    carry_out(plan, machine)
    lines = [f"The agent is installed: {options.file}, with its base directory {options.folder}.", *plan.notes]
    return "\n".join(lines)


def uninstall(options: Options, *, purge: bool = False, dry_run: bool = False, machine: Machine | None = None) -> str:
    """Take back what install made; the spool, with who this computer is, only where `purge`. Raises Unusable."""
    machine = machine or Machine()
    plan = plan_uninstall(options, purge=purge)
    if dry_run:
        return shown(plan)
    demand_root()
    folder = machine.at(options.folder)
    if purge and folder.exists() and not (folder / basedir.SPOOL / "state.json").is_file():
        # `--basedir /var --purge` would otherwise take /var/spool
        raise Unusable(f"{folder} holds no agent's spool; nothing was done. Leave out --purge, or name its --basedir.")
    carry_out(plan, machine)
    kept = "" if purge else f" The spool stays in {options.folder}; --purge removes it too."
    return f"The agent is uninstalled.{kept}"


def plan_install(options: Options) -> Plan:
    """All that install does, in its order: files first, the service last."""
    if options.archive is None:
        raise Unusable("The agent runs from its sources; only a built file, ocs.pyz or ocs-agent.pyz, is installed.")
    steps: list[Step] = [MakeFolder(options.home, 0o755), *(Remove(path) for path in _leftovers(options))]
    if str(options.archive) != options.file:
        steps.append(WriteFile(options.file, 0o755, source=options.archive))
    steps.append(MakeFolder(options.folder, 0o700))
    if options.system == "win32":
        grant = [part for who in (_SYSTEM, _ADMINISTRATORS) for part in ("/grant:r", f"{who}:(OI)(CI)F")]
        steps.append(Command(("icacls", options.folder, "/inheritance:r", *grant)))
    notes = []
    if options.bundle is not None:
        steps.append(WriteFile(options.below(basedir.BUNDLE), 0o600, source=options.bundle))
    else:
        notes.append(
            f"Without {options.below(basedir.BUNDLE)} nothing is deployed; name it with --ca, or put it there."
        )
    config = dict(options.config)
    if options.system != "linux":  # there, the journal takes what the agent says
        config.setdefault("logfile", options.below(LOGFILE))
    steps.append(WriteFile(options.below(basedir.CONFIG), 0o600, _config(config), secret="password" in config))
    return Plan((*steps, *_register(options)), tuple(notes))


def plan_uninstall(options: Options, *, purge: bool = False) -> Plan:
    """All that uninstall does, in its order: the service first."""
    steps: list[Step] = [*_unregister(options)]
    steps += [Remove(path) for path in (*_leftovers(options), options.file, options.home)]
    steps += [Remove(options.below(name)) for name in (basedir.CONFIG, basedir.BUNDLE, basedir.BUNDLE + bundle.SERVER)]
    if purge:
        steps.append(Idle(options.folder))
        steps.append(Remove(options.below(membership.FILE)))
        # Only what an agent makes: a base directory that was named by mistake keeps the rest
        steps += [Remove(options.below(name), tree=True) for name in (basedir.SPOOL, update.INBOX)]
        logs = (LOGFILE, *(f"{LOGFILE}.{number}" for number in range(1, 4)))
        steps += [Remove(options.below(name)) for name in (*logs, basedir.LOCK)]
        steps.append(Remove(options.folder))
    return Plan(tuple(steps))


def check(options: Options, machine: Machine) -> None:
    """Raise Unusable where others could change what is installed, or it is not what it should be."""
    if options.archive is None:
        raise Unusable("There is no file to install.")
    owners = trusted()
    guard(options.archive, sources())
    if not zipfile.is_zipfile(options.archive):
        raise Unusable(f"{options.archive} is no built file.")
    guard(Path(options.python), owners)
    for path in (options.home, options.folder):
        guard(machine.at(path), owners)
    if options.bundle is not None:
        guard(options.bundle, sources())
        try:
            usable = b"-----BEGIN CERTIFICATE-----" in options.bundle.read_bytes()
        except OSError as error:
            raise Unusable(f"{options.bundle} cannot be read: {error.strerror}.") from None
        if not usable:
            raise Unusable(f"{options.bundle} holds no certificate.")
    if options.system == "linux" and not machine.at("/run/systemd/system").is_dir():
        words = " ".join(options.command)
        raise Unusable(f"systemd does not run here; have your system start `{words}` by itself.")


def demand_root() -> None:
    """Raise Unusable unless this account may install services."""
    if sys.platform == "win32":
        allowed = bool(ctypes.windll.shell32.IsUserAnAdmin())
    else:
        allowed = os.geteuid() == 0
    if not allowed:
        raise Unusable("Only root (on Windows an administrator) can do this; --dry-run shows what would be done.")


def _register(options: Options) -> tuple[Step, ...]:
    if options.system == "linux":
        unit = f"{UNIT_FOLDER}/{service_systems.UNIT}"
        return (
            MakeFolder(UNIT_FOLDER, 0o755),
            WriteFile(unit, 0o644, service_systems.unit(options.command).encode()),
            Command(("systemctl", "daemon-reload")),
            Command(("systemctl", "enable", service_systems.UNIT)),
            Command(("systemctl", "restart", service_systems.UNIT)),
        )
    if options.system == "darwin":
        return (
            Command(("launchctl", "bootout", f"system/{service_systems.LABEL}"), may_fail=True),
            WriteFile(PLIST, 0o644, service_systems.plist(options.command)),
            Command(("launchctl", "enable", f"system/{service_systems.LABEL}")),
            Command(("launchctl", "bootstrap", "system", PLIST)),
        )
    if options.system == "win32":
        task = options.join(options.home, TASK_FILE)
        return (
            Command(("schtasks", "/End", "/TN", service_systems.TASK), may_fail=True),
            WriteFile(task, 0o600, service_systems.task(options.command)),
            Command(("schtasks", "/Create", "/TN", service_systems.TASK, "/XML", task, "/F")),
            Command(("schtasks", "/Run", "/TN", service_systems.TASK)),
        )
    raise Unusable(f"There is no `agent install` for {options.system}; have it start `{' '.join(options.command)}`.")


def _unregister(options: Options) -> tuple[Step, ...]:
    if options.system == "linux":
        return (
            Command(("systemctl", "disable", "--now", service_systems.UNIT), may_fail=True),
            Remove(f"{UNIT_FOLDER}/{service_systems.UNIT}"),
            Command(("systemctl", "daemon-reload"), may_fail=True),
        )
    if options.system == "darwin":
        return (Command(("launchctl", "bootout", f"system/{service_systems.LABEL}"), may_fail=True), Remove(PLIST))
    return (
        Command(("schtasks", "/End", "/TN", service_systems.TASK), may_fail=True),
        Command(("schtasks", "/Delete", "/TN", service_systems.TASK, "/F"), may_fail=True),
        Remove(options.join(options.home, TASK_FILE)),
    )


def _leftovers(options: Options) -> tuple[str, ...]:
    return tuple(options.file + suffix for suffix in (trial.TRIAL, trial.OLD, trial.NEW))


def _config(values: dict[str, str]) -> bytes:
    """agent.cfg. Raises Unusable for a value that would be read as something else."""
    lines = ["# Written by `ocs.pyz agent install`. Keys: see `ocs.pyz agent --help`."]
    for key, value in values.items():
        if _CONTROL.search(value) or value != value.strip():
            raise Unusable(f"The value of {key} has a control character in it, or a space at an end.")
        lines.append(f"{key} = {value}")
    return ("\n".join(lines) + "\n").encode()
