"""The environment of commands: clean, documented, and the same on every run. Source: security.md A32.

PATH HOME USER LOGNAME SHELL LANG TMPDIR   on Unix: the system's, not those of whoever started the agent
SystemRoot ProgramFiles TEMP ...           on Windows: as they are
OCS_PACKAGE_ID OCS_PACKAGE_NAME            the package; the name is empty where the server does not tell it
OCS_ACTION                                 LAUNCH, EXECUTE or STORE; POSTCMD for what comes after it
OCS_SERVER                                 the server's URL
OCS_INSTALL_PATH INSTALL_PATH              the agent's base directory
OCS_RUN                                    marks the processes of this one run
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from appliance.agent.expand import INSTALL_PATH
from appliance.agent.process import RUN_MARK
from appliance.domain.package import PackageId

if sys.platform != "win32":
    import pwd

UNIX_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNIX_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "http_proxy", "https_proxy", "no_proxy")
_WINDOWS_KEPT = frozenset(
    name.upper()
    for name in (
        "ALLUSERSPROFILE", "APPDATA", "CommonProgramFiles", "CommonProgramFiles(x86)", "CommonProgramW6432",
        "COMPUTERNAME", "ComSpec", "DriverData", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS",
        "Path", "PATHEXT", "PROCESSOR_ARCHITECTURE", "PROCESSOR_ARCHITEW6432", "PROCESSOR_IDENTIFIER", "ProgramData",
        "ProgramFiles", "ProgramFiles(x86)", "ProgramW6432", "PUBLIC", "SystemDrive", "SystemRoot", "TEMP", "TMP",
        "USERDOMAIN", "USERNAME", "USERPROFILE", "windir",
    )
)  # fmt: skip


def of_system(outer: Mapping[str, str]) -> dict[str, str]:
    """What every command finds, before the agent's own variables; `outer` is the agent's environment."""
    if sys.platform == "win32":
        return {name: value for name, value in outer.items() if name.upper() in _WINDOWS_KEPT}
    else:
        kept = {name: outer[name] for name in _UNIX_KEPT if name in outer}
        try:
            account = pwd.getpwuid(os.geteuid())
            user, home = account.pw_name, account.pw_dir
        except KeyError:
            user, home = str(os.geteuid()), "/"
        own = {"PATH": UNIX_PATH, "HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/sh"}
        return {"LANG": "C.UTF-8", **kept, **own}


def of_package(
    package: PackageId, action: str, *, name: str, server: str, install_path: str, run: str
) -> dict[str, str]:
    """What a command is told about its package. A name with a NUL in it cannot be told."""
    return {
        "OCS_PACKAGE_ID": package,
        "OCS_PACKAGE_NAME": name.replace("\0", ""),
        "OCS_ACTION": action,
        "OCS_SERVER": server,
        "OCS_INSTALL_PATH": install_path,
        INSTALL_PATH: install_path,
        RUN_MARK: run,
    }
