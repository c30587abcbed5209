"""Seeds, and how they are spoilt: bytes flipped, cut, doubled, swapped for what parsers stumble over, spliced.

What is compressed is also spoilt inside and packed again, or nothing behind the checksum would ever be reached.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.fakes import archives

CORPUS = Path(__file__).parent / "corpus"
GOLDEN = Path(__file__).parents[1] / "golden"
LARGEST_SEED = 64 * 1024
LONGEST = 256 * 1024

NASTY = (
    *(b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x1b[2J", b"\r\n\r\n"),
    *(b"-1", b"0", b"1e999", b"4294967296", b"9" * 40, b"0x7f", b"1_000", b"\xd9\xa3", b"NaN", b"Infinity"),
    *(b"<", b">", b"&", b"&#0;", b"&#xD800;", b"&lt;", b"]]>", b"<![CDATA[", b"<!DOCTYPE a [", b"<!ENTITY x 'y'>"),
    *(b"<?xml version='1.0' encoding='utf-16'?>", b"<?xml encoding='utf-7'?>", b"encoding='cp037'", b"xmlns:a='b'"),
    *(b'"', b"'", b"\\", b"\\u0000", b"\\ud800", b"{", b"[" * 200, b"]", b"null", b"true", b'{"a":', b"," * 50),
    *(b"../", b"/", b"//", b"C:\\", b"%00", b"%2e%2e/", b"\xe2\x80\xae", b"CON", b"{name}", b"{0}", b"%s" * 9, b"{}"),
    *(b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02", b"\x1f\x8b\x08", b"x\x9c", b"ustar\x00", b"ustar  ", b"0" * 12),
    *(b"[::1]", b"user@", b":0", b":65536", b"?", b"#", b"xn--", b"=", b"LIKE", b"ISNULL", b"PACKAGE", b"|"),
)
_NUMBER = re.compile(rb"\d+")

Change = Callable[[random.Random, bytearray], None]


@cache
def seeds(corpus: str) -> tuple[bytes, ...]:
    """What that corpus holds, and for bodies, XML and archives also what the other tests keep; small ones only."""
    found = [path.read_bytes() for path in sorted((CORPUS / corpus).glob("*"))]
    captured = sorted([*GOLDEN.glob("captures/*.bin"), *GOLDEN.glob("exchanges/*.req.bin")])
    bodies = [path.read_bytes() for path in captured]
    if corpus == "envelope":
        found += bodies
    if corpus == "xml":
        found += [xml for xml in map(_unpacked, bodies) if xml.lstrip()[:1] == b"<"]
    if corpus == "archive":
        found += [data for _, data in archives.hostile()]
        found += [archives.zip_of({"setup.sh": b"#!/bin/sh\n", "d/": b"", "d/x": b"x" * 500})]
        found += [archives.targz_of({"setup.sh": b"#!/bin/sh\n", "d/": b"", "d/x": b"x" * 500, "l" * 120: b"long"})]
    different = dict.fromkeys(data for data in found if len(data) <= LARGEST_SEED)
    return tuple(different)


def keep(corpus: str, data: bytes) -> Path:
    """Put what was found into the corpus: from then on every run of the tests reads it."""
    path = CORPUS / corpus / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def mutated(corpus: str, chance: random.Random) -> bytes:
    """One of the seeds, spoilt at a few places."""
    data = chance.choice(seeds(corpus))
    packed = chance.random() < 0.5
    inside, pack = _opened(data) if packed else (data, _same)
    spoilt = bytearray(inside)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 9))):
        chance.choice(CHANGES)(chance, spoilt)
    if chance.random() < 0.1:
        other = chance.choice(seeds(corpus))
        spoilt[chance.randint(0, len(spoilt)) :] = other[chance.randint(0, len(other)) :]
    return pack(bytes(spoilt[:LONGEST]))


def _flip(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _cut(chance: random.Random, data: bytearray) -> None:
    begin, size = _stretch(chance, data)
    del data[begin : begin + size]


def _end(chance: random.Random, data: bytearray) -> None:
    del data[chance.randint(0, len(data)) :]


def _double(chance: random.Random, data: bytearray) -> None:
    begin, size = _stretch(chance, data)
    again = bytes(data[begin : begin + size]) * chance.choice((1, 1, 2, 50))
    data[begin:begin] = again[:LONGEST]


def _move(chance: random.Random, data: bytearray) -> None:
    begin, size = _stretch(chance, data)
    moved = bytes(data[begin : begin + size])
    del data[begin : begin + size]
    at = chance.randint(0, len(data))
    data[at:at] = moved


def _insert(chance: random.Random, data: bytearray) -> None:
    at = chance.randint(0, len(data))
    data[at : at + chance.choice((0, 0, 1, 4))] = chance.choice(NASTY)


def _renumber(chance: random.Random, data: bytearray) -> None:
    found = list(_NUMBER.finditer(bytes(data[:8192])))
    if found:
        number = chance.choice(found)
        data[number.start() : number.end()] = chance.choice((b"0", b"-1", b"", b"9" * 25, b"2147483648", b"1.5", b"07"))


CHANGES: tuple[Change, ...] = (_flip, _set, _cut, _end, _double, _move, _insert, _insert, _renumber)


def _stretch(chance: random.Random, data: bytearray) -> tuple[int, int]:
    begin = chance.randint(0, len(data))
    return begin, min(len(data) - begin, chance.choice((1, 2, 4, 16, 100, 512, 5000)))


def _same(data: bytes) -> bytes:
    return data


def _opened(data: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    """What a compressed stream holds and how it is packed again; anything else as it is."""
    try:
        if data[:2] == b"\x1f\x8b":
            return zlib.decompressobj(31).decompress(data, LONGEST), lambda inner: gzip.compress(inner, 1, mtime=0)
        if data[:1] == b"x":
            return zlib.decompressobj().decompress(data, LONGEST), lambda inner: zlib.compress(inner, 1)
    except zlib.error:
        pass
    return data, _same


def _unpacked(body: bytes) -> bytes:
    return _opened(body)[0]
