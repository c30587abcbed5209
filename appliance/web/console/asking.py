"""Searches as forms: rows of field, operator and value in an address, and back; and how all of these are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.domain.refusal import Refusal
from appliance.domain.search import (
    FIELDS,
    LONELY,
    OPERATORS,
    PRESETS,
    Criterion,
    FieldKind,
    Operator,
    Search,
    checked_search,
    field_named,
    kind_of,
    operators_of,
)
from appliance.web.console.forms import Form
from appliance.web.console.words import N_

FIELD_NAMES: Mapping[str, str] = {
    "NAME": N_("Computer name"),
    "DEVICEID": N_("DEVICEID"),
    "TAG": N_("TAG"),
    "OSNAME": N_("Operating system"),
    "OSVERSION": N_("Version of the operating system"),
    "OSCOMMENTS": N_("Service pack or kernel"),
    "WORKGROUP": N_("Workgroup"),
    "USERDOMAIN": N_("Domain of the user"),
    "USERID": N_("User logged in"),
    "DESCRIPTION": N_("Description"),
    "IPADDR": N_("IP address"),
    "UUID": N_("UUID"),
    "ARCH": N_("Architecture"),
    "PROCESSORT": N_("Processor"),
    "PROCESSORN": N_("Number of processors"),
    "PROCESSORS": N_("Processor speed (MHz)"),
    "MEMORY": N_("Memory (MB)"),
    "SWAP": N_("Swap (MB)"),
    "SMANUFACTURER": N_("Manufacturer"),
    "SMODEL": N_("Model"),
    "SSN": N_("Serial number"),
    "BVERSION": N_("BIOS version"),
    "USERAGENT": N_("Agent"),
    "ADDRESS": N_("Address of the last contact"),
    "FIRSTSEEN": N_("First contact"),
    "LASTCONTACT": N_("Last contact"),
    "LASTINVENTORY": N_("Last inventory"),
    "SOFTWARE": N_("Software name"),
    "SOFTWAREVERSION": N_("Software version"),
    "SOFTWAREPUBLISHER": N_("Software publisher"),
    "SOFTWARERELEASE": N_("Software and version (name|version)"),
    "MACADDR": N_("MAC address"),
    "IPADDRESS": N_("IP address of any interface"),
    "IPSUBNET": N_("Network"),
    "GROUP": N_("Group"),
    "PACKAGE": N_("Package and status (id status)"),
}

# What else inventories usually have; any other SECTION.FIELD can be typed.
INVENTORY_FIELDS = (
    "BATTERIES.NAME", "BIOS.ASSETTAG", "BIOS.BDATE", "BIOS.TYPE", "CONTROLLERS.NAME", "CPUS.TYPE", "DRIVES.FILESYSTEM",
    "DRIVES.FREE", "DRIVES.TOTAL", "DRIVES.TYPE", "HARDWARE.DEFAULTGATEWAY", "HARDWARE.DNS", "HARDWARE.WINPRODID",
    "INPUTS.CAPTION", "MEMORIES.CAPACITY", "MEMORIES.TYPE", "MONITORS.CAPTION", "MONITORS.SERIAL",
    "NETWORKS.DESCRIPTION",
    "NETWORKS.SPEED", "NETWORKS.STATUS", "PORTS.NAME", "PRINTERS.DRIVER", "PRINTERS.NAME", "SLOTS.NAME",
    "SOUNDS.NAME", "STORAGES.DISKSIZE", "STORAGES.MODEL", "STORAGES.SERIALNUMBER", "USBDEVICES.NAME", "VIDEOS.CHIPSET",
    "VIDEOS.NAME", "VIRTUALMACHINES.NAME",
)  # fmt: skip

OPERATOR_NAMES: Mapping[Operator, str] = {
    Operator.EQUAL: N_("is"),
    Operator.LIKE: N_("contains"),
    Operator.DIFFERENT: N_("does not contain"),
    Operator.DOESNTCONTAIN: N_("is there and does not contain"),
    Operator.HAVING: N_("has exactly"),
    Operator.NOTHAVING: N_("does not have exactly"),
    Operator.MORE: N_("more than"),
    Operator.LESS: N_("less than"),
    Operator.MORETHANXDAY: N_("more than this many days ago"),
    Operator.LESSTHANXDAY: N_("less than this many days ago"),
    Operator.BELONG: N_("belongs to"),
    Operator.DONTBELONG: N_("does not belong to"),
    Operator.ISNULL: N_("is empty"),
    Operator.ISNOTEMPTY: N_("is not empty"),
}


@dataclass(frozen=True)
class Row:
    """One line of the form. `joined`: how it goes on from the line before, "and" or "or"."""

    field: str
    operator: str
    value: str
    joined: str = "and"


@dataclass(frozen=True)
class Asking:
    """The form: its lines, what may be chosen, and what was wrong."""

    rows: tuple[Row, ...]
    fields: tuple[str, ...]  # beside FIELDS: of the inventory, of accounts, and those that were typed
    fault: str = ""


def rows_of(form: Form) -> tuple[Row, ...]:
    """The lines in a form's f, o, v and j; a preset and a field that was typed add one, `drop` takes one away."""
    parts = (form.many("f"), form.many("o"), form.many("v"), form.many("j"))
    longest = max(map(len, parts))
    padded = [(*values, *[""] * (longest - len(values))) for values in parts]
    rows = [
        Row(field_named(f), o, v.strip(), "or" if j == "or" else "and") for f, o, v, j in zip(*padded, strict=True) if f
    ]
    preset = dict(PRESETS).get(form.text("preset"))
    if preset:
        rows = [*(row for row in rows if row.value or row.operator in LONELY), _row(preset)]
    typed = form.text("typed")
    if typed and kind_of(field_named(typed)):
        rows.append(Row(field_named(typed), Operator.LIKE.value, ""))
    elif form.ticked("add"):
        rows.append(Row("SOFTWARE", Operator.LIKE.value, ""))
    drop = form.text("drop")
    if drop.isascii() and drop.isdigit() and int(drop) < len(rows):
        del rows[int(drop)]
    return tuple(rows)


def rows_for(search: Search) -> tuple[Row, ...]:
    """The lines that show a search."""
    rows: list[Row] = []
    for alternative in search:
        for place, criterion in enumerate(alternative):
            rows.append(_row(criterion, "or" if place == 0 and rows else "and"))
    return tuple(rows)


def search_of(rows: Sequence[Row]) -> Search:
    """The search in lines: "and" binds more tightly than "or"; lines without a value yet say nothing.

    Raises Refusal.
    """
    alternatives: list[list[Criterion]] = [[]]
    for row in rows:
        operator = Operator.__members__.get(row.operator) or next(iter(operators_of(row.field)), Operator.EQUAL)
        if not row.value and operator not in LONELY:
            continue
        if row.joined == "or" and alternatives[-1]:
            alternatives.append([])
        alternatives[-1].append(Criterion(row.field, operator, row.value))
    return checked_search([some for some in alternatives if some])


def asking(rows: tuple[Row, ...], account: Iterable[str], refusal: str = "") -> Asking:
    """The form for lines; an empty one has a first line to fill."""
    shown = rows or (Row("OSNAME", Operator.LIKE.value, ""),)
    others = [*INVENTORY_FIELDS, *(f"ACCOUNT.{key}" for key in account)]
    others += [row.field for row in shown if row.field not in FIELDS and row.field not in others]
    return Asking(shown, tuple(others), refusal)


def pairs(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """The lines as parts of an address."""
    return [
        pair for row in rows for pair in (("f", row.field), ("o", row.operator), ("v", row.value), ("j", row.joined))
    ]


def operators_by_field(others: Iterable[str]) -> dict[str, list[str]]:
    """What may be asked of each field, for the browser to offer only that."""
    kinds = {kind: [operator.value for operator in operators] for kind, operators in OPERATORS.items()}
    return {field: kinds[kind_of(field) or FieldKind.TEXT] for field in (*FIELDS, *others)}


def try_search(rows: Sequence[Row]) -> tuple[Search, Refusal | None]:
    """The search in lines, or everything and what was wrong."""
    try:
        return search_of(rows), None
    except Refusal as refusal:
        return (), refusal


def _row(criterion: Criterion, joined: str = "and") -> Row:
    return Row(criterion.field, criterion.operator.value, criterion.value, joined)
