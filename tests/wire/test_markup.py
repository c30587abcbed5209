"""The only XML reader: encodings it takes, and documents made to hurt it (security.md A14, A15)."""

from __future__ import annotations

import encodings
import gc
import pkgutil
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.wire import markup
from appliance.wire.malformed import Malformed, TooLarge
from appliance.wire.markup import Element, MarkupLimits, clean, read, scalar, write
from tests.wire.measure import cost_of

LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10))


def text_of(xml: bytes) -> str:
    return read(xml).text or ""


# Encodings


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("<a>é日\U0001f600</a>".encode(), "é日\U0001f600"),
        ('<?xml version="1.0" encoding="UTF-8"?><a>é</a>'.encode(), "é"),
        ("\ufeff<a>é</a>".encode(), "é"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"), "é"),
        ("<?xml version='1.0' encoding='latin1'?><a>é</a>".encode("latin-1"), "é"),
        ('<?xml version="1.0" encoding="windows-1252"?><a>€</a>'.encode("cp1252"), "€"),
        ('<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode("utf-16"), "é"),
        (b"<a>caf\xe9</a>", "caf\ufffd"),
        (b'<?xml version="1.0" encoding="UTF-8"?><a>\xff\xfe</a>', "\ufffd\ufffd"),
        (b"<a>\xed\xa0\x80</a>", "\ufffd\ufffd\ufffd"),
        (b"<a>\xc0\x80</a>", "\ufffd\ufffd"),
        (b"<a>&lt;&amp;&gt;&quot;&apos;&#233;&#x1F600;</a>", "<&>\"'é\U0001f600"),
        (b"<a><![CDATA[<b>&]]></a>", "<b>&"),
        (b"<a>one<!-- two -->three</a>", "onethree"),
    ],
)
def test_text_is_read_in_every_encoding_that_agents_use(xml: bytes, text: str) -> None:
    assert text_of(xml) == text


@pytest.mark.filterwarnings("ignore:invalid escape")
@pytest.mark.parametrize(
    "name", [*sorted(m.name for m in pkgutil.iter_modules(encodings.__path__)), "nosuch", "x" * 5000]
)
def test_any_declared_encoding_is_read_or_malformed(name: str) -> None:
    xml = f'<?xml version="1.0" encoding="{name.replace("_", "-")}"?><a>b</a>'.encode()
    try:
        assert text_of(xml)
    except Malformed:
        pass


# Not well-formed, or not wanted


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"   ",
        b"text",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a/>text",
        b'<a b="1" b="2"/>',
        b"<a b=1/>",
        b"<a>&nosuch;</a>",
        b"<a>&#0;</a>",
        b"<a>&#1;</a>",
        b"<a>&#xD800;</a>",
        b"<a>\x01</a>",
        b"<a>\x00</a>",
        b"<a>\x1b[2J</a>",
        b'<a b="\x08"/>',
        b"<a>\xef\xbf\xbf</a>",
        b"<a>\xef\xbf\xbe</a>",
        b'<?xml version="1.0" encoding="nosuch"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b'<?xml version="1.0" encoding="rot13"?><a/>',
        b"<caf\xe9/>",
        "<a/>".encode("utf-32"),
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a []><a/>",
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]><a/>',
        b"<!DOCTYPE a [" + LAUGHS + b"]><a>&l9;</a>",
        b'<!DOCTYPE a [<!ENTITY x "' + b"x" * 50_000 + b'">]><a>' + b"&x;" * 3000 + b"</a>",
        b'<?xml version="1.0"?>\n<!-- c --><!DOCTYPE a><a/>',
    ],
)
def test_what_is_no_message_is_malformed_in_one_line(xml: bytes) -> None:
    with pytest.raises(Malformed) as malformed:
        read(xml)
    assert str(malformed.value).isprintable()
    assert len(str(malformed.value)) < 100


def test_no_file_and_no_address_is_opened_for_an_entity(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("something was opened")

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr("socket.socket.connect", opened)
    with pytest.raises(Malformed, match="DOCTYPE"):
        read(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>')


@given(st.binary(max_size=300), st.sampled_from([b"", b"<", b"<?xml", b"<a>", b'<a b="', b"\xff\xfe<\0"]))
def test_any_bytes_are_an_element_or_malformed(data: bytes, before: bytes) -> None:
    try:
        assert read(before + data).tag
    except Malformed:
        pass


# Limits


def test_depth_elements_and_attributes_stop_at_their_limits() -> None:
    limits = MarkupLimits(depth=3, elements=4, attributes=2)
    assert read(b"<a><b><c/></b></a>", limits).tag == "a"
    assert len(read(b"<a><b/><b/><b/></a>", limits)) == 3
    assert read(b'<a x="" y=""/>', limits).attrib == {"x": "", "y": ""}
    for xml in (b"<a><b><c><d/></c></b></a>", b"<a><b/><b/><b/><b/></a>", b'<a x=""><b x="" y=""/></a>'):
        with pytest.raises(TooLarge):
            read(xml, limits)


def test_an_honest_inventory_of_five_mebibytes_passes() -> None:
    row = b"<SOFTWARES><NAME>" + b"n" * 120 + b"</NAME><VERSION>1</VERSION></SOFTWARES>"
    content = row * (5 * 1024**2 // len(row))
    assert len(read(b"<REQUEST><CONTENT>" + content + b"</CONTENT></REQUEST>")[0]) == content.count(b"<SOFTWARES>")


def test_a_tag_comment_or_text_that_does_not_end_is_too_large() -> None:
    for xml in (
        b'<a b="' + b"x" * 3 * 1024**2 + b'"/>',
        b"<a><!--" + b"x" * 3 * 1024**2 + b"--></a>",
        b"<a><?p " + b"x" * 3 * 1024**2 + b"?></a>",
        b"<" + b"x" * 3 * 1024**2 + b"/>",
        b"<a>" + b"x" * 3 * 1024**2 + b"</a>",
        b"<a><![CDATA[" + b"x" * 3 * 1024**2 + b"]]></a>",
    ):
        with pytest.raises(TooLarge, match="too long"):
            read(xml)


@pytest.mark.parametrize("character", ["x", "é", "\n", "\U0001f600", "&amp;"])
def test_a_text_of_200_000_characters_is_read_whole(character: str) -> None:
    xml = b"<a>" + character.encode() * 200_000 + b"</a>"
    assert text_of(xml) == character.replace("&amp;", "&") * 200_000
    assert text_of(xml.replace(b"</a>", b"\xff</a>")).endswith("\ufffd")


def request(inner: bytes) -> bytes:
    return b"<REQUEST><QUERY>INVENTORY</QUERY><CONTENT>" + inner + b"</CONTENT></REQUEST>"


COSTLY = {
    "billion laughs": b"<!DOCTYPE a [" + LAUGHS + b"]><a>&l9;</a>",
    "200 000 levels": b"<a>" * 200_000,
    "300 000 attributes": request(b"<a" + b"".join(b' a%d=""' % n for n in range(300_000)) + b"/>"),
    "300 000 attributes in 3 000 tags": request((b"<a" + b"".join(b' a%d=""' % n for n in range(100)) + b"/>") * 3_000),
    "8 million elements": request(b"<a/>" * 8_000_000),
    "32 MiB in one tag": b'<a b="' + b"x" * (32 * 1024**2 - 20) + b'"/>',
    "4 million attributes in one tag": b"<a" + b"".join(b' a%d=""' % n for n in range(2_500_000)) + b"/>",
    "1 MiB of parameter entities": b"<!DOCTYPE a [" + b'<!ENTITY % x "xx">' * 60_000 + b"]><a/>",
    "a comment of 32 MiB": b"<a><!--" + b"-x" * (16 * 1024**2 - 20) + b"--></a>",
    "a text of 32 MiB": b"<a>" + b"x" * (32 * 1024**2 - 20) + b"</a>",
    "a text of 32 MiB that is no UTF-8": b"<a>" + b"\xe9" * (32 * 1024**2 - 20) + b"</a>",
    "many texts that are no UTF-8": request((b"<a>" + b"\xe9" * 60_000 + b"</a>") * 550),
    "tags of just under 1 MiB": request((b'<a b="' + b"x" * (1024**2 - 70_000) + b'"/>') * 33),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_document_made_to_hurt_costs_little(name: str) -> None:
    cost = cost_of("body", zlib.compress(COSTLY[name][: 32 * 1024**2], 1))
    assert cost.verdict in ("Malformed", "TooLarge")
    assert (cost.mebibytes < 110, cost.seconds < 2) == (True, True), cost  # 32 MiB of it are the message


def test_what_was_read_is_freed_without_waiting_for_a_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        read(b"<a>" + b"<b>text</b>" * 10 + b"</a>")
        with pytest.raises(Malformed):
            read(b"<a><b>")
        assert not [o for o in gc.get_objects() if isinstance(o, markup._Reader)]
    finally:
        gc.enable()


# Writing


exact = st.text(st.characters(codec="utf-8", exclude_characters="\ufffe\uffff")).map(clean)


@given(exact, exact)
def test_what_is_written_reads_back_character_for_character(text: str, value: str) -> None:
    element = Element("a", {"b": value})
    element.text = text
    again = read(write(element))
    assert (again.get("b"), again.text or "") == (value, text)


@pytest.mark.parametrize("text", ["\r", "\r\n", "a\rb", "\t", "\n", " ", "]]>", "<![CDATA[", "&#13;", "\x85", "\u2028"])
def test_blanks_and_marks_read_back_as_they_were(text: str) -> None:
    element = Element("a", {"b": text})
    element.text = text
    again = read(write(element))
    assert (again.get("b"), again.text) == (text, text)


@given(st.text())
def test_cleaned_text_can_always_be_written(text: str) -> None:
    element = Element("a", {"b": clean(text)})
    element.text = clean(text)
    assert read(write(element)).get("b") == clean(text)
    assert clean(clean(text)) == clean(text)


def test_what_is_written_declares_utf_8_and_no_more() -> None:
    assert write(Element("a")) == b'<?xml version="1.0" encoding="UTF-8"?>\n<a />'


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        (b"<a><N> v </N></a>", "v"),
        (b'<a N=" v "/>', "v"),
        (b'<a N="v"><N>w</N></a>', "v"),
        (b"<a><N/></a>", ""),
        (b"<a/>", ""),
        (b"<a><N>v</N><N>w</N></a>", "v"),
    ],
)
def test_a_scalar_comes_as_attribute_or_as_child(xml: bytes, value: str) -> None:
    assert scalar(read(xml), "N") == value


def test_the_reader_is_the_only_one() -> None:
    users = [p.name for p in Path(markup.__file__).parents[1].rglob("*.py") if "expat" in p.read_text("utf-8")]
    assert sorted(users) == ["markup.py", "parts.py"], "the second one tells its version only"
