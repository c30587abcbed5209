"""Sealing: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import io
import os
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.refusal import Refusal
from appliance.trust import sealing
from appliance.trust.sealing import CHUNK, TAG, Sealer, Unsealer

PASSPHRASE = "ocho patos ñandú"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MEMORY_KIB", 64)
    monkeypatch.setattr(sealing, "PASSES", 1)


def sealed(*pieces: bytes, passphrase: str = PASSPHRASE) -> bytes:
    out = io.BytesIO()
    sealer = Sealer(out, passphrase)
    for piece in pieces:
        sealer.write(piece)
    sealer.finish()
    return out.getvalue()


def opened(data: bytes, passphrase: str = PASSPHRASE, size: int = CHUNK) -> bytes:
    reader = Unsealer(io.BytesIO(data), passphrase)
    return b"".join(iter(lambda: reader.read(size), b""))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_what_was_sealed_comes_out(size: int) -> None:
    data = os.urandom(size)
    assert opened(sealed(data)) == data
    assert opened(sealed(data), size=1000) == data
    assert len(sealed(data)) == 36 + size + TAG * max(1, -(-size // CHUNK))


@pytest.fixture(scope="module")
def shared() -> bytes:
    return os.urandom(2 * CHUNK + 100)


@given(cuts=st.lists(st.integers(0, 2 * CHUNK + 100), max_size=8))
def test_how_it_was_written_does_not_matter(cuts: list[int], shared: bytes) -> None:
    places = [0, *sorted(cuts), len(shared)]
    assert opened(sealed(*(shared[a:b] for a, b in pairwise(places)))) == shared


def test_two_files_with_one_passphrase_have_nothing_in_common() -> None:
    first, second = sealed(bytes(1000)), sealed(bytes(1000))
    assert first[8:24] != second[8:24]
    assert first[36:] != second[36:]


def harms(data: bytes) -> list[bytes]:
    head, chunks = data[:36], [data[at : at + CHUNK + TAG] for at in range(36, len(data), CHUNK + TAG)]
    return [
        head + b"".join(chunks[:-1]),  # cut off between two chunks
        head + b"".join(chunks[1:]),
        head + b"".join(reversed(chunks)),
        head + b"".join([*chunks, chunks[-1]]),
        head + b"".join([chunks[0], chunks[0], *chunks[1:]]),
        head,
        data[:-1],
        data + b"\0",
        data[:20],
        sealing.MAGIC,
    ]


@pytest.mark.parametrize("number", range(10))
def test_chunks_that_are_cut_off_moved_or_doubled_are_refused(number: int) -> None:
    with pytest.raises(Refusal):
        opened(harms(sealed(os.urandom(2 * CHUNK + 5)))[number])


def test_no_byte_of_a_chunk_comes_out_before_it_was_verified() -> None:
    data = bytearray(sealed(bytes(3 * CHUNK)))
    data[-1] ^= 1
    reader = Unsealer(io.BytesIO(bytes(data)), PASSPHRASE)
    assert reader.read() + reader.read() == bytes(2 * CHUNK)
    with pytest.raises(Refusal, match="damaged or cut off at byte"):
        reader.read()


@pytest.mark.parametrize("passphrase", ["", "other than it was", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_another_passphrase_opens_nothing(passphrase: str) -> None:
    with pytest.raises(Refusal) as caught:
        opened(sealed(b"x"), passphrase)
    assert caught.value.field == "passphrase"


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        sealed(b"x", passphrase="1234567")
    assert caught.value.field == "passphrase"


@pytest.mark.parametrize("numbers", [(0, 4, 64), (1, 0, 64), (2**31, 1, 64), (1, 2**31, 64), (1, 1, 2**31), (1, 4, 8)])
def test_a_header_that_would_take_all_our_time_or_memory_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(Refusal, match="header is damaged"):
        opened(struct.pack(">8s16sIII", sealing.MAGIC, bytes(16), *numbers) + bytes(100))
