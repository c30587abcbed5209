"""Compression around the XML, with a limit on what comes out. Source: protocol.md, section 1."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from enum import Enum

from appliance.wire.malformed import Malformed, TooLarge

_PIECE = 64 * 1024


class Form(Enum):
    """How a message was packed; it is answered in kind."""

    ZLIB = "zlib"
    GZIP = "gzip"
    PLAIN = "plain"


def unpack(body: bytes, limit: int) -> tuple[bytes, Form]:
    """The XML bytes in a request or reply body, and its form. `limit` in bytes that may come out.

    The genuine Windows agent never finishes its zlib stream: a stream without end is taken as it is, and one that was
    cut off fails later as XML. Bytes behind an end, and further members, are refused. Raises Malformed, TooLarge.
    """
    if not body:
        raise Malformed("the body is empty")
    if body[:2] == b"\x1f\x8b":
        return _inflate(body, 16 + zlib.MAX_WBITS, limit), Form.GZIP
    if body[:1] == b"x":  # the only first byte of a zlib stream with a 32 KiB window
        return _inflate(body, zlib.MAX_WBITS, limit), Form.ZLIB
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        if len(body) > limit:
            raise TooLarge(f"the message is larger than {limit} bytes")
        return body, Form.PLAIN
    raise Malformed("the body is neither zlib, gzip nor XML")


def pack(xml: bytes, form: Form = Form.ZLIB) -> bytes:
    """The body for XML bytes: a complete stream, which is all that genuine agents understand."""
    if form is Form.ZLIB:
        return zlib.compress(xml)
    if form is Form.GZIP:
        return gzip.compress(xml, mtime=0)
    return xml


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    inflator, source, xml = zlib.decompressobj(window), io.BytesIO(body), io.BytesIO()
    try:
        for piece in _inflated(inflator, source):
            if xml.tell() + len(piece) > limit:
                raise TooLarge(f"the message is larger than {limit} bytes uncompressed")
            xml.write(piece)
    except zlib.error:
        raise Malformed("the body is not a valid compressed stream") from None
    if inflator.unused_data or source.read(1):
        raise Malformed("there is something behind the end of the compressed stream")
    return xml.getvalue()


def _inflated(inflator: zlib._Decompress, source: io.BytesIO) -> Iterator[bytes]:
    """Piece by piece both in and out, so that a bomb costs no more than its limit."""
    while not inflator.eof:
        pending = inflator.unconsumed_tail or source.read(_PIECE)
        if not pending:
            yield inflator.flush()  # what an unfinished stream still holds back
            return
        yield inflator.decompress(pending, _PIECE)
