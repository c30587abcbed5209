"""The only XML reader and writer: no DTD, no entities, bounded depth and count. Source: security.md R9, A14, A15."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring
from xml.parsers import expat

from appliance.wire.malformed import Malformed, TooLarge

__all__ = ["Element", "MarkupLimits", "child_text", "clean", "read", "scalar", "write"]

_PIECE = 64 * 1024
_LONGEST_TOKEN = 1024 * 1024  # a tag or comment: expat holds it whole, and reads it again with each piece
_LONGEST_TEXT = 1024 * 1024  # characters at one place
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True)
class MarkupLimits:
    """How much structure a document may have."""

    depth: int = 64
    elements: int = 250_000  # an honest inventory of 866 softwares has 10 000
    attributes: int = 250_000


def read(xml: bytes, limits: MarkupLimits | None = None) -> Element:
    """The document's root element. Raises Malformed or TooLarge.

    Invalid UTF-8 becomes U+FFFD, as on the genuine server; any other declared encoding that Python knows is read.
    """
    bounds = limits or MarkupLimits()
    try:
        return _Reader(bounds).read(xml[at : at + _PIECE] for at in range(0, len(xml), _PIECE))
    except UnicodeDecodeError:
        if not _bad_utf8(xml):
            raise Malformed("not well-formed XML") from None
    return _Reader(bounds, "utf-8").read(text.encode("utf-8") for text in _decoded(xml, "replace"))


class _Reader:
    """One document through expat, stopped at the first token that no agent sends."""

    def __init__(self, limits: MarkupLimits, encoding: str | None = None) -> None:
        self.limits = limits
        self.stack: list[Element] = []
        self.root: Element | None = None
        self.elements = 0
        self.attributes = 0
        self.text: list[str] = []
        self.last: Element | None = None  # closed just before: what follows is its tail
        self.encoding = encoding

    def read(self, pieces: Iterable[bytes]) -> Element:
        # not kept in self: a cycle would hold every message until the next collection
        parser = expat.ParserCreate(self.encoding)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self.text.append
        parser.StartDoctypeDeclHandler = self._doctype
        fed = 0
        try:
            for piece in pieces:
                parser.Parse(piece, False)
                fed += len(piece)
                if fed - parser.CurrentByteIndex > _LONGEST_TOKEN or sum(map(len, self.text)) > _LONGEST_TEXT:
                    raise TooLarge("the XML has a tag, comment or text that is too long")
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            if expat.errors.messages.get(error.code) == expat.errors.XML_ERROR_INVALID_TOKEN and not self.encoding:
                raise UnicodeDecodeError("utf-8", b"", 0, 1, f"at line {error.lineno}") from None
            raise Malformed(f"not well-formed XML at line {error.lineno}") from None
        except (LookupError, ValueError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise Malformed("the XML's encoding is not known") from None
        if self.root is None:
            raise Malformed("the XML has no element")
        return self.root

    def _doctype(self, *_: object) -> None:
        raise Malformed("a DOCTYPE is not accepted")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._flush()
        self.elements += 1
        self.attributes += len(attributes)
        if self.elements > self.limits.elements or self.attributes > self.limits.attributes:
            raise TooLarge("the XML has too many elements or attributes")
        if len(self.stack) >= self.limits.depth:
            raise TooLarge(f"the XML is nested deeper than {self.limits.depth}")
        element = Element(tag, attributes)
        if self.stack:
            self.stack[-1].append(element)
        else:
            self.root = element
        self.stack.append(element)
        self.last = None

    def _end(self, _: str) -> None:
        self._flush()
        self.last = self.stack.pop()

    def _flush(self) -> None:
        # text only between tags of one level is dropped: no message of this protocol mixes text and elements
        if self.text:
            if self.last is None and self.stack:
                self.stack[-1].text = "".join(self.text)
            self.text.clear()


def write(root: Element) -> bytes:
    """UTF-8 XML with its declaration; escaping is the library's. Characters XML cannot carry must not be in it."""
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    # the library leaves a carriage return in text as it is, and every reader would take it for a newline
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + xml.replace(b"\r", b"&#13;")


def clean(text: str) -> str:
    """Text without the characters that XML cannot carry."""
    return _FORBIDDEN.sub("", text)


def child_text(element: Element, tag: str) -> str:
    """The stripped text of the first child with that tag, or an empty string."""
    return (element.findtext(tag) or "").strip()


def scalar(element: Element, name: str) -> str:
    """A value that comes as child element or as attribute, in either order (protocol.md 2)."""
    value = element.get(name)
    return value.strip() if value is not None else child_text(element, name)


def _bad_utf8(xml: bytes) -> bool:
    head = xml[:200].lower()
    if b"encoding" in head and b"utf-8" not in head:
        return False
    try:
        return any(False for _ in _decoded(xml, "strict"))
    except UnicodeDecodeError:
        return True


def _decoded(xml: bytes, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    for at in range(0, len(xml), _PIECE):
        yield decoder.decode(xml[at : at + _PIECE], at + _PIECE >= len(xml))
