"""Prolog, inventory and result in every form that agents send, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.messages import (
    DeviceId,
    Inventory,
    InventoryReply,
    Other,
    Pack,
    Progress,
    Prolog,
    PrologReply,
    Report,
    is_device_id,
)
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo
from appliance.wire import contact
from appliance.wire.malformed import Malformed
from tests.wire.test_golden import xml_of

DEVICE = DeviceId("pc1-2026-01-31-09-30-00")
OLD = "pc0-2025-01-31-09-30-00"
HEAD = f"<DEVICEID>{DEVICE}</DEVICEID>"
READABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Co"]), max_size=30).map(str.strip)
AWKWARD = ['O\'Neil "x" <b>&amp;</b>', "é日\U0001f600", "a\nb", "a\tb", "a\rb", "]]>", "&#10;", "{}%s\\"]


def inventory(content: str, around: str = "") -> Inventory:
    xml = f"<REQUEST>{HEAD}<QUERY>INVENTORY</QUERY>{around}<CONTENT>{content}</CONTENT></REQUEST>"
    decoded = contact.decode_request(xml.encode())
    assert isinstance(decoded, Inventory)
    return decoded


# Requests


@pytest.mark.parametrize(
    "xml",
    [
        f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>",
        f"<REQUEST><QUERY>PROLOG</QUERY><DEVICEID>{DEVICE}</DEVICEID></REQUEST>",
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="PROLOG"/>',
        f'<REQUEST QUERY="PROLOG"><DEVICEID>{DEVICE}</DEVICEID></REQUEST>',
        f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID><CONTENT/><QUERY>PROLOG</QUERY></REQUEST>",
        f"<REQUEST>\n  <DEVICEID>\n{DEVICE} </DEVICEID>\n<NEW><X/></NEW><QUERY> PROLOG </QUERY></REQUEST>",
        f"<?xml version='1.0' encoding='ISO-8859-1'?><REQUEST DEVICEID='{DEVICE}' QUERY='PROLOG'/>",
    ],
)
def test_a_prolog_is_understood_in_every_form(xml: str) -> None:
    assert contact.decode_request(xml.encode()) == Prolog(DEVICE)


@pytest.mark.parametrize(
    "xml",
    [
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="DOWNLOAD" ID="1700000000" ERR="SUCCESS"/>',
        f'<REQUEST ID="1700000000" ERR="SUCCESS">{HEAD}<CONTENT/><QUERY>DOWNLOAD</QUERY></REQUEST>',
        f"<REQUEST>{HEAD}<QUERY>DOWNLOAD</QUERY><ID>1700000000</ID><ERR>SUCCESS</ERR></REQUEST>",
    ],
)
def test_a_result_is_understood_in_every_form(xml: str) -> None:
    assert contact.decode_request(xml.encode()) == Report(DEVICE, "1700000000", "SUCCESS")


def test_a_result_without_code_or_id_is_a_result() -> None:
    xml = f'<REQUEST DEVICEID="{DEVICE}" QUERY="DOWNLOAD"/>'
    assert contact.decode_request(xml.encode()) == Report(DEVICE, "", "")


@pytest.mark.parametrize(
    "xml",
    [
        f"<REQUEST><QUERY>PROGRESS</QUERY>{HEAD}<ID>1795206923</ID><FETCHED>17</FETCHED></REQUEST>",
        f"<REQUEST>{HEAD}<FETCHED> 17 </FETCHED><NEW/><ID>\n1795206923 </ID><QUERY>progress</QUERY></REQUEST>",
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="PROGRESS" ID="1795206923" FETCHED="17"/>',
    ],
)
def test_progress_is_understood_in_every_form(xml: str) -> None:
    assert contact.decode_request(xml.encode()) == Progress(DEVICE, "1795206923", 17)


def test_our_progress_is_written_like_this() -> None:
    assert contact.encode_progress(Progress(DEVICE, "1795206923", 17)).partition(b"?>")[2].strip() == (
        f"<REQUEST>{HEAD}<QUERY>PROGRESS</QUERY><ID>1795206923</ID><FETCHED>17</FETCHED></REQUEST>".encode()
    )


@pytest.mark.parametrize("fetched", ["", "-1", "1e3", "1.5", "٣", "0x10", "9999999999", "1 2", "' OR 1=1--"])
def test_a_count_of_fragments_that_is_no_number_is_none(fetched: str) -> None:
    xml = f"<REQUEST>{HEAD}<QUERY>PROGRESS</QUERY><ID>{'1' * 1000}</ID><FETCHED>{fetched}</FETCHED></REQUEST>"
    assert contact.decode_request(xml.encode()) == Progress(DEVICE, "1" * 32, 0)


@pytest.mark.parametrize("query", ["NOTIFY", "SNMP"])
def test_queries_without_a_use_here_are_other(query: str) -> None:
    xml = f"<REQUEST>{HEAD}<QUERY>{query}</QUERY><TYPE>IP</TYPE><IFACE><MAC>x</MAC></IFACE></REQUEST>"
    assert contact.decode_request(xml.encode()) == Other(DEVICE, query)


def test_update_needs_no_device_id() -> None:
    assert contact.decode_request(b"<REQUEST><QUERY>UPDATE</QUERY></REQUEST>") == Other("", "UPDATE")
    assert b"<RESPONSE>NO_UPDATE</RESPONSE>" in contact.encode_no_update()


@pytest.mark.parametrize(
    "xml",
    [
        "<REPLY/>",
        "<request/>",
        "<REQUEST/>",
        "<REQUEST><QUERY>PROLOG</QUERY></REQUEST>",
        f"<REQUEST><DEVICEID>{DEVICE}</DEVICEID></REQUEST>",
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="NOSUCH"/>',
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="FILE"/>',
        '<REQUEST DEVICEID="pc1" QUERY="PROLOG"/>',
        f'<REQUEST DEVICEID="../{DEVICE}" QUERY="PROLOG"/>',
        f'<REQUEST DEVICEID="{"x" * 300}{DEVICE}" QUERY="DOWNLOAD"/>',
        f'<REQUEST DEVICEID="{DEVICE}" QUERY="INVENTORY"/>',
        '<REQUEST DEVICEID="pc1" QUERY="PROGRESS" ID="1795206923" FETCHED="17"/>',
        f'<REQUEST DEVICEID="../{DEVICE}" QUERY="PROGRESS" ID="1795206923" FETCHED="17"/>',
    ],
)
def test_what_is_no_request_is_malformed(xml: str) -> None:
    with pytest.raises(Malformed) as malformed:
        contact.decode_request(xml.encode())
    assert str(malformed.value).isprintable()


def test_rows_of_an_inventory_come_as_children_or_attributes_and_in_their_order() -> None:
    decoded = inventory('<DRIVES TYPE=" / "><TOTAL> 10 </TOTAL><FREE/></DRIVES><DRIVES TYPE="/home"/><NEW/>')
    assert decoded.sections == (
        ("DRIVES", {"TYPE": "/", "TOTAL": "10", "FREE": ""}),
        ("DRIVES", {"TYPE": "/home"}),
        ("NEW", {}),
    )


def test_no_field_is_longer_than_a_field_may_be() -> None:
    long = "x" * (contact.LONGEST_FIELD + 1)
    decoded = inventory(f'<A B="{long}"><C>{long}</C></A>')
    assert {len(value) for value in decoded.first("A").values()} == {contact.LONGEST_FIELD}


@pytest.mark.parametrize(
    ("hardware", "checksum"),
    [
        ("<CHECKSUM>262143</CHECKSUM>", 262143),
        ("<CHECKSUM> 0 </CHECKSUM>", 0),
        ("<CHECKSUM/>", None),
        ("", None),
        ("<CHECKSUM>-1</CHECKSUM>", None),
        ("<CHECKSUM>1e3</CHECKSUM>", None),
        ("<CHECKSUM>٣</CHECKSUM>", None),
        ("<CHECKSUM>9999999999</CHECKSUM>", None),
    ],
)
def test_the_checksum_is_a_number_or_was_not_sent(hardware: str, checksum: int | None) -> None:
    assert inventory(f"<HARDWARE>{hardware}</HARDWARE>").checksum == checksum


def test_the_checksum_may_be_an_attribute() -> None:
    assert inventory('<HARDWARE CHECKSUM="7"/>').checksum == 7


@pytest.mark.parametrize(
    ("content", "around"),
    [
        (f"<OLD_DEVICEID>{OLD}</OLD_DEVICEID>", ""),
        (f"<DOWNLOAD><HISTORY><OLD_DEVICEID>{OLD}</OLD_DEVICEID></HISTORY></DOWNLOAD>", ""),  # genuine Windows agent
        (f'<DOWNLOAD><HISTORY OLD_DEVICEID="{OLD}"><PACKAGE ID="1"/></HISTORY></DOWNLOAD>', ""),
        ("", f"<OLD_DEVICEID>{OLD}</OLD_DEVICEID>"),
        (f"<OLD_DEVICEID>{OLD}</OLD_DEVICEID><DOWNLOAD><HISTORY/></DOWNLOAD>", ""),
    ],
)
def test_the_old_device_id_is_found_wherever_agents_put_it(content: str, around: str) -> None:
    decoded = inventory(content, around)
    assert decoded.old_device_id == OLD
    assert decoded.sections == ()


@pytest.mark.parametrize("old", ["", "pc0", DEVICE, f"../{OLD}"])
def test_an_old_device_id_that_is_none_or_the_same_is_left_out(old: str) -> None:
    assert inventory(f"<OLD_DEVICEID>{old}</OLD_DEVICEID>").old_device_id == ""


def test_history_keeps_each_package_once_and_in_its_order() -> None:
    packages = (
        '<PACKAGE ID="2"/><PACKAGE ID="1"/><PACKAGE ID="2"/><PACKAGE ID=""/><PACKAGE/><PACKAGE>3</PACKAGE><X ID="4"/>'
    )
    assert inventory(f"<DOWNLOAD><HISTORY>{packages}</HISTORY></DOWNLOAD>").history == ("2", "1", "3")
    assert inventory("<DOWNLOAD/>").history == ()
    assert inventory("").history == ()


def test_history_is_bounded() -> None:
    packages = "".join(f'<PACKAGE ID="{n}"/>' for n in range(contact.MOST_HISTORY + 10))
    assert len(inventory(f"<DOWNLOAD><HISTORY>{packages}</HISTORY></DOWNLOAD>").history) == contact.MOST_HISTORY


def test_account_values_come_as_rows() -> None:
    rows = "<ACCOUNTINFO><KEYNAME>TAG</KEYNAME><KEYVALUE>A&amp;B</KEYVALUE></ACCOUNTINFO>"
    rows += '<ACCOUNTINFO KEYNAME="fields_3" KEYVALUE="x"/><ACCOUNTINFO><KEYVALUE>lost</KEYVALUE></ACCOUNTINFO>'
    assert inventory(rows).account == (("TAG", "A&B"), ("fields_3", "x"))


FIELD = st.from_regex(r"[A-Z][A-Z0-9_]{0,10}", fullmatch=True)
SECTION = FIELD.filter(lambda name: name not in ("ACCOUNTINFO", "DOWNLOAD", "OLD_DEVICEID"))
AWKWARD_OR_ANY = st.sampled_from([text.strip() for text in AWKWARD]) | READABLE


@given(
    st.lists(st.tuples(SECTION, st.dictionaries(FIELD, AWKWARD_OR_ANY, max_size=3)), max_size=4),
    st.lists(st.tuples(READABLE.filter(bool), READABLE), max_size=3),
    st.lists(st.from_regex(r"[0-9]{10}", fullmatch=True), max_size=4, unique=True),
)
def test_an_inventory_of_ours_reads_back(
    sections: list[tuple[str, dict[str, str]]], account: list[tuple[str, str]], history: list[str]
) -> None:
    installed = tuple(PackageId(package) for package in history)
    xml = contact.encode_inventory(DEVICE, sections, account=account, history=installed)
    decoded = contact.decode_request(xml)
    assert isinstance(decoded, Inventory)
    assert decoded.sections == tuple(sections)
    assert (decoded.account, decoded.history) == (tuple(account), installed)


@given(AWKWARD_OR_ANY, AWKWARD_OR_ANY)
def test_a_report_of_ours_reads_back(package: str, code: str) -> None:
    report = Report(DEVICE, package, code)
    assert contact.decode_request(contact.encode_report(report)) == report


@given(AWKWARD_OR_ANY, st.integers(0, 999_999_999))
def test_a_progress_of_ours_reads_back(package: str, fetched: int) -> None:
    progress = Progress(DEVICE, package, fetched)
    assert contact.decode_request(contact.encode_progress(progress)) == progress


@given(READABLE.map(lambda name: f"{name}-2026-01-31-09-30-00").filter(is_device_id))
def test_a_prolog_of_ours_reads_back(device_id: str) -> None:
    assert contact.decode_request(contact.encode_prolog(DeviceId(device_id))) == Prolog(DeviceId(device_id))


# An absent section keeps what was known


def whole(content: str) -> bytes:
    return f"<REQUEST><CONTENT>{content}</CONTENT>{HEAD}<QUERY>INVENTORY</QUERY></REQUEST>".encode()


def test_a_merged_inventory_keeps_absent_sections_and_replaces_present_ones_whole() -> None:
    old = whole(
        "<A><X>1</X></A><A><X>2</X></A><B><X>é&lt;</X></B><ACCOUNTINFO/><OLD_DEVICEID>x</OLD_DEVICEID><DOWNLOAD/>"
    )
    merged = contact.decode_request(contact.merge_inventory(old, whole("<A><X>3</X></A><C/>")))
    assert isinstance(merged, Inventory)
    assert merged.sections == (("A", {"X": "3"}), ("C", {}), ("B", {"X": "é<"}))
    assert (merged.account, merged.old_device_id) == ((), "")


def test_a_merge_that_adds_nothing_gives_the_new_message_as_it_came() -> None:
    new = whole("<A/><B/>")
    assert contact.merge_inventory(whole("<B><X>1</X></B><ACCOUNTINFO/>"), new) is new
    assert contact.merge_inventory(b"<REQUEST/>", new) is new
    assert contact.merge_inventory(new, b"<REQUEST/>") == b"<REQUEST/>"


def test_an_empty_section_is_present_and_clears_what_was_known() -> None:
    assert contact.merge_inventory(whole("<BIOS><SSN>1</SSN></BIOS>"), whole("<BIOS/>")) == whole("<BIOS/>")


def test_merging_twice_is_merging_once() -> None:
    old, new = whole("<A><X>a\r\n\tb</X></A>"), whole("<B/>")
    once = contact.merge_inventory(old, new)
    assert contact.merge_inventory(old, once) == once


# Replies


packs = st.builds(
    Pack,
    package=st.from_regex(r"[0-9]{10}", fullmatch=True).map(PackageId),
    info_location=READABLE,
    fragment_location=READABLE,
    schedule=st.sampled_from(["", "2026/11/20 21:00"]),
    post_command=AWKWARD_OR_ANY,
    force=st.booleans(),
)
small = st.integers(0, 99_999)
tempos = st.builds(
    Tempo,
    on=st.booleans(),
    cycle_latency=small,
    frag_latency=small,
    period_latency=small,
    period_length=st.integers(1, 999),
    timeout_days=st.integers(1, 999),
    execution_timeout_minutes=st.integers(1, 9999),
)
replies = st.builds(
    PrologReply,
    inventory_wanted=st.booleans(),
    prolog_hours=st.integers(1, 9999),
    on_startup=st.booleans(),
    tempo=tempos,
    packs=st.lists(packs, max_size=3).map(tuple),
)


@given(replies)
def test_a_prolog_reply_of_ours_reads_back(reply: PrologReply) -> None:
    assert contact.decode_prolog_reply(contact.encode_reply(reply)) == reply


@given(st.text())
def test_a_pack_can_always_be_written(text: str) -> None:
    pack = Pack(PackageId("1795206923"), text, text, text, text)
    reply = contact.decode_prolog_reply(contact.encode_reply(PrologReply(True, tempo=Tempo(), packs=(pack,))))
    assert [one.package for one in reply.packs] == ["1795206923"]


def test_a_reply_without_tempo_says_nothing_about_deployment() -> None:
    xml = contact.encode_reply(PrologReply(False))
    assert b"OPTION" not in xml
    assert contact.decode_prolog_reply(xml) == PrologReply(False)


def test_a_reply_carries_what_genuine_agents_must_find() -> None:
    xml = contact.encode_reply(PrologReply(True, 0, tempo=Tempo(), packs=(Pack(PackageId("1795206923"), "i", "f"),)))
    assert b"<PROLOG_FREQ>1</PROLOG_FREQ>" in xml  # checklist 7: at least 1
    root = contact.markup.read(xml)
    conf, pack = (param.attrib for param in root.findall("OPTION/PARAM"))
    assert set(conf) >= {*("ON", "CYCLE_LATENCY", "FRAG_LATENCY", "PERIOD_LATENCY", "PERIOD_LENGTH", "TIMEOUT")}
    assert set(pack) == {
        *("TYPE", "ID", "INFO_LOC", "PACK_LOC", "CERT_PATH", "CERT_FILE", "SCHEDULE", "POSTCMD", "FORCE"),
    }


@pytest.mark.parametrize(
    "param",
    [
        '<PARAM ID="1795206923" INFO_LOC="i" PACK_LOC="p" FORCE="1" TYPE="PACK"/>',
        '<PARAM FORCE="1" TYPE="PACK"><PACK_LOC>p</PACK_LOC><INFO_LOC>i</INFO_LOC><ID>1795206923</ID></PARAM>',
        '<PARAM ID="1795206923" INFO_LOC="i" PACK_LOC="p" FORCE="1"/>',
    ],
)
def test_a_pack_of_another_server_comes_in_any_form(param: str) -> None:
    xml = f"<REPLY><OPTION>{param}<NAME>DOWNLOAD</NAME></OPTION><RESPONSE>OTHER</RESPONSE></REPLY>"
    reply = contact.decode_prolog_reply(xml.encode())
    assert reply.packs == (Pack(PackageId("1795206923"), "i", "p", force=True),)
    assert not reply.inventory_wanted


@pytest.mark.parametrize("id", ["", "../../etc", "17952x", "-1", "1/2", "1" * 21, "１７９５"])
def test_a_pack_with_an_id_that_is_no_number_is_left_out(id: str) -> None:
    xml = f'<REPLY><OPTION><NAME>DOWNLOAD</NAME><PARAM TYPE="PACK" ID="{id}"/></OPTION></REPLY>'
    assert contact.decode_prolog_reply(xml.encode()).packs == ()


def test_what_another_servers_conf_lacks_takes_the_windows_agents_defaults() -> None:
    xml = b'<REPLY><OPTION><NAME>DOWNLOAD</NAME><PARAM TYPE="CONF" TIMEOUT="x" PERIOD_LENGTH="0"/></OPTION></REPLY>'
    assert contact.decode_prolog_reply(xml).tempo == Tempo(
        on=True,
        cycle_latency=10,
        frag_latency=10,
        period_latency=0,
        period_length=1,
        timeout_days=30,
        execution_timeout_minutes=120,
    )


def test_options_that_are_no_download_are_left_alone() -> None:
    xml = (
        b'<REPLY><OPTION><NAME>REGISTRY</NAME><PARAM NAME="x" REGKEY="y" ID="1" TYPE="PACK">*</PARAM></OPTION></REPLY>'
    )
    assert contact.decode_prolog_reply(xml) == PrologReply(False)


@given(st.none() | st.lists(st.tuples(READABLE.filter(bool), READABLE), max_size=3))
def test_an_inventory_reply_of_ours_reads_back(account: list[tuple[str, str]] | None) -> None:
    reply = InventoryReply(None if account is None else tuple(account))
    assert contact.decode_inventory_reply(contact.encode_reply(reply)) == reply


# Any bytes


DECODERS = [contact.decode_request, contact.decode_prolog_reply, contact.decode_inventory_reply]
VALID = [
    contact.encode_prolog(DEVICE),
    contact.encode_report(Report(DEVICE, "1795206923", "SUCCESS")),
    contact.encode_progress(Progress(DEVICE, "1795206923", 17)),
    xml_of("27-inventory-small-tag.req")[:3000] + b"</CONTENT></REQUEST>",
    contact.encode_inventory(
        DEVICE, [("HARDWARE", {"CHECKSUM": "3"})], account=[("TAG", "x")], history=[PackageId("1")]
    ),
    xml_of("21-prolog-forced.resp"),
    xml_of("09-inventory-second.resp"),
]


@given(st.binary(max_size=300), st.sampled_from(DECODERS))
def test_any_bytes_are_a_value_or_malformed(data: bytes, decode: object) -> None:
    with pytest.raises(Malformed):
        decode(data)  # type: ignore[operator]


@given(st.data(), st.sampled_from(VALID), st.sampled_from(DECODERS))
def test_a_damaged_message_is_a_value_or_malformed(data: st.DataObject, valid: bytes, decode: object) -> None:
    raw = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 3))):
        at, length = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 8))
        raw[at : at + length] = data.draw(st.binary(max_size=8))
    try:
        value = decode(bytes(raw))  # type: ignore[operator]
    except Malformed:
        return
    assert isinstance(value, (Prolog, Inventory, Report, Progress, Other, PrologReply, InventoryReply))
    assert not isinstance(value, (Prolog, Inventory, Report, Progress)) or is_device_id(value.device_id)
