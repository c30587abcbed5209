"""Compression both ways, and streams made to cost more than they may."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.wire.envelope import Form, pack, unpack
from appliance.wire.malformed import Malformed, TooLarge
from tests.fakes.archives import bomb_zlib
from tests.wire.measure import cost_of

XML = b"<REQUEST><DEVICEID>pc1-2026-01-31-09-30-00</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"
LIMIT = 1024


@pytest.mark.parametrize("form", Form)
def test_a_packed_message_unpacks_in_its_form(form: Form) -> None:
    assert unpack(pack(XML, form), LIMIT) == (XML, form)


@given(st.binary(max_size=300_000), st.sampled_from([Form.ZLIB, Form.GZIP]))
def test_any_packed_bytes_unpack(data: bytes, form: Form) -> None:
    assert unpack(pack(data, form), 300_000) == (data, form)


def test_what_we_pack_is_a_complete_stream() -> None:
    assert zlib.decompress(pack(XML)) == XML
    assert gzip.decompress(pack(XML, Form.GZIP)) == XML
    assert pack(XML, Form.GZIP) == pack(XML, Form.GZIP)


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n\t"])
def test_plain_xml_may_follow_a_byte_order_mark_or_blanks(before: bytes) -> None:
    assert unpack(before + XML, LIMIT) == (before + XML, Form.PLAIN)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000])
@pytest.mark.parametrize("form", Form)
def test_the_limit_is_exact(size: int, form: Form) -> None:
    xml = b"<" + b"x" * size
    assert unpack(pack(xml, form), len(xml))[0] == xml
    with pytest.raises(TooLarge, match=str(len(xml) - 1)):
        unpack(pack(xml, form), len(xml) - 1)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 200_000])
def test_an_unfinished_stream_gives_all_that_was_flushed(size: int) -> None:
    packer = zlib.compressobj()
    data = bytes(i * i % 251 for i in range(size))
    assert unpack(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH), size)[0] == data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0garbage",
        b"garbage",
        b"x\x9cgarbage",
        b"\x1f\x8bgarbage",
        pack(XML) + b"garbage",
        pack(XML) + pack(XML),
        pack(XML, Form.GZIP) + pack(XML, Form.GZIP),
        pack(XML, Form.GZIP) + b"\0",
        pack(b"") * 10_000,
        pack(b"", Form.GZIP) * 10_000,
        pack(b"x" * 100_000) + b"\0",
        pack(XML)[:-1] + b"\xff",  # a wrong checksum
        pack(XML, Form.GZIP)[:-8] + b"\0" * 8,
        b"LZO\0" + XML,
        b"BZh9" + XML,
    ],
)
def test_what_is_no_whole_stream_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        unpack(body, 1024**2)


@given(st.binary(max_size=400), st.sampled_from([b"", b"x\x9c", b"x\xda", b"\x1f\x8b\x08\0", b"<"]))
def test_any_bytes_unpack_within_the_limit_or_are_malformed(data: bytes, magic: bytes) -> None:
    try:
        xml, form = unpack(magic + data, LIMIT)
    except Malformed:
        return
    assert len(xml) <= LIMIT
    assert form in Form


@given(st.data(), st.sampled_from([Form.ZLIB, Form.GZIP]))
def test_a_damaged_stream_is_malformed_or_shorter_or_other_bytes(data: st.DataObject, form: Form) -> None:
    raw = bytearray(pack(XML * 5, form))
    raw[data.draw(st.integers(2, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        xml, _ = unpack(bytes(raw), LIMIT)
    except Malformed:
        return
    assert len(xml) <= LIMIT


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, 16 + zlib.MAX_WBITS], ids=["zlib", "gzip"])
def test_a_bomb_of_200_mib_costs_no_more_than_the_limit(window: int) -> None:
    bomb = bomb_zlib(200, window)
    assert len(bomb) < 300_000
    cost = cost_of("body", bomb)
    assert (cost.verdict, cost.mebibytes < 64, cost.seconds < 2) == ("TooLarge", True, True), cost
