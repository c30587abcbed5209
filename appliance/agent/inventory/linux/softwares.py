"""SOFTWARES of rpm, pacman, apk, flatpak and snap: from their files; rpm's own ones, by running it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from ..reading import link_name, names, read_text
from ..rows import Row, number
from ..running import output
from . import dpkg

_DATABASE_LIMIT = 64 << 20
_PACKAGES_LIMIT = 20_000
_RPM_DATABASES = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_RPM_FORMAT = (
    r"%{NAME}\t%{EPOCH}\t%{VERSION}-%{RELEASE}\t%{ARCH}\t%{LONGSIZE}\t%{INSTALLTIME}\t%{VENDOR}"
    r"\t%{SUMMARY}\n"
)


def sources(*, live: bool) -> list[Callable[[str], list[Row]]]:
    """Each gives nothing where its packages are unknown. rpm's databases are its own business: it is run."""
    return [dpkg.softwares, *([rpm] if live else []), pacman, apk, flatpak, snap]


def rpm(root: str) -> list[Row]:
    if not any(os.path.isdir(f"{root}/{folder}") for folder in _RPM_DATABASES):
        return []
    said = output(["rpm", "-qa", "--queryformat", _RPM_FORMAT])
    return rpm_rows(said.decode("utf-8", "replace")) if said else []


def rpm_rows(text: str) -> list[Row]:
    rows = []
    for line in text.splitlines():
        fields = ["" if field == "(none)" else field for field in line.split("\t", 7)]
        if len(fields) != 8 or fields[0] == "gpg-pubkey":  # keys are kept as packages
            continue
        name, epoch, version, arch, size, installed, vendor, summary = fields
        rows.append(
            {
                "NAME": name,
                "VERSION": f"{epoch}:{version}" if epoch not in ("", "0") else version,
                "ARCHITECTURE": arch,
                "FILESIZE": size,
                "INSTALLDATE": _date(installed),
                "PUBLISHER": vendor,
                "COMMENTS": summary,
                "FROM": "rpm",
            }
        )
    rows.sort(key=lambda row: (row["NAME"], row["VERSION"]))
    return rows


def pacman(root: str) -> list[Row]:
    folder = f"{root}/var/lib/pacman/local"
    rows = []
    for package in names(folder)[:_PACKAGES_LIMIT]:
        blocks = (block.split("\n") for block in read_text(f"{folder}/{package}/desc").split("\n\n"))
        found = {lines[0].strip("%"): lines[1] for lines in blocks if len(lines) > 1}
        if found.get("NAME"):
            rows.append(
                {
                    "NAME": found["NAME"],
                    "VERSION": found.get("VERSION", ""),
                    "ARCHITECTURE": found.get("ARCH", ""),
                    "FILESIZE": found.get("SIZE", ""),
                    "INSTALLDATE": _date(found.get("INSTALLDATE", "")),
                    "PUBLISHER": found.get("URL", ""),
                    "COMMENTS": found.get("DESC", ""),
                    "FROM": "pacman",
                }
            )
    return rows


def apk(root: str) -> list[Row]:
    rows = []
    text = read_text(f"{root}/lib/apk/db/installed", _DATABASE_LIMIT) or read_text(
        f"{root}/usr/lib/apk/db/installed", _DATABASE_LIMIT
    )
    for stanza in text.split("\n\n"):
        found = dict(re.findall(r"^([PVATUI]):(.*)$", stanza, re.MULTILINE))
        if found.get("P"):
            rows.append(
                {
                    "NAME": found["P"],
                    "VERSION": found.get("V", ""),
                    "ARCHITECTURE": found.get("A", ""),
                    "FILESIZE": found.get("I", ""),
                    "PUBLISHER": found.get("U", ""),
                    "COMMENTS": found.get("T", ""),
                    "FROM": "apk",
                }
            )
    return rows


def flatpak(root: str) -> list[Row]:
    """The system-wide applications. A person's own ones are below their home, where we do not look."""
    rows = []
    folder = f"{root}/var/lib/flatpak/app"
    for name in names(folder)[:_PACKAGES_LIMIT]:
        files = f"{folder}/{name}/current/active"
        metadata = read_text(f"{files}/metadata", 65536)
        if not metadata:
            continue
        runtime = re.search(r"^runtime=[^/\n]*/([^/\n]*)/", metadata, re.MULTILINE)
        described = read_text(f"{files}/files/share/metainfo/{name}.metainfo.xml") or read_text(
            f"{files}/files/share/appdata/{name}.appdata.xml"
        )
        release = re.search(r"<release\b[^>]*\bversion=[\"']([^\"']{1,100})", described)
        entry = read_text(f"{files}/export/share/applications/{name}.desktop", 262144)
        title = re.search(r"^Name=(.*)$", entry, re.MULTILINE)
        comment = re.search(r"^Comment=(.*)$", entry, re.MULTILINE)
        rows.append(
            {
                "NAME": title[1] if title else name,
                # without a release note: the branch that is followed ("stable"); current is "<arch>/<branch>"
                "VERSION": release[1] if release else link_name(f"{folder}/{name}/current"),
                "ARCHITECTURE": runtime[1] if runtime else "",
                "COMMENTS": comment[1] if comment else "",
                "GUID": name,
                "FROM": "flatpak",
            }
        )
    return rows


def snap(root: str) -> list[Row]:
    rows = []
    for base in ("snap", "var/lib/snapd/snap"):  # the second: Fedora and others
        folder = f"{root}/{base}"
        for name in names(folder)[:_PACKAGES_LIMIT]:
            text = read_text(f"{folder}/{name}/current/meta/snap.yaml")
            found = dict(re.findall(r"^(name|version|summary): *(.*?) *$", text, re.MULTILINE))
            if not found.get("name"):
                continue
            plain = {key: value.strip("\"'") for key, value in found.items()}
            revision = link_name(f"{folder}/{name}/current")
            rows.append(
                {
                    "NAME": plain["name"],
                    "VERSION": plain.get("version", "") or revision,
                    "COMMENTS": plain.get("summary", ""),
                    "FILESIZE": _size(f"{root}/var/lib/snapd/snaps/{name}_{revision}.snap"),
                    "FROM": "snap",
                }
            )
        if rows:
            break
    return rows


def _size(path: str) -> str:
    try:
        return str(os.stat(path).st_size)
    except (OSError, ValueError):
        return ""


def _date(seconds: str) -> str:
    since = number(seconds)
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(since)) if 0 < since < 1 << 36 else ""
