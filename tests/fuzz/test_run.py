"""The long run finds what breaks a reader, what hangs and what swells, keeps it, and says so."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import mutate, run
from tests.fuzz.readers import READERS, Reader


def breaks(_: bytes) -> None:
    raise KeyError("nobody expected this")


def hangs(_: bytes) -> None:
    while True:
        pass


def swells(_: bytes) -> None:
    bytes(4 * 1024**3)


def recurses(_: bytes) -> None:
    recurses(_)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of its own: nothing that is found here is a find."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "seed").write_bytes(b"seed")
    monkeypatch.setattr(mutate, "CORPUS", tmp_path)
    monkeypatch.setattr(run, "SECONDS", 1)
    mutate.seeds.cache_clear()
    return tmp_path


@pytest.mark.parametrize("fault", [breaks, hangs, swells, recurses])
def test_a_reader_that_breaks_hangs_or_swells_ends_its_round_and_the_input_is_kept(
    elsewhere: Path, fault: Callable[[bytes], None]
) -> None:
    process = multiprocessing.get_context("fork").Process(target=run.one_round, args=(Reader("x", fault, "words"), 1))
    process.start()
    process.join()
    assert process.exitcode == run.BROKEN
    assert len(list((elsewhere / "words").glob("found-*"))) == 1


def test_a_bounded_run_says_how_much_was_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "INPUTS", 10)
    monkeypatch.setattr(mutate, "CORPUS", Path(__file__).parent / "corpus")
    mutate.seeds.cache_clear()
    assert run.main(["--seconds", "0.1", "--round", "7"]) == 0
    assert "inputs, rounds 7 to" in capsys.readouterr().out
    assert READERS


@pytest.fixture(autouse=True, scope="module")
def afresh() -> object:
    """The seeds of the other tests are read anew."""
    yield
    mutate.seeds.cache_clear()
