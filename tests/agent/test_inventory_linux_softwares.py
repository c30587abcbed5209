"""SOFTWARES of Linux, from the databases of its package managers."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from appliance.agent import inventory
from appliance.agent.inventory.linux import softwares
from tests.agent.data.trees import plant, plant_office, rows

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="trees with Linux's file names")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant_office(tmp_path_factory.mktemp("office"))


def test_dpkg_packages_are_named_as_dpkg_names_them_and_removed_ones_are_left_out(office: Path) -> None:
    found = rows(office, "SOFTWARES")
    assert [row["NAME"] for row in found] == ["dpkg", "adduser", "zlib1g:amd64", "wine32:i386"]
    assert found[1] == {
        "NAME": "adduser",
        "VERSION": "3.134",
        "ARCHITECTURE": "all",
        "COMMENTS": "add and remove users and groups",
        "FILESIZE": "702464",
        "FROM": "deb",
    }
    assert found[2] == {
        "NAME": "zlib1g:amd64",
        "VERSION": "1:1.2.13.dfsg-1",
        "ARCHITECTURE": "amd64",
        "COMMENTS": "compression library - runtime",
        "PUBLISHER": "http://zlib.net/",
        "FILESIZE": "172032",
        "INSTALLDATE": "2025/04/20 10:30:00",
        "FROM": "deb",
    }


def test_softwares_can_be_left_out(office: Path) -> None:
    assert "SOFTWARES" not in {name for name, _ in inventory.collect(office, softwares=False)}


def test_the_other_package_managers_are_read_from_their_files(tmp_path: Path) -> None:
    day = time.mktime((2024, 5, 6, 7, 8, 9, 0, 0, -1))
    app = "var/lib/flatpak/app/org.gimp.GIMP"
    root = plant(
        tmp_path,
        {
            "var/lib/pacman/local/bash-5.2/desc": (
                "%NAME%\nbash\n\n%VERSION%\n5.2.026-2\n\n%DESC%\nThe GNU shell\n\n%URL%\nhttps://gnu.org/bash\n\n"
                f"%ARCH%\nx86_64\n\n%INSTALLDATE%\n{int(day)}\n\n%SIZE%\n9497841\n\n%DEPENDS%\nglibc\nreadline\n"
            ),
            "var/lib/pacman/local/ALPM_DB_VERSION": "9\n",
            "lib/apk/db/installed": (
                "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nS:383152\nI:622592\nT:the musl c library\nU:https://musl\n"
                "F:lib\nR:ld-musl-x86_64.so.1\n\nP:zlib\nV:1.2.13-r1\n"
            ),
            f"{app}/current": Path("x86_64/stable"),
            f"{app}/x86_64/stable/active": Path("0123abc"),
            f"{app}/x86_64/stable/0123abc/metadata": (
                "[Application]\nname=org.gimp.GIMP\nruntime=org.gnome.Platform/x86_64/45\n"
            ),
            f"{app}/x86_64/stable/0123abc/files/share/metainfo/org.gimp.GIMP.metainfo.xml": (
                '<releases><release date="2024" version="2.10.38"/><release version="2.10.36"/></releases>'
            ),
            f"{app}/x86_64/stable/0123abc/export/share/applications/org.gimp.GIMP.desktop": (
                "[Desktop Entry]\nName=GNU Image Manipulation Program\nName[de]=Bildprogramm\nComment=Paint\n"
            ),
            "snap/bin/x": "",
            "snap/hello/current": Path("42"),
            "snap/hello/42/meta/snap.yaml": "name: hello\nversion: '2.10'\nsummary: GNU Hello\napps: {}\n",
            "var/lib/snapd/snaps/hello_42.snap": "12345",
        },
    )
    assert rows(root, "SOFTWARES") == [
        {
            "NAME": "bash",
            "VERSION": "5.2.026-2",
            "ARCHITECTURE": "x86_64",
            "FILESIZE": "9497841",
            "INSTALLDATE": "2024/05/06 07:08:09",
            "PUBLISHER": "https://gnu.org/bash",
            "COMMENTS": "The GNU shell",
            "FROM": "pacman",
        },
        {
            "NAME": "musl",
            "VERSION": "1.2.4-r2",
            "ARCHITECTURE": "x86_64",
            "FILESIZE": "622592",
            "PUBLISHER": "https://musl",
            "COMMENTS": "the musl c library",
            "FROM": "apk",
        },
        {"NAME": "zlib", "VERSION": "1.2.13-r1", "FROM": "apk"},
        {
            "NAME": "GNU Image Manipulation Program",
            "VERSION": "2.10.38",
            "ARCHITECTURE": "x86_64",
            "COMMENTS": "Paint",
            "GUID": "org.gimp.GIMP",
            "FROM": "flatpak",
        },
        {
            "NAME": "hello",
            "VERSION": "2.10",
            "COMMENTS": "GNU Hello",
            "FILESIZE": "5",
            "FROM": "snap",
        },
    ]


def test_the_answer_of_rpm_becomes_rows_without_its_keys() -> None:
    said = (
        "zlib\t(none)\t1.2.11-40.el9\tx86_64\t202000\t1700000000\tRed Hat, Inc.\tThe compression library\n"
        "bind-libs\t32\t9.16.23-14.el9\tx86_64\t3000\t1700000000\t(none)\tLibraries\twith a tab\n"
        "gpg-pubkey\t(none)\tfd431d51-4ae0493b\t(none)\t0\t1\t(none)\tkey\n"
        "a line that is cut\n"
    )
    found = softwares.rpm_rows(said)
    assert [(row["NAME"], row["VERSION"], row["FILESIZE"], row["PUBLISHER"]) for row in found] == [
        ("bind-libs", "32:9.16.23-14.el9", "3000", ""),
        ("zlib", "1.2.11-40.el9", "202000", "Red Hat, Inc."),
    ]
    assert found[0]["COMMENTS"] == "Libraries\twith a tab"
