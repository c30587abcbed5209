"""Cutting and joining around every boundary; sizes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import fragments
from appliance.domain.refusal import Kind, Refusal

SIZE = 8


def bytes_of(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


@pytest.mark.parametrize(
    ("length", "sizes"),
    [
        (1, [1]),
        (SIZE - 1, [7]),
        (SIZE, [8]),
        (SIZE + 1, [8, 1]),
        (2 * SIZE - 1, [8, 7]),
        (2 * SIZE, [8, 8]),
        (2 * SIZE + 1, [8, 8, 1]),
        (1000 * SIZE - 1, [8] * 999 + [7]),
        (1000 * SIZE, [8] * 1000),
        (1000 * SIZE + 1, [8] * 1000 + [1]),
    ],
)
def test_joining_gives_back_the_bytes_around_every_boundary(length: int, sizes: list[int]) -> None:
    data = bytes_of(length)
    cut = fragments.cut(data, SIZE)
    assert [len(piece) for piece in cut] == sizes
    assert [fragments.length(n + 1, length, SIZE) for n in range(len(sizes))] == sizes
    assert fragments.count(length, SIZE) == len(sizes)
    assert fragments.join(cut) == data


@given(st.binary(min_size=1, max_size=4096), st.integers(1, 5000))
def test_joining_is_the_inverse_of_cutting(data: bytes, size: int) -> None:
    cut = fragments.cut(data, size)
    assert fragments.join(cut) == data
    assert {len(piece) for piece in cut[:-1]} <= {size}
    assert 1 <= len(cut[-1]) <= size


@given(st.integers(1, 2**40), st.integers(1, 2**40))
def test_the_lengths_of_all_fragments_sum_to_the_size(size: int, fragment_size: int) -> None:
    if size > fragments.MOST_FRAGMENTS * fragment_size:
        with pytest.raises(Refusal, match="fragment-size: "):
            fragments.count(size, fragment_size)
        return
    count = fragments.count(size, fragment_size)
    last = fragments.length(count, size, fragment_size)
    assert (count - 1) * fragment_size + last == size
    assert 1 <= last <= fragment_size
    assert count == 1 or fragments.length(1, size, fragment_size) == fragment_size


@pytest.mark.parametrize(
    ("size", "fragment_size", "field"),
    [(0, 8, "file"), (-1, 8, "file"), (8, 0, "fragment-size"), (8, -1, "fragment-size"), (50_001, 1, "fragment-size")],
)
def test_what_cannot_be_cut_is_refused_and_names_its_field(size: int, fragment_size: int, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        fragments.count(size, fragment_size)
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, field)
    assert str(refused.value).startswith(f"{field}: ")


def test_too_many_fragments_are_refused_with_a_size_that_works() -> None:
    size = 3 * 1024**3 + 1
    with pytest.raises(Refusal, match=r"at least (\d+) bytes") as refused:
        fragments.count(size, 1)
    proposed = int(str(refused.value).split("at least ")[1].split()[0])
    assert fragments.count(size, proposed) <= fragments.MOST_FRAGMENTS


@pytest.mark.parametrize("number", [0, -1, 4])
def test_there_is_no_fragment_before_the_first_or_behind_the_last(number: int) -> None:
    with pytest.raises(ValueError, match="no fragment"):
        fragments.length(number, 3 * SIZE, SIZE)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("64K", 65536),
        ("64k", 65536),
        ("1M", 1024**2),
        (" 2 G ", 2 * 1024**3),
        ("3MiB", 3 * 1024**2),
        ("3 MB", 3 * 1024**2),
        ("5B", 5),
        ("0", 0),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert fragments.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5M", "1T", "0x10", "1 000", "one", "9" * 16, "1M1"])
def test_a_text_that_is_no_size_is_refused_and_names_its_field(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        fragments.parse_size(text, "fragment-size")
    assert refused.value.field == "fragment-size"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1 MiB"),
        (2 * 1024**3, "2 GiB"),
        (5000 * 1024**3, "5000 GiB"),
    ],
)
def test_a_size_is_shown_as_people_read_it(size: int, shown: str) -> None:
    assert fragments.show_size(size) == shown


@given(st.integers(0, 2**50))
def test_a_shown_size_is_close_to_the_size(size: int) -> None:
    number, unit = fragments.show_size(size).split()
    scale = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}[unit]
    assert abs(float(number) * scale - size) <= 0.05 * scale + 1


@given(st.integers(1, 2**40), st.integers(1, 2**30))
def test_the_proposed_size_is_the_whole_file_or_the_largest(size: int, largest: int) -> None:
    assert fragments.proposed_size(size, largest) == min(size, largest)


@given(st.integers(1, 10**12), st.integers(1, fragments.MOST_FRAGMENTS))
def test_a_wanted_count_gives_the_smallest_size_that_keeps_it(size: int, wanted: int) -> None:
    chosen = fragments.size_for(size, wanted)
    assert fragments.count(size, chosen) <= wanted
    assert chosen == 1 or -(-size // (chosen - 1)) > wanted


def test_no_fragments_are_refused() -> None:
    with pytest.raises(Refusal, match="at least one fragment"):
        fragments.size_for(10, 0)
