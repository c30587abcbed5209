"""The measuring of the console still measures: on a fleet so small that no figure means anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import console, fleet, upload
from tests.fakes.appliance import rows


def test_every_part_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "WITH_XML", 10)
    monkeypatch.setattr(console, "WARM_UPS", 0)
    monkeypatch.setattr(upload, "PAIRS", 1)
    monkeypatch.setattr(upload, "from_browser", lambda *_: [])
    fleet.make(tmp_path / "data", computers=120, softwares=6)
    table = console.measure(tmp_path / "data", tmp_path, runs=1, size=1)
    assert all(row.measured > 0 or "shares" in row.what for row in table)
    kinds = ("computers", "one computer", "statistics", "search", "affect", "delete", "peak memory")
    assert all(any(row.what.startswith(kind) for row in table) for kind in kinds)
    assert rows(tmp_path / "data", "SELECT count(*) FROM computer") == [(0,)]  # all are among the first 999
    console.show(table)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 + len(table)
    assert {line.rpartition("|")[2].strip() for line in said[1:]} <= {"yes", "NO", ""}
