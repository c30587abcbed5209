"""`make.py demo` as a fresh user runs it: a clone in an empty folder, an environment with nothing in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import finish, launch
from tests.pythons import interpreters

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_deploys_three_packages_and_says_what_to_type_next(pyz: Path, tmp_path: Path) -> None:
    code, out, err = finish(launch([sys.executable, pyz, "demo"], cwd=tmp_path, HOME=str(tmp_path)))
    assert code == 0, out + err
    table = successes(out)
    assert [line.split()[3] for line in table] == ["launch", "execute", "store"]
    assert all(line.endswith("yes") for line in table)
    assert "What to type next" in out
    assert not list(tmp_path.glob("ocs-*")), "the throw-away folder is gone"


def test_a_fresh_clone_in_an_empty_folder_ends_with_three_successes(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.fail("these tests run from a git checkout")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    # what a machine needs to reach its package registry, if it needs anything, is not ours to take away
    settings = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "HTTP"))}
    home = tmp_path / "home"
    home.mkdir()
    code, out, err = finish(
        launch([interpreters((3, 11))[0][1], "build/make.py", "demo"], cwd=clone, HOME=str(home), **settings),
        seconds=180,
    )
    assert code == 0, out + err
    assert len(successes(out)) == 3, out


def successes(out: str) -> list[str]:
    """The lines of the demo's table that end well."""
    return [line for line in out.splitlines() if line[:10].isdigit() and " SUCCESS " in line]
