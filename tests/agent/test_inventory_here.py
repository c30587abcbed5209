"""The inventory of the machine that runs the tests, against what other sources say about it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.agent import inventory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with Linux's sources")


@pytest.fixture(scope="module")
def here() -> list[tuple[str, dict[str, str]]]:
    return inventory.collect()


def rows(found: list[tuple[str, dict[str, str]]], name: str) -> list[dict[str, str]]:
    return [fields for section, fields in found if section == name]


def test_name_and_architecture_are_those_of_uname(here: list[tuple[str, dict[str, str]]]) -> None:
    (hardware,) = rows(here, "HARDWARE")
    assert hardware["NAME"] == os.uname().nodename.partition(".")[0]
    assert hardware["ARCH"] == os.uname().machine


def test_memory_is_what_the_c_library_counts_in_pages(here: list[tuple[str, dict[str, str]]]) -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(int(rows(here, "HARDWARE")[0]["MEMORY"]) - pages // (1 << 20)) <= 1


def test_the_root_drive_is_as_large_as_shutil_says(here: list[tuple[str, dict[str, str]]]) -> None:
    usage = shutil.disk_usage("/")
    root = next((row for row in rows(here, "DRIVES") if row["TYPE"] == "/"), None)
    if root is None:
        pytest.skip("the root comes from a server")
    assert int(root["TOTAL"]) == usage.total // (1 << 20)
    assert abs(int(root["FREE"]) - usage.free // (1 << 20)) < 2048  # others are writing


def test_all_logical_processors_are_counted(here: list[tuple[str, dict[str, str]]]) -> None:
    online = os.sysconf("SC_NPROCESSORS_ONLN")
    assert sum(int(row["LOGICAL_CPUS"]) for row in rows(here, "CPUS")) == online


def test_every_interface_but_loopback_has_a_row(here: list[tuple[str, dict[str, str]]]) -> None:
    names = {name for _, name in socket.if_nameindex()} - {"lo"}
    assert {row["DESCRIPTION"] for row in rows(here, "NETWORKS")} == names


def test_one_can_bind_to_each_ipv4_address(here: list[tuple[str, dict[str, str]]]) -> None:
    for row in rows(here, "NETWORKS"):
        if "." in row.get("IPADDRESS", ""):
            with socket.socket() as listener:
                listener.bind((row["IPADDRESS"], 0))  # refused for an address that is not ours
                assert listener.getsockname()[0] == row["IPADDRESS"]


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg here")
def test_the_packages_are_those_that_dpkg_query_lists(here: list[tuple[str, dict[str, str]]]) -> None:
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}\t${binary:Package}\t${Version}\n"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    listed = [line.split("\t")[1:] for line in said.splitlines() if line.startswith("installed\t")]
    found = [[row["NAME"], row["VERSION"]] for row in rows(here, "SOFTWARES") if row["FROM"] == "deb"]
    assert sorted(found) == sorted(listed)


def test_another_user_gets_an_inventory_too() -> None:
    if os.getuid() != 0:
        pytest.skip("we are that other user already")
    # in a process of its own, which cannot become root again
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from appliance.agent import inventory;"
        "inventory.preload(); os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "print(len(inventory.collect()))"
    )
    top = Path(inventory.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(top)], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert int(done.stdout) > 3


def test_importing_it_loads_no_system_that_is_not_ours_and_preload_leaves_nothing_to_import() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from appliance.agent import inventory;"
        "prefix = 'appliance.agent.inventory.';"
        "assert not [name for name in sys.modules if name.startswith(prefix)];"
        "inventory.preload(); before = set(sys.modules); inventory.collect();"
        "late = {name for name in set(sys.modules) - before if name.startswith('appliance')};"
        "assert not late, late;"
        "assert prefix + 'windows' not in sys.modules and prefix + 'macos' not in sys.modules"
    )
    top = Path(inventory.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(top)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_takes_a_moment_only() -> None:
    inventory.collect()  # so that files are in the cache, as on any machine that is in use
    started = time.perf_counter()
    inventory.collect()
    assert time.perf_counter() - started < 2.5  # 0.02 s where it was measured; a busy machine has ten times 0.25
