"""A contact: what is sent, what is taken in, in which order. The genuine server's answers are replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.agent.contact import make_contact, next_after, retry_after
from appliance.agent.driver import run_once
from appliance.domain.messages import Pack, PrologReply
from appliance.domain.package import PackageId
from appliance.wire import contact as messages
from tests.agent.kit import FAST, LOCATION, START, Lab, package

CAPTURES = Path(__file__).parent.parent / "golden" / "captures"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "agent")


def test_the_order_is_prolog_info_inventory_downloads(lab: Lab) -> None:
    one = package(data=b"x")
    lab.server.add(one)
    lab.server.inventory_wanted = True
    assert run_once(lab.start())
    assert lab.story == [
        *["prolog", ("info", one.id), "inventory"],
        *[("fetch", one.id, 1), ("perform", one.id), ("told", one.id, "SUCCESS")],
    ]


def test_an_inventory_has_the_checksum_the_tag_and_the_whole_history(lab: Lab) -> None:
    lab.server.add(package(1), package(2))
    world = lab.start()
    assert run_once(world)
    lab.server.inventory_wanted = True
    assert make_contact(world)
    sent = lab.server.inventories[-1]
    assert sent.first("HARDWARE")["NAME"] == "pc1"
    assert sent.checksum is not None
    assert sent.checksum > 0
    assert sent.account == (("TAG", "HERE"),)
    assert set(sent.history) == {package(1).id, package(2).id}
    assert make_contact(world)
    assert lab.server.inventories[-1].checksum == 0  # nothing has changed since


def test_the_checksum_repeats_itself_until_an_inventory_was_accepted(lab: Lab) -> None:
    lab.server.inventory_wanted = True
    world = lab.start()
    real = lab.server.contact

    def refuses(xml: bytes) -> bytes:
        answer = real(xml)
        return b"<no/>" if lab.server.inventories else answer

    lab.server.contact = refuses  # type: ignore[method-assign]
    assert not make_contact(world)
    lab.server.contact = real  # type: ignore[method-assign]
    assert make_contact(world)
    assert lab.server.inventories[0].checksum == lab.server.inventories[1].checksum


def test_what_the_server_says_of_the_account_wins_over_the_own_tag_and_stays(lab: Lab) -> None:
    lab.server.inventory_wanted = True
    lab.server.account = (("TAG", "PARIS"), ("fields_3", "\u00e9t\u00e9"))
    assert make_contact(lab.start())
    lab.server.account = None
    assert make_contact(lab.start())
    assert lab.server.inventories[-1].account == (("TAG", "PARIS"), ("fields_3", "\u00e9t\u00e9"))


def test_force_sends_an_inventory_that_nobody_asked_for(lab: Lab) -> None:
    assert make_contact(lab.start(), force_inventory=True)
    assert len(lab.server.inventories) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"raw_info": b"<html/>"}, "ERR_DOWNLOAD_INFO"),
        ({"raw_info": b"<!DOCTYPE x><DOWNLOAD/>"}, "ERR_DOWNLOAD_INFO"),
        ({"raw_info": package(2).raw_info}, "ERR_BAD_ID"),
        ({"raw_manifest": b"{}"}, "ERR_DOWNLOAD_INFO"),
        ({"raw_manifest": package(2).raw_manifest}, "ERR_DOWNLOAD_INFO"),
        ({"raw_manifest": package(1, data=b"other").raw_manifest}, "ERR_DOWNLOAD_INFO"),
    ],
)
def test_info_that_cannot_be_believed_is_told_not_kept_and_tried_again(
    lab: Lab, change: dict[str, bytes], code: str
) -> None:
    one = package(1)
    good = dict(one.__dict__)
    one.__dict__.update(change)
    other = package(5)
    lab.server.add(one, other)
    assert run_once(lab.start())
    assert lab.results() == {one.id: code, other.id: "SUCCESS"}
    assert lab.leftovers() == []
    one.__dict__.update(good)
    lab.server.finished.clear()
    assert run_once(lab.start())
    assert lab.results()[one.id] == "SUCCESS"


def test_a_package_id_that_is_none_touches_nothing(lab: Lab) -> None:
    evil = [Pack(PackageId(name), LOCATION, LOCATION) for name in ("../../etc", "1", "/abs", "", "1700000001/x")]
    reply = PrologReply(False, 24, True, FAST, tuple(evil))
    lab.server.contact = lambda xml: messages.encode_reply(reply)  # type: ignore[method-assign]
    assert make_contact(lab.start())
    assert lab.leftovers() == []
    assert sorted(path.name for path in (lab.folder / "spool").iterdir()) == ["ballast", "results", "state.json"]


def test_one_package_announced_twice_is_one(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    reply = PrologReply(False, 24, True, FAST, (one.pack, Pack(one.id, "else/where", "else/where")))
    real = lab.server.contact
    lab.server.contact = lambda xml: (  # type: ignore[method-assign]
        messages.encode_reply(reply) if b"PROLOG" in xml else real(xml)
    )
    assert make_contact(lab.start())
    assert lab.story == [("info", one.id)]


def test_a_new_fragment_location_is_taken_over(lab: Lab) -> None:
    one = package(data=b"x")
    world = lab.take_in(one)
    one.pack = Pack(one.id, LOCATION, "new.example.org/download", "2027/01/01 10:00", "REBOOT")
    assert make_contact(world)
    assert lab.start().spool.holdings[one.id].record.pack == one.pack


def test_failed_contacts_are_tried_again_ever_later_and_at_most_an_hour(lab: Lab) -> None:
    lab.server.down = True
    world = lab.start()
    waits = []
    for _ in range(8):
        assert not make_contact(world)
        waits.append(world.memory.next_contact - START)
    assert waits == [225, 450, 900, 1800, 2700, 2700, 2700, 2700]
    lab.server.down = False
    assert make_contact(world)
    assert (world.memory.failures, world.memory.trouble) == (0, "")


def test_waiting_times_are_spread() -> None:
    assert [retry_after(1, chance) for chance in (0.0, 0.5, 0.999)] == [150, 225, 299]
    assert retry_after(1000, 0.999) < 3600
    assert [next_after(24, first=True, chance=chance) for chance in (0.0, 0.999)] == [8640, 86322]
    assert next_after(24, first=False, chance=0.3) == 86400


def test_the_genuine_servers_announcements_are_understood() -> None:
    found = sorted(CAPTURES.glob("*prolog-packages.resp.xml"))
    for path in found:
        reply = messages.decode_prolog_reply(path.read_bytes())
        assert reply.inventory_wanted
        assert reply.tempo is not None
        assert reply.tempo.on
        assert len(reply.packs) == 10
        assert all(len(pack.package) == 10 for pack in reply.packs)
    assert found


# What is sent of the inventory


DRIVE, USB, SOFTWARE = ("DRIVES", {"TYPE": "/"}), ("USBDEVICES", {"CAPTION": "x"}), ("SOFTWARES", {"NAME": "bash"})


def names(lab: Lab) -> list[str]:
    """The sections of the inventory that was sent last."""
    return [name for name, _ in lab.server.inventories[-1].sections]


@pytest.fixture
def inventoried(lab: Lab) -> Lab:
    """Our server has a whole inventory of this computer."""
    lab.sections += [DRIVE, USB, SOFTWARE]
    lab.server.inventory_wanted = True
    assert make_contact(lab.start())
    assert names(lab) == ["HARDWARE", "DRIVES", "USBDEVICES", "SOFTWARES"]
    return lab


def test_only_what_changed_is_sent_to_our_server_with_its_bits(inventoried: Lab) -> None:
    lab = inventoried
    assert make_contact(lab.start())
    assert names(lab) == ["HARDWARE"]
    assert lab.server.inventories[-1].checksum == 0
    lab.sections[3] = ("SOFTWARES", {"NAME": "zsh"})
    assert make_contact(lab.start())
    assert names(lab) == ["HARDWARE", "SOFTWARES"]
    assert lab.server.inventories[-1].checksum == 65536


def test_a_section_of_which_nothing_is_left_is_sent_empty(inventoried: Lab) -> None:
    lab = inventoried
    lab.sections.remove(USB)
    assert make_contact(lab.start())
    assert lab.server.inventories[-1].rows("USBDEVICES") == [{}]
    assert lab.server.inventories[-1].checksum == 2097152
    assert make_contact(lab.start())
    assert names(lab) == ["HARDWARE"]


@pytest.mark.parametrize(
    "why", ["genuine", "forced", "another server", "another device id", "a week", "clock set back"]
)
def test_everything_is_sent_where_the_server_might_not_have_it(inventoried: Lab, why: str) -> None:
    lab = inventoried
    world = lab.start()
    if why == "genuine":
        lab.server.is_genuine = True
    elif why == "another server":
        lab.server.server = "http://other.example.org/ocsinventory"
    elif why == "another device id":
        world.host_name = "renamed"
    elif why == "a week":
        lab.clock.time += 8 * 24 * 3600
    elif why == "clock set back":
        lab.clock.time -= 24 * 3600
    assert make_contact(world, force_inventory=why == "forced")
    assert len(names(lab)) == 4
    all_bits = lab.server.inventories[-1].checksum == lab.server.inventories[0].checksum
    assert all_bits is (why != "genuine")  # a genuine server keeps what the bits do not name


def test_an_inventory_that_was_not_accepted_is_sent_again(inventoried: Lab) -> None:
    lab = inventoried
    world = lab.start()
    lab.sections[1] = ("DRIVES", {"TYPE": "/home"})
    real = lab.server.contact
    lab.server.contact = lambda xml: b"<no/>" if b"INVENTORY" in xml else real(xml)  # type: ignore[method-assign]
    assert not make_contact(world)
    lab.server.contact = real  # type: ignore[method-assign]
    assert make_contact(lab.start())
    assert names(lab) == ["HARDWARE", "DRIVES"]


def test_the_rest_is_loaded_after_the_prolog_and_before_anything_of_a_package(lab: Lab) -> None:
    one = package()
    lab.server.add(one)
    world = lab.start()
    world.load = lambda: lab.story.append("load")
    assert make_contact(world)
    assert lab.story == ["prolog", "load", ("info", one.id)]
