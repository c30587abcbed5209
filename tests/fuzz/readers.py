"""Everything that reads what others wrote, as functions over bytes: a value, or Malformed or Refusal, never more.

A reader here also does with the value what its callers do next, and holds that it reads back as it was written.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.domain import draft, fragments, group, package, recipes, search
from appliance.domain.account import Profile, Role
from appliance.domain.archive import ArchiveLimits, Census, Shape
from appliance.domain.package import Package, PackageId, Payload
from appliance.domain.password import checked_password
from appliance.domain.refusal import Refusal
from appliance.settings import SETTINGS
from appliance.wire import (
    archive,
    backup,
    basic,
    certificate,
    contact,
    envelope,
    info,
    joining,
    manifest,
    markup,
    paths,
)
from appliance.wire.malformed import Malformed

LIMIT = 4 * 1024 * 1024  # bytes that a message may inflate to here
PAYLOAD = Payload(10, 10, 1, "0" * 32, "0" * 64, "zip")
INVENTORY = (
    b"<?xml version='1.0' encoding='UTF-8'?><REQUEST><CONTENT><HARDWARE><NAME>pc</NAME></HARDWARE>"
    b"<BIOS><SSN>1</SSN></BIOS></CONTENT><DEVICEID>pc-2026-01-31-09-30-00</DEVICEID><QUERY>INVENTORY</QUERY></REQUEST>"
)


def _text(data: bytes) -> str:
    """As a form or a command line may hold it: with surrogates for what is no UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def _form(data: bytes) -> dict[str, str]:
    """Lines of `field=value`; \\n in a value is a line break."""
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    return {name: value.replace("\\n", "\n") for name, _, value in pairs}


def _envelope(data: bytes) -> None:
    xml, form = envelope.unpack(data, LIMIT)
    assert len(xml) <= LIMIT
    assert envelope.unpack(envelope.pack(xml, envelope.Form.ZLIB), LIMIT)[0] == xml
    assert form in envelope.Form


def _markup(data: bytes) -> None:
    written = markup.write(markup.read(data))
    assert markup.write(markup.read(written)) == written


def _request(data: bytes) -> None:
    contact.decode_request(data)


def _body(data: bytes) -> None:
    contact.decode_request(envelope.unpack(data, LIMIT)[0])


def _merge(data: bytes) -> None:
    contact.decode_request(data)  # what is no request is never merged
    contact.decode_request(contact.merge_inventory(INVENTORY, data))


def _prolog_reply(data: bytes) -> None:
    reply = contact.decode_prolog_reply(data)
    if reply.tempo is None:  # a server of ours announces nothing then
        return
    assert contact.decode_prolog_reply(contact.encode_reply(reply)) == reply


def _inventory_reply(data: bytes) -> None:
    contact.decode_inventory_reply(data)


def _info(data: bytes) -> None:
    told = info.decode(data)
    assert info.decode(info.encode(told)) == told


def _manifest(data: bytes) -> None:
    told = manifest.decode(data)
    assert manifest.decode(manifest.encode(told)) == told


def _archive(data: bytes) -> None:
    census = Census(ArchiveLimits(members=2_000, total=64 * 1024 * 1024))
    for member, opener in archive.members(io.BytesIO(data)):
        if census.fault(member):
            return
        if member.shape is Shape.FILE and archive.drain(opener) != member.size:
            return


def _backup(data: bytes) -> None:
    told = backup.decode(data)
    assert backup.decode(backup.encode(told)) == told


def _backup_header(data: bytes) -> None:
    assert backup.manifest_size(data[: backup.BLOCK]) >= 0


def _token(data: bytes) -> None:
    told = joining.decode_token(_text(data))
    assert joining.decode_token(joining.encode_token(told)) == told


def _application(data: bytes) -> None:
    joining.decode_application(data)


def _membership(data: bytes) -> None:
    joining.decode_membership(data)


def _authorization(data: bytes) -> None:
    told = basic.decode(data.decode("utf-8", "surrogateescape"))
    if told is None:
        raise Malformed("it is no HTTP Basic")
    assert basic.decode(basic.encode(told)) == told


def _certificate(data: bytes) -> None:
    """Its serial number, from DER; what is no certificate has none."""
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(data).decode()}\n-----END CERTIFICATE-----"
    if not certificate.serial_of(pem):
        raise Malformed("it is no certificate")


def _location(data: bytes) -> None:
    paths.parse_location(_text(data), "location")


def _criterion(data: bytes) -> None:
    asked = search.all_of([search.parse(_text(data))])
    assert search.from_json(search.to_json(asked)) == asked


def _search(data: bytes) -> None:
    asked = search.from_json(_text(data))
    assert search.from_json(search.to_json(asked)) == asked
    group.groups_named(asked)


def _package_form(data: bytes) -> None:
    form = draft.form_values(_form(data))
    recipes.recipe_of(form)
    order = draft.order_of(form, "setup.sh")
    order = package.checked(order, file_format="zip")
    made = package.info_of(Package(PackageId("1795206923"), order, PAYLOAD, 1))
    assert info.decode(info.encode(made)) == made
    assert draft.order_of(draft.form_of(order)) == order


def _user_form(data: bytes) -> None:
    form = _form(data)
    tags = frozenset(form.get("tags", "").split(","))
    Profile(form.get("name", ""), Role.USER, form.get("full_name", ""), tags, form.get("language", "")).checked()
    checked_password(form.get("password", ""), form.get("name", ""))


def _group_form(data: bytes) -> None:
    form = _form(data)
    group.checked_name(form.get("name", ""))
    group.checked_description(form.get("description", ""))


def _setting(data: bytes) -> None:
    """NAME=value, as `config set` takes it."""
    for name, value in _form(data).items():
        for setting in SETTINGS:
            if setting.name == name:
                setting.parse(value)


def _size(data: bytes) -> None:
    fragments.parse_size(_text(data), "size")


@dataclass(frozen=True)
class Reader:
    """One of them: `read` raises Malformed or Refusal, or nothing. `corpus`: the folder of its seeds."""

    name: str
    read: Callable[[bytes], None]
    corpus: str


READERS: Mapping[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader("envelope", _envelope, "envelope"),
        Reader("body", _body, "envelope"),
        Reader("markup", _markup, "xml"),
        Reader("request", _request, "xml"),
        Reader("merge", _merge, "xml"),
        Reader("prolog-reply", _prolog_reply, "xml"),
        Reader("inventory-reply", _inventory_reply, "xml"),
        Reader("info", _info, "xml"),
        Reader("manifest", _manifest, "json"),
        Reader("backup", _backup, "json"),
        Reader("application", _application, "json"),
        Reader("membership", _membership, "json"),
        Reader("search", _search, "json"),
        Reader("backup-header", _backup_header, "archive"),
        Reader("archive", _archive, "archive"),
        Reader("token", _token, "words"),
        Reader("authorization", _authorization, "words"),
        Reader("location", _location, "words"),
        Reader("criterion", _criterion, "words"),
        Reader("size", _size, "words"),
        Reader("certificate", _certificate, "der"),
        Reader("package-form", _package_form, "forms"),
        Reader("user-form", _user_form, "forms"),
        Reader("group-form", _group_form, "forms"),
        Reader("setting", _setting, "forms"),
    )
}


def verdict(reader: Reader, data: bytes) -> str:
    """How a reader ends: `value`, or the one line of a refusal. Anything else that it raises comes through."""
    said = "value"
    try:
        reader.read(data)
    except (Malformed, Refusal) as refused:
        said = str(refused)
    assert said
    return said
