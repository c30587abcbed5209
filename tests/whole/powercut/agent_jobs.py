"""What the agent does when the power is cut: a package from its announcement to its end, or the agent's own update.

A process of its own runs this under strace. Marks: "noted <phase>" for what its journal has, "ran" and "post" by the
commands themselves, "told <code>" when the server has the result.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.agent import basedir, journal, record, update
from appliance.agent.contact import make_contact
from appliance.agent.driver import run_once
from appliance.agent.perform import LocalHost
from appliance.agent.record import Phase
from appliance.agent.spool import Spool
from appliance.domain.package import Action, PackageId
from tests.agent.kit import START, Built, Lab, package, zip_of
from tests.fakes.archives import targz_of
from tests.fakes.powercut import SECTOR

HOME, STORE, INSTALLED = "var/lib/agent", "store", "opt/ocs.pyz"
FRAGMENT = 200
DATA = bytes(range(256))
FILES = {"one": DATA, "two": b"2"}
OLD, NEW = (word * 300 for word in (b"old ", b"new "))

_marks = -1


def mark(*words: str) -> None:
    """From here on it is so, whatever happens."""
    os.write(_marks, " ".join(words).encode() + b"\n")


def packages(root: Path, marks: Path) -> dict[str, Built]:
    """The packages that there are, by what is done with them."""
    ran, post = (f"echo {word} >> {shlex.quote(str(marks))}" for word in ("ran", "post"))
    program = {"run.sh": f"#!/bin/sh\n{ran}\n".encode(), "data": DATA}
    launch = package(action=Action.LAUNCH, argument="run.sh", data=zip_of(program), fragment_size=FRAGMENT)
    return {
        "launch": replace(launch, pack=replace(launch.pack, post_command=post)),
        "execute": _at_the_edge(package(argument=ran)),
        "store": package(
            action=Action.STORE,
            argument=str(root / STORE),
            data=targz_of(FILES),
            fragment_size=FRAGMENT,
            with_manifest=False,
        ),
        "withdrawn": package(argument=ran, data=zip_of({"data": DATA}), fragment_size=FRAGMENT),
    }


def _at_the_edge(built: Built) -> Built:
    """The same, but that the line of its journal which arms the command begins in one sector and ends in the next."""
    said: list[tuple[Phase, dict[str, Any]]] = [(Phase.ANNOUNCED, record.announced(built.pack))]
    said += [(Phase.INFO, {}), (Phase.VERIFIED, {})]
    size = sum(len(journal.line({"phase": phase.value, "at": START, **facts})) for phase, facts in said)
    return replace(built, pack=replace(built.pack, schedule="", post_command=" " * (2 * SECTOR - 20 - size)))


def lab_of(root: Path, built: Built) -> Lab:
    """An agent, and a server with one package for it."""
    lab = Lab(basedir.prepare(root / HOME))
    lab.server.pieces = 100
    lab.server.add(built)
    lab.host = LocalHost(install_path=lab.folder, server="http://ocs.example.org", outer=os.environ, files=lab.files)
    return lab


def deploy(root: Path, built: Built) -> None:
    """All of it, once."""
    lab = lab_of(root, built)
    note = Spool.note

    def noted(self: Spool, of: PackageId, phase: Phase, **facts: Any) -> None:
        note(self, of, phase, **facts)
        mark("noted", phase.value)

    def heard(what: str) -> None:
        if what == "told":
            mark("told", lab.server.codes[-1][1])

    Spool.note = noted  # type: ignore[method-assign, assignment]
    lab.server.after = heard
    run_once(lab.start())


def withdraw(root: Path, built: Built) -> None:
    """It is withdrawn before it ran."""
    lab = lab_of(root, built)
    world = lab.start()
    assert make_contact(world)
    assert built.id in world.spool.holdings
    lab.server.withdrawn.add(built.id)
    assert make_contact(world)
    mark("withdrawn")


def put_in_place(root: Path, _: Built) -> None:
    """The agent's own file is replaced, and proves itself."""
    home = basedir.prepare(root / HOME)
    update.begin(root / INSTALLED, home)
    file = home / update.INBOX / "ocs.pyz"
    file.write_bytes(NEW)
    update.verified = lambda _: "2.0"  # type: ignore[assignment]
    assert update.take(home, root / INSTALLED, lambda _: None)
    mark("swapped")
    assert update.begin(root / INSTALLED, home).on_trial
    assert update.confirm(root / INSTALLED)
    mark("confirmed")


JOBS: dict[str, Callable[[Path, Built], None]] = {"withdrawn": withdraw, "update": put_in_place}


def main(name: str, root: str, marks: str) -> None:
    """One job, from the command line."""
    global _marks
    _marks = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    known = packages(Path(root), Path(marks))
    JOBS.get(name, deploy)(Path(root), known.get(name, known["execute"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
