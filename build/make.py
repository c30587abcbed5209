#!/usr/bin/env python3
"""Build, try and check ocs.pyz. Needs Python 3.11 with pip and nothing else; sets up its own tools in .work/.

This module holds the words, workshop.py the tools, bundle.py the archive, assets.py and catalogues.py what the
console needs beside its sources, peers.py what the tests talk to.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this with an older one shall read why it ends
    sys.exit("build/make.py needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

import argparse
import os
import subprocess
import time
from collections.abc import Callable, Sequence

import assets
import bundle
import catalogues
import peers
import workshop
from workshop import ROOT, Stop, step, tell

# One file's tests stay together: modules share a running server
ALL_CORES = ("--numprocesses=auto", "--dist=loadfile")


def demo(extra: Sequence[str]) -> int:
    """Build dist/ocs.pyz and let it show what it does."""
    built = bundle.build(bundle.here())
    return subprocess.call([sys.executable, built, "demo", *extra], env=workshop.environment())


def test(extra: Sequence[str]) -> int:
    """Everything: format, lint, types, build, peers, all tests."""
    failed = inspect()
    os.environ["OCS_PYZ"] = str(bundle.build(bundle.here()))
    os.environ["OCS_PEERS"] = ",".join(peers.prepare())
    return verdict(failed, pytest(extra))


def check(extra: Sequence[str]) -> int:
    """The quick part of `test`: format, lint, types, and the tests that need no built file."""
    complete()
    return verdict(inspect(), pytest(["--ignore=tests/whole", *ALL_CORES, *extra]))


def complete(_: Sequence[str] = ()) -> int:
    """Fetch and compile what a checkout lacks for `serve` from its sources: front-end files, catalogues."""
    assets.fetch()
    catalogues.compile_all()
    return 0


def collect(_: Sequence[str]) -> int:
    """Bring the translators' files, appliance/web/locale/*/LC_MESSAGES/console.po, up to the texts that there are."""
    catalogues.update_all()
    return 0


def screens(extra: Sequence[str]) -> int:
    """Photograph the console's pages into docs/screens/, of a site that was made up for it."""
    if "chromium" not in peers.prepare(["chromium"]):
        return 1
    env = workshop.environment(OCS_PYZ=str(bundle.build(bundle.here())))
    return subprocess.call([workshop.python(), "-m", "tests.whole.browser.screens", *extra], cwd=ROOT, env=env)


def fuzz(extra: Sequence[str]) -> int:
    """Try the readers of foreign bytes with spoilt ones for long (`--seconds N`); what breaks one is kept."""
    return subprocess.call([workshop.python(), "-m", "tests.fuzz.run", *extra], cwd=ROOT, env=workshop.environment())


def fix(_: Sequence[str]) -> int:
    """Format, and repair what the linter can repair."""
    python = workshop.python()
    with step("lint: what can be repaired"):
        subprocess.call([python, "-m", "ruff", "check", "--quiet", "--fix", "."], cwd=ROOT)
    with step("format"):
        workshop.run([python, "-m", "ruff", "format", "."])
    return 0


def lock(extra: Sequence[str]) -> int:
    """Resolve build/requirements/*.in anew; `lock --keep` leaves the versions that are pinned where they fit."""
    workshop.renew_locks(upgrade="--keep" not in extra)
    return 0


def inspect() -> list[str]:
    """Format, lint and types; the names of those that failed."""
    python = workshop.python()
    failed = []
    for name, words in {
        "format": ["ruff", "format", "--check", "."],
        "lint": ["ruff", "check", "--quiet", "."],
        "types": ["mypy", "--strict"],
    }.items():
        try:
            with step(f"{name}: {' '.join(words)}"):
                workshop.run([python, "-m", *words])
        except Stop as stop:
            failed.append(name)
            print(stop, flush=True)
    return failed


def pytest(words: Sequence[str]) -> int:
    """Run pytest, with its lines on the terminal; its exit code."""
    python = workshop.python()
    tell(f"tests: {' '.join(['pytest', *words])}")
    start = time.monotonic()
    env = workshop.environment(HYPOTHESIS_STORAGE_DIRECTORY=str(workshop.WORK / "hypothesis"))
    code = subprocess.call([python, "-m", "pytest", *words], cwd=ROOT, env=env)
    tell(f"tests: {time.monotonic() - start:.1f} s")
    return code


def verdict(failed: list[str], code: int) -> int:
    """One exit code for all, and a line that says what to look at."""
    failed += ["tests"] if code else []
    if failed:
        tell(f"failed: {', '.join(failed)}" + (" (`make.py fix` mends format)" if "format" in failed else ""))
    return 1 if failed else 0


def pyz(names: Sequence[str]) -> int:
    """Build only. Two builds of one commit give the same bytes."""
    for name in names:
        bundle.build(name)
    return 0


EXAMPLES = {
    "demo": "build/make.py demo",
    "test": "build/make.py test -k agent      (what follows goes to pytest)",
    "check": "build/make.py check tests/domain      (what follows goes to pytest)",
    "fix": "build/make.py fix",
    "fuzz": "build/make.py fuzz --seconds 3600      (also --reader NAME, --round N)",
    "lock": "build/make.py lock      (then read the diff, and run test)",
    "assets": "build/make.py assets && python3 -m appliance serve",
    "words": "build/make.py words      (then translate what is new)",
    "screens": "build/make.py screens packages      (without a name: all)",
}


def main(argv: Sequence[str]) -> int:
    """Read the words, do what they ask, give the exit code."""
    parser = argparse.ArgumentParser(prog="build/make.py", description="Build, try and check ocs.pyz.")
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    plain: dict[str, Callable[[Sequence[str]], int]] = {
        "demo": demo, "test": test, "check": check, "fix": fix, "lock": lock, "fuzz": fuzz,
        "assets": complete, "words": collect, "screens": screens,
    }  # fmt: skip
    for name, function in plain.items():
        words.add_parser(name, help=function.__doc__, description=function.__doc__, epilog=f"Example: {EXAMPLES[name]}")
    built = ", ".join(name for name, target in bundle.TARGETS.items() if not target.run_here)
    build = words.add_parser(
        "pyz",
        help=pyz.__doc__,
        description=pyz.__doc__,
        epilog="This machine's own target becomes dist/ocs.pyz, others dist/ocs-TARGET.pyz; dist/ocs-agent.pyz, "
        f"the agent alone, is the same for all and lies in each of them too. {built}: "
        "built from the same lock, never run by the tests. Example: build/make.py pyz --target linux-aarch64",
    )
    which = build.add_mutually_exclusive_group()
    which.add_argument("--target", choices=list(bundle.TARGETS), help="default: this machine's")
    which.add_argument("--all", action="store_true", help="every target")
    chosen, extra = parser.parse_known_args(argv)
    try:
        workshop.must_stand_outside()
        if chosen.word == "pyz":
            if extra:
                build.error(f"unrecognized arguments: {' '.join(extra)}")
            return pyz(list(bundle.TARGETS) if chosen.all else [chosen.target or bundle.here()])
        return plain[chosen.word](extra)
    except Stop as stop:
        print(f"make: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
