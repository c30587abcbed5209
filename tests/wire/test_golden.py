"""The genuine agent's and server's own messages, read and written (tests/golden/captures)."""

from __future__ import annotations

import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from appliance.domain.messages import (
    DeviceId,
    Inventory,
    InventoryReply,
    Pack,
    Prolog,
    PrologReply,
    Report,
)
from appliance.domain.package import Action, Info, PackageId, Protocol
from appliance.domain.tempo import Tempo
from appliance.wire import contact, envelope, info
from appliance.wire.envelope import Form
from appliance.wire.malformed import Malformed

CAPTURES = Path(__file__).parents[1] / "golden" / "captures"
LIMIT = 32 * 1024**2

ACCT = DeviceId("pc-acct-017-2026-11-20-20-35-23")
SALES = DeviceId("pc-sales-003-2026-11-20-20-37-16")
FAST = Tempo(cycle_latency=0, frag_latency=0)  # the recorded server's latencies


def body(name: str) -> bytes:
    return (CAPTURES / f"{name}.bin").read_bytes()


def xml_of(name: str) -> bytes:
    return envelope.unpack(body(name), LIMIT)[0]


def pack(number: int, **rest: object) -> Pack:
    locations = {"info_location": "127.0.0.1:28593/download", "fragment_location": "127.0.0.1:28190/download"}
    return Pack(PackageId(str(number)), **locations, **rest)  # type: ignore[arg-type]


REQUESTS = {
    "01-prolog-first": Prolog(ACCT),
    "03-prolog-packages": Prolog(ACCT),
    "21-prolog-forced": Prolog(ACCT),
    "24-prolog-stop": Prolog(ACCT),
    "25-prolog-download-off": Prolog(ACCT),
    "26-prolog-tagged-device": Prolog(SALES),
    "p02-prolog-gzip": Prolog(ACCT),
    "p03-prolog-plain-xml": Prolog(ACCT),
    "08-result-err-download-info": Report(ACCT, "1795206932", "ERR_DOWNLOAD_INFO"),
    "14-result-success": Report(ACCT, "1795206923", "SUCCESS"),
}
FORMS = {"p02-prolog-gzip": Form.GZIP, "p03-prolog-plain-xml": Form.PLAIN}

REPLIES = {
    "01-prolog-first": PrologReply(True, 24, True, FAST),
    "03-prolog-packages": PrologReply(True, 24, True, FAST, tuple(pack(n) for n in range(1795206923, 1795206933))),
    "21-prolog-forced": PrologReply(
        inventory_wanted=True,
        prolog_hours=24,
        on_startup=True,
        tempo=FAST,
        packs=(
            pack(1795206923),
            pack(1795206924, schedule="2026/11/20 21:00", post_command="echo done", force=True),
        ),
    ),
    "24-prolog-stop": PrologReply(False, 24, True, FAST),
    "25-prolog-download-off": PrologReply(False, 24, True, Tempo(on=False, cycle_latency=0, frag_latency=0)),
    "26-prolog-tagged-device": PrologReply(True, 24, True, FAST),
    "p02-prolog-gzip": PrologReply(True, 24, True, FAST),
    "p03-prolog-plain-xml": PrologReply(True, 24, True, FAST),
}


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.xml")), ids=lambda path: path.stem)
def test_a_captured_body_unpacks_byte_for_byte(path: Path) -> None:
    assert xml_of(path.stem) == path.read_bytes()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_genuine_request_is_understood_and_its_form_known(name: str) -> None:
    xml, form = envelope.unpack(body(f"{name}.req"), LIMIT)
    assert contact.decode_request(xml) == REQUESTS[name]
    assert form is FORMS.get(name, Form.ZLIB)


@pytest.mark.parametrize("name", REQUESTS)
def test_our_request_says_what_the_genuine_one_says(name: str) -> None:
    request = REQUESTS[name]
    ours = contact.encode_prolog(ACCT) if isinstance(request, Prolog) else contact.encode_report(request)
    if request.device_id == ACCT:
        assert meaning_of(ours) == meaning_of(xml_of(f"{name}.req"))
    assert contact.decode_request(ours).device_id == ACCT


@pytest.mark.parametrize("name", REPLIES)
def test_a_genuine_prolog_reply_is_understood(name: str) -> None:
    assert contact.decode_prolog_reply(xml_of(f"{name}.resp")) == REPLIES[name]


@pytest.mark.parametrize("name", REPLIES)
def test_our_prolog_reply_is_the_genuine_one_compared_as_xml(name: str) -> None:
    assert meaning_of(contact.encode_reply(REPLIES[name])) == meaning_of(xml_of(f"{name}.resp"))


@pytest.mark.parametrize("name", REPLIES)
def test_our_prolog_reply_reads_back(name: str) -> None:
    assert contact.decode_prolog_reply(contact.encode_reply(REPLIES[name])) == REPLIES[name]


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("02-inventory-first", InventoryReply(None)),
        ("09-inventory-second", InventoryReply((("TAG", "NA"),))),
    ],
)
def test_an_inventory_reply_is_the_genuine_one_both_ways(name: str, reply: InventoryReply) -> None:
    assert contact.decode_inventory_reply(xml_of(f"{name}.resp")) == reply
    assert meaning_of(contact.encode_reply(reply)) == meaning_of(xml_of(f"{name}.resp"))


def meaning_of(xml: bytes) -> object:
    """A message without the order of its elements and attributes, and without blanks between them."""

    def shape(element: ElementTree.Element) -> object:
        children = sorted(repr(shape(child)) for child in element)
        return element.tag, sorted(element.attrib.items()), (element.text or "").strip(), children

    return shape(ElementTree.fromstring(xml))


def test_a_genuine_whole_inventory_is_understood() -> None:
    xml = xml_of("02-inventory-first.req")
    inventory = contact.decode_request(xml)
    assert isinstance(inventory, Inventory)
    assert (inventory.device_id, inventory.checksum, inventory.old_device_id) == (ACCT, 1572863, "")
    assert (inventory.account, inventory.history, inventory.xml) == ((), (), xml)
    assert len(inventory.rows("SOFTWARES")) == 866
    assert inventory.rows("SOFTWARES")[0] == {
        "ARCHITECTURE": "all",
        "COMMENTS": "add and remove users and groups",
        "FILESIZE": "702464",
        "FROM": "deb",
        "INSTALLDATE": "2025/04/20 00:00:00",
        "NAME": "adduser",
        "VERSION": "3.134",
    }
    hardware = inventory.first("HARDWARE")
    assert (hardware["NAME"], hardware["OSNAME"], hardware["MEMORY"]) == ("pc-acct-017", "Debian GNU/Linux 12", "24105")
    assert hardware["PROCESSORS"] == ""  # an empty element (quirk 11)
    assert inventory.first("BIOS") == {}
    assert contact.section_names(inventory) == (
        *("BIOS", "CONTROLLERS", "CPUS", "DRIVES", "HARDWARE", "LOCAL_GROUPS", "LOCAL_USERS", "NETWORKS"),
        *("REPOSITORY", "SOFTWARES", "STORAGES"),
    )


def test_a_genuine_inventory_tells_its_tag() -> None:
    inventory = contact.decode_request(xml_of("27-inventory-small-tag.req"))
    assert isinstance(inventory, Inventory)
    assert (inventory.device_id, inventory.account) == (SALES, (("TAG", "SALES"),))
    assert [row["MACADDR"] for row in inventory.rows("NETWORKS")][-1] == "00:00:5e:00:53:17"
    assert inventory.rows("SOFTWARES") == []


def test_an_inventory_written_by_us_reads_back_as_the_genuine_one() -> None:
    genuine = contact.decode_request(xml_of("02-inventory-first.req"))
    assert isinstance(genuine, Inventory)
    history = (PackageId("1795206923"),)
    ours = contact.encode_inventory(ACCT, genuine.sections, account=[("TAG", "X")], history=history)
    again = contact.decode_request(ours)
    assert isinstance(again, Inventory)
    assert (again.sections, again.checksum) == (genuine.sections, genuine.checksum)
    assert (again.account, again.history) == ((("TAG", "X"),), history)


def test_a_small_inventory_keeps_the_software_of_the_whole_one() -> None:
    old, new = xml_of("02-inventory-first.req"), xml_of("27-inventory-small-tag.req")
    merged = contact.decode_request(contact.merge_inventory(old, new))
    assert isinstance(merged, Inventory)
    assert len(merged.rows("SOFTWARES")) == 866
    assert (merged.device_id, merged.first("HARDWARE")["NAME"]) == (SALES, "pc-sales-003")
    assert merged.account == (("TAG", "SALES"),)
    assert contact.merge_inventory(new, old) == old


@pytest.mark.parametrize("name", ["p04-prolog-bad-deviceid", "p10-unknown-query"])
def test_what_the_genuine_server_refuses_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        contact.decode_request(xml_of(f"{name}.req"))


@pytest.mark.parametrize("name", ["p07-garbage-body", "p08-not-xml-zlib", "p09-truncated-zlib"])
def test_what_the_genuine_server_cannot_read_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        contact.decode_request(envelope.unpack(body(f"{name}.req"), LIMIT)[0])


INFOS = {
    "04-info-store": Info(
        package=PackageId("1795206923"),
        priority=1,
        action=Action.STORE,
        argument="/opt/demo-packages/stored",
        fragments=3,
        digest="cf35510f6a55ecf9d576cca632aa42d5",
    ),
    "05-info-launch": Info(
        package=PackageId("1795206924"),
        priority=1,
        action=Action.LAUNCH,
        argument="install.sh quiet",
        fragments=1,
        digest="e5a6743aef66c21c6cce50f49599ad7b",
    ),
    "06-info-execute": Info(
        package=PackageId("1795206925"),
        priority=1,
        action=Action.EXECUTE,
        argument="echo executed > /opt/demo-packages/executed",
        protocol=Protocol.HTTP,
    ),
}


@pytest.mark.parametrize("name", INFOS)
def test_a_genuine_info_file_is_understood_and_ours_is_the_same(name: str) -> None:
    genuine = body(f"{name}.resp")
    assert info.decode(genuine) == INFOS[name]
    assert meaning_of(info.encode(INFOS[name])) == meaning_of(genuine)


@pytest.mark.parametrize("name", ["01-prolog-first", "02-inventory-first", "14-result-success"])
def test_the_genuine_windows_agents_unfinished_stream_is_understood(name: str) -> None:
    xml = xml_of(f"{name}.req")
    packer, stream = zlib.compressobj(), b""
    for at in range(0, len(xml), 32 * 1024):  # as it deflates: in steps, each with a sync flush, and no end
        stream += packer.compress(xml[at : at + 32 * 1024]) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert stream.endswith(b"\x00\x00\xff\xff")
    assert envelope.unpack(stream, LIMIT) == (xml, Form.ZLIB)
