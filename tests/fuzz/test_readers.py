"""Whatever others send, each reader ends in a value or a refusal, soon and without much memory.

A bounded run; `build/make.py fuzz --seconds N` is the long one, and what it finds is kept in corpus/ and read here.
"""

from __future__ import annotations

import random
import resource
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz import mutate
from tests.fuzz.readers import READERS, Reader, verdict

EXAMPLES = 500
SECONDS = 3.0  # of this process for one input; an honest one takes a thousandth
MEBIBYTES = 200  # that the process may grow by over all inputs of one reader

every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=list(READERS))


def bounded(reader: Reader, data: bytes) -> str:
    begun = time.process_time()
    said = verdict(reader, data)
    assert time.process_time() - begun < SECONDS
    return said


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@every_reader
def test_every_seed_is_read_or_refused_and_some_of_each_kind_are_there(reader: Reader) -> None:
    before = peak()
    said = [bounded(reader, data) for data in mutate.seeds(reader.corpus)]
    assert "value" in said, "no seed is read: what is mutated would never get far"
    assert any(text != "value" for text in said)
    assert peak() - before < MEBIBYTES


@every_reader
def test_what_is_spoilt_is_read_or_refused(reader: Reader) -> None:
    before = peak()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(st.integers(0, 2**32))
    def spoilt(number: int) -> None:
        bounded(reader, mutate.mutated(reader.corpus, random.Random(number)))

    spoilt()
    assert peak() - before < MEBIBYTES


@every_reader
def test_any_bytes_and_any_text_are_read_or_refused(reader: Reader) -> None:
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
    @example(b"")
    def read(data: bytes) -> None:
        bounded(reader, data)

    read()


def test_the_same_number_spoils_alike_so_that_what_was_found_can_be_found_again() -> None:
    for corpus in sorted({reader.corpus for reader in READERS.values()}):
        assert mutate.mutated(corpus, random.Random(7)) == mutate.mutated(corpus, random.Random(7))


def test_there_are_many_seeds_and_the_kept_ones_are_small() -> None:
    kept = [path for path in mutate.CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 256 * 1024
    assert sum(len(mutate.seeds(corpus)) for corpus in {reader.corpus for reader in READERS.values()}) > 150
