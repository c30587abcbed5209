"""What each system's services want to be told: a systemd unit, a launchd plist, a scheduled task. Pure texts and words.

Written from the systems' descriptions; macOS and Windows were not tried on real ones.
"""

from __future__ import annotations

import plistlib
import subprocess
from html import escape  # xml.sax's own would bring urllib.request with it

UNIT = "ocs-agent.service"
LABEL = "ocs-agent"
TASK = "OCS Agent"

# Everything that the unit forbids is forbidden to the packages' commands too, which are its children. So it forbids
# only what no installation needs; what else is left open, and why, stands in the unit itself.
_UNIT = """\
# Written by `ocs.pyz agent install`; `agent uninstall` removes it. Changes belong into `systemctl edit {unit}`.
[Unit]
Description=Software deployment and inventory agent (ocs.pyz)
Wants=network-online.target
After=network-online.target
# It is never given up: nobody may be there to start it again
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart={command}
WorkingDirectory=/
Restart=always
RestartSec=30

# Stopping the agent must not cut an installation in half: its commands go on, and the agent tells that it does not
# know their end. For the same reason one command that runs out of memory does not end the agent.
KillMode=process
OOMPolicy=continue

# The agent's own files are nobody else's; commands get umask 022 from the agent.
UMask=0077
# A core dump would hold the server's password
LimitCORE=0
# No installation schedules itself in real time, takes file leases, wakes the computer or keeps it from sleeping
RestrictRealtime=yes
CapabilityBoundingSet=~CAP_BLOCK_SUSPEND CAP_LEASE CAP_SYS_PACCT CAP_WAKE_ALARM
# System calls that no program has used for decades fail, and nothing else does
SystemCallFilter=~@obsolete
SystemCallErrorNumber=EPERM
KeyringMode=private

# Left open on purpose:
#   ProtectSystem, ProtectHome, ReadOnlyPaths, PrivateDevices, PrivateMounts: packages write to /usr, /etc, /boot and
#     homes, format and mount disks; with a mount namespace what they mount would be seen by nobody else
#   PrivateTmp: the person's X11 socket lies in /tmp
#   NoNewPrivileges: scripts of packages call sudo and su, SELinux changes domains for rpm's
#   RestrictSUIDSGID: packages bring setuid programs
#   ProtectKernelModules, ProtectKernelTunables, ProtectClock, ProtectHostname: drivers and settings are deployed
#   MemoryDenyWriteExecute, LockPersonality, SystemCallArchitectures: Java, Mono and 32-bit installers
#   RestrictNamespaces: flatpak and browsers build sandboxes while they are installed
#   RestrictAddressFamilies, IPAddressDeny: a command may talk to anything

[Install]
WantedBy=multi-user.target
"""


def unit(command: tuple[str, ...]) -> str:
    """The systemd unit."""
    return _UNIT.format(unit=UNIT, command=" ".join(map(_unit_word, command)))


def _unit_word(word: str) -> str:
    """One word of ExecStart: quoted as systemd.syntax(7) has it, specifiers and variables doubled."""
    doubled = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{doubled}"' if doubled != word or any(c in word for c in " \t';") else doubled


def plist(command: tuple[str, ...]) -> bytes:
    """The launchd daemon. AbandonProcessGroup: stopping the agent does not cut an installation in half."""
    return plistlib.dumps({
        "Label": LABEL,
        "ProgramArguments": list(command),
        "WorkingDirectory": "/",
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 30,
        "AbandonProcessGroup": True,
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
    })  # fmt: skip


_TASK = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Software deployment and inventory agent (ocs.pyz)</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
      <Repetition>
        <Interval>PT1H</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
    </BootTrigger>
  </Triggers>
  <Principals>
    <Principal id="System">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <IdleSettings>
      <StopOnIdleEnd>false</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>false</WakeToRun>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>6</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="System">
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def task(command: tuple[str, ...]) -> bytes:
    """The scheduled task for `schtasks /Create /XML`: as SYSTEM, at boot, and every hour where it has ended since."""
    program, *arguments = command
    text = _TASK.format(
        program=escape(program, quote=False), arguments=escape(subprocess.list2cmdline(arguments), quote=False)
    )
    return text.replace("\n", "\r\n").encode("utf-16")  # with the mark in front that schtasks wants
