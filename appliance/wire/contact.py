"""Prolog, inventory, result and progress: requests and replies, both directions. Source: protocol.md 2, 3 and 8.

PROGRESS is ours alone: no genuine agent sends it, and genuine servers must never be sent it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    Request,
    Section,
    is_device_id,
)
from appliance.domain.package import PackageId
from appliance.domain.tempo import Tempo
from appliance.wire import markup
from appliance.wire.malformed import Malformed
from appliance.wire.markup import Element, scalar

LONGEST_FIELD = 64 * 1024
MOST_HISTORY = 10_000
POLITE = frozenset({"NOTIFY", "SNMP", "UPDATE"})

_INVISIBLE = ("ACCOUNTINFO", "DOWNLOAD", "OLD_DEVICEID")  # content that is no section


def decode_request(xml: bytes, limits: markup.MarkupLimits | None = None) -> Request:
    """The Request in uncompressed XML. Raises Malformed for everything that is not one."""
    root = markup.read(xml, limits)
    if root.tag != "REQUEST":
        raise Malformed("the message's root element is not REQUEST")
    query = scalar(root, "QUERY").upper()
    device_id = scalar(root, "DEVICEID")
    if query == "UPDATE":
        return Other(device_id[:255], query)
    if query not in ("PROLOG", "INVENTORY", "DOWNLOAD", "PROGRESS", *POLITE):
        raise Malformed("the message's QUERY is missing or not known")
    if not is_device_id(device_id):
        raise Malformed("the message's DEVICEID is not NAME-YYYY-MM-DD-hh-mm-ss")
    if query == "PROLOG":
        return Prolog(DeviceId(device_id))
    if query == "DOWNLOAD":
        return Report(DeviceId(device_id), scalar(root, "ID")[:32], scalar(root, "ERR"))
    if query == "PROGRESS":
        return Progress(DeviceId(device_id), scalar(root, "ID")[:32], _number(root, "FETCHED", 0))
    if query == "INVENTORY":
        return _inventory(root, DeviceId(device_id), xml)
    return Other(device_id, query)


def encode_prolog(device_id: DeviceId) -> bytes:
    """The uncompressed PROLOG request."""
    return markup.write(_request(device_id, "PROLOG"))


def encode_report(report: Report) -> bytes:
    """The uncompressed DOWNLOAD request that reports one result."""
    attributes = {"DEVICEID": report.device_id, "QUERY": "DOWNLOAD", "ID": report.package, "ERR": report.code}
    return markup.write(Element("REQUEST", {name: markup.clean(value) for name, value in attributes.items()}))


def encode_progress(progress: Progress) -> bytes:
    """The uncompressed PROGRESS request."""
    root = _request(progress.device_id, "PROGRESS")
    _child(root, "ID", progress.package)
    _child(root, "FETCHED", str(progress.fetched))
    return markup.write(root)


def encode_inventory(
    device_id: DeviceId,
    sections: Iterable[Section],
    *,
    account: Iterable[tuple[str, str]] = (),
    history: Iterable[PackageId] = (),
) -> bytes:
    """The uncompressed INVENTORY request; CHECKSUM travels as a field of HARDWARE."""
    root = Element("REQUEST")
    content = _child(root, "CONTENT")
    for name, fields in sections:
        section = _child(content, name)
        for field, value in fields.items():
            _child(section, field, value)
    for key, value in account:
        row = _child(content, "ACCOUNTINFO")
        _child(row, "KEYNAME", key)
        _child(row, "KEYVALUE", value)
    installed = _child(_child(content, "DOWNLOAD"), "HISTORY")
    for package in history:
        installed.append(Element("PACKAGE", {"ID": package}))
    _child(root, "DEVICEID", device_id)
    _child(root, "QUERY", "INVENTORY")
    return markup.write(root)


def merge_inventory(old_xml: bytes, new_xml: bytes, limits: markup.MarkupLimits | None = None) -> bytes:
    """The new inventory with those sections of the old one that the new one does not have.

    A section absent from the message keeps what was known (protocol.md 2.3). Returns new_xml as it is when nothing
    is missing in it.
    """
    old_root, new_root = markup.read(old_xml, limits), markup.read(new_xml, limits)
    old_content, new_content = old_root.find("CONTENT"), new_root.find("CONTENT")
    if old_content is None or new_content is None:
        return new_xml
    present = {child.tag for child in new_content}
    kept = [child for child in old_content if child.tag not in present and child.tag not in _INVISIBLE]
    if not kept:
        return new_xml
    new_content.extend(kept)
    return markup.write(new_root)


def section_names(inventory: Inventory) -> tuple[str, ...]:
    """The names of the sections in an inventory, each once, sorted."""
    return tuple(sorted({name for name, _ in inventory.sections}))


def encode_reply(reply: PrologReply | InventoryReply) -> bytes:
    """The uncompressed REPLY."""
    root = Element("REPLY")
    if isinstance(reply, InventoryReply):
        _child(root, "RESPONSE", "NO_ACCOUNT_UPDATE" if reply.account is None else "ACCOUNT_UPDATE")
        for key, value in reply.account or ():
            row = _child(root, "ACCOUNTINFO")
            _child(row, "KEYNAME", key)
            _child(row, "KEYVALUE", value)
        return markup.write(root)
    _child(root, "RESPONSE", "SEND" if reply.inventory_wanted else "STOP")
    _child(root, "PROLOG_FREQ", str(max(1, reply.prolog_hours)))
    _child(root, "INVENTORY_ON_STARTUP", "1" if reply.on_startup else "0")
    if reply.tempo is not None:
        option = _child(root, "OPTION")
        _child(option, "NAME", "DOWNLOAD")
        option.append(Element("PARAM", _conf(reply.tempo)))
        for pack in reply.packs:
            option.append(Element("PARAM", _pack(pack)))
    return markup.write(root)


def encode_no_update() -> bytes:
    """The uncompressed answer to UPDATE."""
    root = Element("REPLY")
    _child(root, "RESPONSE", "NO_UPDATE")
    return markup.write(root)


def decode_prolog_reply(xml: bytes) -> PrologReply:
    """The answer to a PROLOG, from our server or a genuine one: any order, values as attributes or elements.

    Raises Malformed where it is no REPLY at all; what is missing takes the genuine Windows agent's defaults.
    """
    root = markup.read(xml, markup.MarkupLimits(depth=16, elements=20_000, attributes=200_000))
    if root.tag != "REPLY":
        raise Malformed("the answer's root element is not REPLY")
    tempo: Tempo | None = None
    packs: list[Pack] = []
    for option in root.findall("OPTION"):
        if scalar(option, "NAME") != "DOWNLOAD":
            continue
        for param in option.findall("PARAM"):
            if scalar(param, "TYPE") == "CONF" or (not scalar(param, "TYPE") and scalar(param, "ON")):
                tempo = _read_conf(param)
            elif re.fullmatch(r"[0-9]{1,20}", scalar(param, "ID")):  # all else may be a path
                packs.append(_read_pack(param))
    return PrologReply(
        inventory_wanted=scalar(root, "RESPONSE") == "SEND",
        prolog_hours=_number(root, "PROLOG_FREQ", 24, low=1),
        on_startup=scalar(root, "INVENTORY_ON_STARTUP") != "0",
        tempo=tempo,
        packs=tuple(packs),
    )


def decode_inventory_reply(xml: bytes) -> InventoryReply:
    """The answer to an INVENTORY. Raises Malformed where it is no REPLY."""
    root = markup.read(xml, markup.MarkupLimits(depth=16, elements=20_000))
    if root.tag != "REPLY":
        raise Malformed("the answer's root element is not REPLY")
    if scalar(root, "RESPONSE") != "ACCOUNT_UPDATE":
        return InventoryReply(None)
    return InventoryReply(tuple(_account_rows(root)))


def _inventory(root: Element, device_id: DeviceId, xml: bytes) -> Inventory:
    content = root.find("CONTENT")
    if content is None:
        raise Malformed("the inventory has no CONTENT")
    history = content.find("DOWNLOAD/HISTORY")
    installed: dict[PackageId, None] = {}
    for package in history if history is not None else ():
        if package.tag == "PACKAGE" and len(installed) < MOST_HISTORY:
            installed[PackageId((scalar(package, "ID") or (package.text or "").strip())[:32])] = None
    old = scalar(content, "OLD_DEVICEID") or scalar(root, "OLD_DEVICEID")
    if not old and history is not None:
        old = scalar(history, "OLD_DEVICEID")  # where the genuine Windows agent puts it (checklist 17)
    sections = tuple((child.tag, _fields(child)) for child in content if child.tag not in _INVISIBLE)
    hardware = content.find("HARDWARE")
    checksum = scalar(hardware, "CHECKSUM") if hardware is not None else ""
    return Inventory(
        device_id=device_id,
        sections=sections,
        old_device_id=old if is_device_id(old) and old != device_id else "",
        checksum=int(checksum) if re.fullmatch(r"[0-9]{1,9}", checksum) else None,
        account=tuple(_account_rows(content)),
        history=tuple(package for package in installed if package),
        xml=xml,
    )


def _fields(row: Element) -> dict[str, str]:
    values = {**row.attrib, **{field.tag: field.text or "" for field in row}}
    return {name: value.strip()[:LONGEST_FIELD] for name, value in values.items()}


def _account_rows(parent: Element) -> list[tuple[str, str]]:
    rows = [(scalar(row, "KEYNAME"), scalar(row, "KEYVALUE")) for row in parent.findall("ACCOUNTINFO")]
    return [(key[:255], value[:255]) for key, value in rows if key][:100]


def _request(device_id: DeviceId, query: str) -> Element:
    root = Element("REQUEST")
    _child(root, "DEVICEID", device_id)
    _child(root, "QUERY", query)
    return root


def _child(parent: Element, tag: str, text: str = "") -> Element:
    element = Element(tag)
    if text:
        element.text = markup.clean(text)
    parent.append(element)
    return element


def _conf(tempo: Tempo) -> dict[str, str]:
    return {
        "TYPE": "CONF",
        "ON": "1" if tempo.on else "0",
        "CYCLE_LATENCY": str(tempo.cycle_latency),
        "FRAG_LATENCY": str(tempo.frag_latency),
        "PERIOD_LATENCY": str(tempo.period_latency),
        "PERIOD_LENGTH": str(tempo.period_length),
        "TIMEOUT": str(tempo.timeout_days),
        "EXECUTION_TIMEOUT": str(tempo.execution_timeout_minutes),
    }


def _pack(pack: Pack) -> dict[str, str]:
    values = {
        "TYPE": "PACK",
        "ID": pack.package,
        "INFO_LOC": pack.info_location,
        "PACK_LOC": pack.fragment_location,
        "CERT_PATH": "INSTALL_PATH",
        "CERT_FILE": "INSTALL_PATH/cacert.pem",
        "SCHEDULE": pack.schedule,
        "POSTCMD": pack.post_command,
        "FORCE": "1" if pack.force else "0",
    }
    return {name: markup.clean(value) for name, value in values.items()}


def _read_conf(param: Element) -> Tempo:
    return Tempo(
        on=scalar(param, "ON") != "0",
        cycle_latency=_number(param, "CYCLE_LATENCY", 10),
        frag_latency=_number(param, "FRAG_LATENCY", 10),
        period_latency=_number(param, "PERIOD_LATENCY", 0),
        period_length=_number(param, "PERIOD_LENGTH", 10, low=1),
        timeout_days=_number(param, "TIMEOUT", 30, low=1),
        execution_timeout_minutes=_number(param, "EXECUTION_TIMEOUT", 120, low=1),
    )


def _read_pack(param: Element) -> Pack:
    return Pack(
        package=PackageId(scalar(param, "ID")),
        info_location=scalar(param, "INFO_LOC"),
        fragment_location=scalar(param, "PACK_LOC"),
        schedule=scalar(param, "SCHEDULE"),
        post_command=scalar(param, "POSTCMD"),
        force=scalar(param, "FORCE") == "1",
    )


def _number(element: Element, name: str, default: int, *, low: int = 0) -> int:
    text = scalar(element, name)
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return default
    return max(low, int(text))
