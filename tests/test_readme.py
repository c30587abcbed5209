"""The README says what the code does: every setting, outcome and word of the command line stands in it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from appliance.cli import FAMILIES, parser
from appliance.domain.status import MEANING
from appliance.settings import SETTINGS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")

OUTCOME_ROWS = [f"| {status} | {meaning} |" for status, meaning in MEANING.items()]
SETTING_ROWS = [f"| {s.name} | {s.default or '(empty)'} | {s.help} |" for s in SETTINGS]


@pytest.mark.parametrize("row", OUTCOME_ROWS + SETTING_ROWS)
def test_the_readme_has_this_row(row: str) -> None:
    assert row in README


def test_the_readme_names_no_outcome_or_setting_that_is_gone() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| ") and line.split()[1].isupper()]
    assert len(rows) == len(OUTCOME_ROWS) + len(SETTING_ROWS) - sum(not r.split()[1].isupper() for r in OUTCOME_ROWS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_of_the_command_line_stands_in_the_readme(family: str) -> None:
    assert f"`{family}" in README
    for word in words(family):
        assert f"`{word}`" in README or f"`{family} {word}`" in README, word


def words(family: str) -> list[str]:
    found: list[str] = []
    for action in parser(family)._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices[family]._actions:
                if isinstance(inner, argparse._SubParsersAction):
                    found += inner.choices
    return found
