"""docs/reliability.md is true: every requirement and fault once, every test that is named exists, open rows only go."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
WANTED = [f"R{n}" for n in (*range(1, 37), 38)] + [f"F{n}" for n in range(1, 35)]
# Whoever proves a row lowers this; nothing raises it
OPEN = 0


class Row(NamedTuple):
    """One promise and what is said to prove it."""

    id: str
    promise: str
    proof: str

    @property
    def is_open(self) -> bool:
        return self.proof.startswith("**open**: ")

    @property
    def tests(self) -> list[tuple[str, str]]:
        """(file, test) of all that are named."""
        return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", self.proof)


def table() -> list[Row]:
    """The rows of the page's table, below its two first lines."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert lines[:2] == ["| id | promise | proven by |", "|---|---|---|"]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines[2:]]


ROWS = table()


@cache
def defined_in(path: Path) -> frozenset[str]:
    """The tests that a file defines, by parsing it."""
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in found if isinstance(node, kinds) and node.name.startswith("test_"))


def test_every_requirement_and_fault_has_exactly_one_row_in_order() -> None:
    assert [row.id for row in ROWS] == WANTED


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_is_said_to_prove_a_row_exists(row: Row) -> None:
    assert len(row.promise) > 10
    assert row.is_open or row.tests
    assert row.proof.count("tests/") == len(row.tests), "a name that is not of the form `tests/….py::test_…`"
    for file, test in row.tests:
        path = ROOT / file
        assert path.is_file(), file
        assert test in defined_in(path), f"{file} has no {test}"
    assert len(set(row.tests)) == len(row.tests)


def test_an_open_row_says_what_is_missing() -> None:
    for row in ROWS:
        missing = row.proof.removeprefix("**open**: ").partition(" A part: ")[0]
        assert not row.is_open or len(missing) > 10, row.id
        assert not row.is_open or "`tests/" not in missing, row.id


def test_as_many_rows_are_open_as_are_known_to_be() -> None:
    rows = [row.id for row in ROWS if row.is_open]
    assert len(rows) == OPEN, f"{len(rows)} are open: {', '.join(rows)}; lower OPEN where one was closed"
