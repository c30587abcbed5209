"""SOFTWARES of Debian and its kin, straight from dpkg's status file: no program is run.

This is most of the work of an inventory (a thousand packages and more), hence the one regular expression.
"""

from __future__ import annotations

import os
import re
import time

from ..reading import read_text
from ..rows import Row

_LIMIT = 64 << 20
_FIELDS = re.compile(
    r"^(Package|Status|Installed-Size|Architecture|Multi-Arch|Version|Description|Homepage): ?(.*)$",
    re.MULTILINE,
)


def softwares(root: str) -> list[Row]:
    folder = f"{root}/var/lib/dpkg"
    packages = [
        found
        for stanza in read_text(f"{folder}/status", _LIMIT).split("\n\n")
        if (found := dict(_FIELDS.findall(stanza))).get("Status", "").endswith(" installed") and "Package" in found
    ]
    own = next((found.get("Architecture", "") for found in packages if found["Package"] == "dpkg"), "")
    rows = []
    for found in packages:
        name, arch = found["Package"], found.get("Architecture", "")
        qualified = f"{name}:{arch}"
        # dpkg writes the architecture with the name where the name alone could be two packages
        ambiguous = found.get("Multi-Arch") == "same" or (arch not in ("all", own) and bool(own))
        size = found.get("Installed-Size", "")
        rows.append(
            {
                "NAME": qualified if ambiguous else name,
                "VERSION": found.get("Version", ""),
                "ARCHITECTURE": arch,
                "COMMENTS": found.get("Description", ""),
                "PUBLISHER": found.get("Homepage", ""),
                "FILESIZE": str(int(size) * 1024) if size.isdecimal() and len(size) < 16 else "",
                "INSTALLDATE": _installed(f"{folder}/info", (qualified, name) if ambiguous else (name, qualified)),
                "FROM": "deb",
            }
        )
    return rows


def _installed(folder: str, names: tuple[str, str]) -> str:
    """dpkg notes no date, but writes the list of a package's files when it installs it."""
    for name in names:
        try:
            seconds = os.stat(f"{folder}/{name}.list").st_mtime
        except (OSError, ValueError):
            continue
        return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds))
    return ""
