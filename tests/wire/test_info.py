"""The info file and the manifest: what a package says comes back as it was; any bytes are a value or Malformed."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.domain.package import (
    Action,
    Info,
    Manifest,
    Notice,
    Order,
    PackageId,
    Piece,
    Protocol,
    System,
    checked,
)
from appliance.domain.refusal import Refusal
from appliance.wire import info, manifest
from appliance.wire.malformed import Malformed

ID = PackageId("1795206923")
SHA = "0123456789abcdef" * 4
AWKWARD = 'O\'Neil "x" <b>&amp;</b> é日\U0001f600 a\nb\tc\rd\r\n  ]]> &#10; %PATH% $HOME `x`\\'

ANY_TEXT = st.text(max_size=40) | st.just(AWKWARD)


def allowed(text: str) -> bool:
    """Whether package.checked takes the text for a command."""
    try:
        checked(Order("x", System.LINUX, Action.EXECUTE, text), file_format=None)
    except Refusal:
        return False
    return True


TEXT = ANY_TEXT.filter(allowed)
infos = st.builds(
    Info,
    package=st.just(ID),
    priority=st.integers(0, 10),
    action=st.sampled_from(Action),
    argument=TEXT,
    fragments=st.integers(0, 50_000),
    digest=st.sampled_from(["", "cf35510f6a55ecf9d576cca632aa42d5"]),
    protocol=st.sampled_from(Protocol),
    notice=st.none() | st.builds(Notice, TEXT, st.integers(0, 9999), st.booleans(), st.booleans()),
    done_text=st.just("") | TEXT,
)


@given(infos)
@example(Info(ID, 5, Action.EXECUTE, AWKWARD, notice=Notice(AWKWARD, 0), done_text=AWKWARD))
@example(Info(ID, 5, Action.STORE, "\r", notice=Notice("\n\n"), done_text="\t"))
def test_info_reads_back_character_for_character(told: Info) -> None:
    assert info.decode(info.encode(told)) == told


@given(infos)
def test_info_has_every_attribute_that_genuine_agents_look_for(told: Info) -> None:
    root = info.markup.read(info.encode(told))
    argument = {Action.LAUNCH: "NAME", Action.EXECUTE: "COMMAND", Action.STORE: "PATH"}[told.action]
    assert root.tag == "DOWNLOAD"
    assert not len(root)
    assert set(root.attrib) == {
        *("ID", "PRI", "ACT", argument, "DIGEST", "DIGEST_ALGO", "DIGEST_ENCODE", "PROTO", "FRAGS", "GARDEFOU"),
        *("NOTIFY_USER", "NOTIFY_TEXT", "NOTIFY_COUNTDOWN", "NOTIFY_CAN_ABORT", "NOTIFY_CAN_DELAY"),
        *("NEED_DONE_ACTION", "NEED_DONE_ACTION_TEXT"),
    }
    assert (root.get("PRI"), root.get("FRAGS")) == (str(told.priority), str(told.fragments))


def test_the_largest_package_fits_its_limits() -> None:
    text, pieces = "&" * 8192, tuple(Piece(2**30, SHA) for _ in range(50_000))
    largest = Info(ID, 5, Action.EXECUTE, "&" * 4096, 50_000, notice=Notice(text), done_text=text)
    assert len(info.encode(largest)) < info.LARGEST
    assert len(manifest.encode(Manifest(ID, "\U0001f600" * 255, 2**40, SHA, pieces, SHA))) < manifest.LARGEST


def test_an_info_of_another_server_may_lack_what_has_a_default() -> None:
    told = info.decode(
        b'<DOWNLOAD ID="17" PRI="3" ACT="launch" NAME="a.sh" FRAGS="2" DIGEST="d" DIGEST_ALGO="" PROTO=""/>'
    )
    assert told == Info(PackageId("17"), 3, Action.LAUNCH, "a.sh", 2, "d")


@pytest.mark.parametrize(("countdown", "seconds"), [("", 120), ("0", 0), ("30", 30)])
def test_an_empty_countdown_is_the_windows_agents_default(countdown: str, seconds: int) -> None:
    xml = f'<DOWNLOAD ID="1" PRI="1" ACT="STORE" PATH="/" FRAGS="1" NOTIFY_USER="1" NOTIFY_COUNTDOWN="{countdown}"/>'
    assert info.decode(xml.encode()).notice == Notice("", seconds)


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"<html><body>404</body></html>",
        b'<DOWNLOAD ID="1" PRI="1" ACT="STORE" FRAGS="1">',
        b'<DOWNLOAD ID="1" ACT="STORE" FRAGS="1"/>',
        b'<DOWNLOAD ID="1" PRI="1" ACT="STORE"/>',
        b'<DOWNLOAD ID="1" PRI="x" ACT="STORE" FRAGS="1"/>',
        b'<DOWNLOAD ID="1" PRI="-1" ACT="STORE" FRAGS="1"/>',
        b'<DOWNLOAD ID="1" PRI="1" ACT="STORE" FRAGS="9999999999"/>',
        '<DOWNLOAD ID="1" PRI="٣" ACT="STORE" FRAGS="1"/>'.encode(),
        b'<DOWNLOAD ID="1" PRI="1" ACT="DELETE" FRAGS="1"/>',
        b'<DOWNLOAD ID="1" PRI="1" FRAGS="1"/>',
        b'<DOWNLOAD ID="1" PRI="1" ACT="STORE" FRAGS="1" PROTO="FTP"/>',
        b'<DOWNLOAD ID="1" PRI="1" ACT="EXECUTE" FRAGS="0" COMMAND="a & b"/>',  # a console that does not escape
        b'<DOWNLOAD ID="1" PRI="1" ACT="EXECUTE" FRAGS="0" COMMAND="a < b"/>',
        b'<!DOCTYPE DOWNLOAD><DOWNLOAD ID="1" PRI="1" ACT="STORE" FRAGS="1"/>',
        b"<DOWNLOAD" + b"".join(b' a%d=""' % n for n in range(65)) + b"/>",
    ],
)
def test_what_is_no_info_is_malformed(xml: bytes) -> None:
    with pytest.raises(Malformed) as malformed:
        info.decode(xml)
    assert str(malformed.value).isprintable()


SOME_INFO = info.encode(Info(ID, 5, Action.LAUNCH, "a.sh é", 3, "d" * 32, notice=Notice("now", 9), done_text="x"))
SOME_MANIFEST = manifest.encode(Manifest(ID, "é", 5, SHA, (Piece(3, SHA), Piece(2, SHA)), SHA))


@given(st.data(), st.sampled_from([(info.decode, SOME_INFO), (manifest.decode, SOME_MANIFEST)]))
def test_a_damaged_document_is_a_value_or_malformed(data: st.DataObject, kind: tuple[object, bytes]) -> None:
    decode, valid = kind
    raw = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        value = decode(bytes(raw))  # type: ignore[operator]
    except Malformed:
        return
    assert isinstance(value, (Info, Manifest))


@given(st.binary(max_size=300))
def test_any_bytes_are_malformed(data: bytes) -> None:
    for decode in (info.decode, manifest.decode):
        with pytest.raises(Malformed):
            decode(data)


# The manifest


digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
manifests = st.builds(
    Manifest,
    package=st.just(ID),
    name=st.text(st.characters(codec="utf-8"), max_size=60),
    size=st.integers(1, 2**50),
    sha256=digests,
    pieces=st.lists(st.builds(Piece, st.integers(1, 2**50), digests), min_size=1, max_size=4).map(tuple),
    info_sha256=digests,
)


@given(manifests)
def test_a_manifest_reads_back(told: Manifest) -> None:
    assert manifest.decode(manifest.encode(told)) == told


def test_a_manifest_of_a_package_without_a_file_reads_back() -> None:
    told = Manifest(ID, "x", 0, "", (), SHA)
    assert manifest.decode(manifest.encode(told)) == told


def test_a_key_that_nobody_knows_is_left_alone() -> None:
    document = {**json.loads(SOME_MANIFEST), "signature": "later"}
    assert manifest.decode(json.dumps(document).encode()) == manifest.decode(SOME_MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        {"manifest": 2},
        {"manifest": "\n" * 100},
        {"package": 5},
        {"name": None},
        {"name": "\ud800"},
        {"size": "5"},
        {"size": -1},
        {"size": 5.0},
        {"size": True},
        {"size": 2**53},
        {"sha256": SHA.upper()},
        {"sha256": SHA[:-1]},
        {"sha256": SHA[:-1] + "\u0663"},
        {"info_sha256": ""},
        {"pieces": None},
        {"pieces": [1]},
        {"pieces": [[]]},
        {"pieces": [[1]]},
        {"pieces": [["1", SHA]]},
        {"pieces": [[1, SHA + "0"]]},
        {"pieces": {"a": 1}},
        {"pieces": "ab"},
        *({key: ...} for key in ("manifest", "package", "name", "size", "sha256", "pieces", "info_sha256")),
    ],
    ids=repr,
)
def test_a_manifest_with_a_wrong_or_missing_value_is_malformed(change: dict[str, object]) -> None:
    document = {key: value for key, value in {**json.loads(SOME_MANIFEST), **change}.items() if value is not ...}
    with pytest.raises(Malformed) as malformed:
        manifest.decode(json.dumps(document).encode())
    assert str(malformed.value).isprintable()


@pytest.mark.parametrize(
    "text", [b"[]", b"5", b'"x"', b"null", b"[" * 100_000, b"9" * 100_000, b'{"a":' * 50_000, b"NaN"]
)
def test_json_that_is_no_manifest_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        manifest.decode(text)
