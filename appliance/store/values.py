"""Inventory values that are searched by SECTION.FIELD: each kept once, and which computer said which.

Not here: what has a table or column of its own (softwares, network addresses, the computer's columns).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from appliance.domain.computer import ComputerId
from appliance.domain.messages import Section
from appliance.domain.search import NO_VALUES, FieldKind, kind_of
from appliance.store.database import Tx

LONGEST = 255
MOST = 3000  # values of one computer

# new at every inventory and looked for by nobody: they would be written again and again
_NOISE = {
    "HARDWARE": frozenset(["CHECKSUM", "ETIME", "FIDELITY", "QUALITY"]),
    "RUNNINGPROCESSES": frozenset(["PID", "CPUUSAGE", "PROCESSMEMORY", "STARTED", "VIRTUALMEMORY"]),
}

Value = tuple[str, str, str]  # section, field, value


def searchable(sections: Iterable[Section]) -> set[Value]:
    """What of an inventory can be searched by SECTION.FIELD; names in upper case, the first MOST values."""
    found: set[Value] = set()
    wanted: dict[tuple[str, str], bool] = {}
    for section, fields in sections:
        if section in NO_VALUES:
            continue
        for field, value in fields.items():
            if not value:
                continue
            key = (section, field)
            if key not in wanted:
                wanted[key] = _is_wanted(section.upper(), field.upper())
            if wanted[key]:
                found.add((section.upper(), field.upper(), value[:LONGEST]))
                if len(found) == MOST:
                    return found
    return found


def _is_wanted(section: str, field: str) -> bool:
    return kind_of(f"{section}.{field}") is FieldKind.INVENTORY and field not in _NOISE.get(section, ())


async def put_values(tx: Tx, computer: ComputerId, values: Collection[Value], sections: Iterable[str]) -> None:
    """Replace what a computer said in these sections; only differences are written.

    A value that nobody says any more goes by itself (a trigger of the schema), also where a computer is deleted.
    """
    said = {section.upper() for section in sections}
    rows = await tx.rows(
        "SELECT v.id, v.section, v.field, v.value FROM inventory_said s CROSS JOIN inventory_value v "
        "WHERE s.computer_id = ? AND v.id = s.value_id",
        (computer,),
    )
    have = {(row[1], row[2], row[3]): row[0] for row in rows}
    wanted = set(values)
    gone = [(computer, have[value]) for value in have.keys() - wanted if value[0] in said]
    new = sorted(wanted - have.keys())
    await tx.many("INSERT OR IGNORE INTO inventory_value (section, field, value) VALUES (?, ?, ?)", new)
    await tx.many(
        "INSERT OR IGNORE INTO inventory_said (computer_id, value_id) "
        "SELECT ?, id FROM inventory_value WHERE section = ? AND field = ? AND value = ?",
        ((computer, *value) for value in new),
    )
    await tx.many("DELETE FROM inventory_said WHERE computer_id = ? AND value_id = ?", gone)
