"""Computers: who they are, what their last inventory said, what was changed for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import zstandard

from appliance.domain.computer import Computer, ComputerId
from appliance.domain.messages import DeviceId
from appliance.store.database import Row, Tx

BIOS = ("smanufacturer", "smodel", "ssn", "bversion")
NUMBERS = ("processorn", "processors", "memory", "swap")
HARDWARE = (
    "workgroup", "userdomain", "osname", "osversion", "oscomments", "userid", "description", "ipaddr", "uuid",
    "arch", "processort", *NUMBERS,
)  # fmt: skip
TEXTS = tuple(column for column in (*HARDWARE, *BIOS) if column not in NUMBERS)
LARGEST_NUMBER = 2**62
LEVEL = 9  # an inventory is written once a day and read seldom
LARGEST_XML = 1024**3


async def find(tx: Tx, device_id: str) -> Computer | None:
    """The computer with exactly that DEVICEID."""
    row = await tx.row("SELECT * FROM computer WHERE device_id = ?", (device_id,))
    return computer_of(row) if row else None


async def named(tx: Tx, name: str) -> list[Computer]:
    """The computers of that name or DEVICEID, last seen first."""
    rows = await tx.rows(
        "SELECT * FROM computer WHERE name = ? COLLATE NOCASE OR device_id = ? ORDER BY last_contact DESC, id",
        (name, name),
    )
    return [computer_of(row) for row in rows]


async def add(tx: Tx, device_id: DeviceId, name: str, tag: str) -> ComputerId:
    """A computer that was never seen before."""
    return ComputerId(
        await tx.insert(
            "INSERT INTO computer (device_id, name, tag, user_agent, address, first_seen, last_contact) "
            "VALUES (?, ?, ?, '', '', ?, ?)",
            (device_id, name, tag, tx.now, tx.now),
        )
    )


async def seen(tx: Tx, computer: ComputerId, user_agent: str, address: str) -> None:
    """Note a contact."""
    await tx.run(
        "UPDATE computer SET last_contact = ?, user_agent = ?, address = ? WHERE id = ?",
        (tx.now, user_agent, address, computer),
    )


async def rename(tx: Tx, computer: ComputerId, device_id: DeviceId) -> None:
    """The computer goes by a new DEVICEID from now on."""
    await tx.run("UPDATE computer SET device_id = ? WHERE id = ?", (device_id, computer))


async def absorb(tx: Tx, survivor: ComputerId, twin: ComputerId) -> None:
    """One computer twice: what was affected to, set for, and known of the twin moves over, then the twin goes."""
    for sql in (
        "UPDATE OR IGNORE affectation SET computer_id = ? WHERE computer_id = ?",
        "UPDATE OR IGNORE override SET computer_id = ? WHERE computer_id = ?",
        "UPDATE OR IGNORE account SET computer_id = ? WHERE computer_id = ?",
        "UPDATE OR IGNORE membership SET computer_id = ? WHERE computer_id = ?",
        "UPDATE event SET computer_id = ? WHERE computer_id = ?",
    ):
        await tx.run(sql, (survivor, twin))
    await remove(tx, twin)


async def remove(tx: Tx, computer: ComputerId) -> None:
    """Take a computer away with all that hangs on it."""
    await tx.run("DELETE FROM computer WHERE id = ?", (computer,))


async def put_inventory(
    tx: Tx,
    computer: ComputerId,
    *,
    name: str,
    facts: Mapping[str, str],
    sections: Iterable[str],
    packed: bytes,
    size: int,
) -> None:
    """The columns and the whole XML of an accepted inventory. `facts` has upper-case field names; others stay."""
    columns: dict[str, str | int | None] = {}
    for column in TEXTS:
        if column.upper() in facts:
            columns[column] = facts[column.upper()][:1024]
    for column in NUMBERS:
        text = facts.get(column.upper())
        if text is not None:
            columns[column] = min(int(text[:20]), LARGEST_NUMBER) if text.isascii() and text.isdigit() else None
    columns |= {"name": name, "last_inventory": tx.now, "sections": " ".join(sections)}
    await tx.run(
        f"UPDATE computer SET {', '.join(f'{column} = ?' for column in columns)} WHERE id = ?",
        (*columns.values(), computer),
    )
    await tx.run(
        "INSERT OR REPLACE INTO inventory (computer_id, received_at, size, xml) VALUES (?, ?, ?, ?)",
        (computer, tx.now, size, packed),
    )


def pack_xml(xml: bytes) -> bytes:
    """XML as it lies in the database; slow enough to be done outside a transaction."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(xml)


async def inventory_xml(tx: Tx, computer: ComputerId) -> bytes | None:
    """The XML of the last accepted inventory, uncompressed."""
    packed = await tx.value("SELECT xml FROM inventory WHERE computer_id = ?", (computer,))
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=LARGEST_XML) if packed else None


async def put_softwares(tx: Tx, computer: ComputerId, titles: set[tuple[str, str, str]]) -> None:
    """Replace a computer's softwares, (name, version, publisher) each; only differences are written."""
    rows = await tx.rows(
        "SELECT s.id, s.name, s.version, s.publisher FROM installed JOIN software s ON s.id = software_id "
        "WHERE computer_id = ?",
        (computer,),
    )
    have = {(row["name"], row["version"], row["publisher"]): row["id"] for row in rows}
    gone = [(computer, have[title]) for title in have.keys() - titles]
    new = sorted(titles - have.keys())
    await tx.many("DELETE FROM installed WHERE computer_id = ? AND software_id = ?", gone)
    await tx.many("INSERT OR IGNORE INTO software (name, version, publisher) VALUES (?, ?, ?)", new)
    await tx.many(
        "INSERT OR IGNORE INTO installed (computer_id, software_id) "
        "SELECT ?, id FROM software WHERE name = ? AND version = ? AND publisher = ?",
        ((computer, *title) for title in new),
    )


async def put_networks(tx: Tx, computer: ComputerId, rows: Sequence[tuple[str, str, str]]) -> None:
    """Replace a computer's network rows: MAC address, IP address, subnet."""
    await tx.run("DELETE FROM network WHERE computer_id = ?", (computer,))
    await tx.many(
        "INSERT INTO network (computer_id, macaddr, ipaddress, ipsubnet) VALUES (?, ?, ?, ?)",
        ((computer, *row) for row in rows),
    )


async def put_history(tx: Tx, computer: ComputerId, packages: Sequence[str]) -> None:
    """Replace the packages that a computer reports as installed."""
    await tx.run("DELETE FROM history WHERE computer_id = ?", (computer,))
    await tx.many(
        "INSERT OR IGNORE INTO history (computer_id, package_id) VALUES (?, ?)",
        ((computer, p) for p in packages),
    )


async def history(tx: Tx, computer: ComputerId) -> frozenset[str]:
    """The packages that a computer reported as installed."""
    rows = await tx.rows("SELECT package_id FROM history WHERE computer_id = ?", (computer,))
    return frozenset(row[0] for row in rows)


async def account(tx: Tx, computer: ComputerId) -> dict[str, str]:
    """The account values kept for a computer; TAG is always among them."""
    tag = await tx.value("SELECT tag FROM computer WHERE id = ?", (computer,))
    rows = await tx.rows("SELECT key, value FROM account WHERE computer_id = ? ORDER BY key", (computer,))
    return {"TAG": tag, **{row["key"]: row["value"] for row in rows}}


async def accounts_of(tx: Tx, computers: Sequence[ComputerId]) -> dict[ComputerId, dict[str, str]]:
    """The account values kept for these computers but for TAG, by computer."""
    result: dict[ComputerId, dict[str, str]] = {}
    for row in await tx.rows(
        "SELECT computer_id, key, value FROM account WHERE computer_id IN (SELECT value FROM json_each(?))",
        (json.dumps(computers),),
    ):
        result.setdefault(ComputerId(row[0]), {})[row[1]] = row[2]
    return result


async def account_keys(tx: Tx) -> list[str]:
    """The names of all account values that any computer has, but for TAG."""
    return [row[0] for row in await tx.rows("SELECT DISTINCT key FROM account ORDER BY key COLLATE NOCASE")]


async def put_account(tx: Tx, computer: ComputerId, key: str, value: str) -> None:
    """Keep an account value other than TAG; an empty one is forgotten."""
    if not value:
        await tx.run("DELETE FROM account WHERE computer_id = ? AND key = ?", (computer, key))
        return
    await tx.run("INSERT OR REPLACE INTO account (computer_id, key, value) VALUES (?, ?, ?)", (computer, key, value))


async def put_tag(tx: Tx, computer: ComputerId, tag: str) -> None:
    """Change a computer's TAG."""
    await tx.run("UPDATE computer SET tag = ? WHERE id = ?", (tag, computer))


async def overrides(tx: Tx, computer: ComputerId) -> dict[str, int]:
    """The settings that were changed for this computer alone."""
    rows = await tx.rows("SELECT name, value FROM override WHERE computer_id = ?", (computer,))
    return {row["name"]: row["value"] for row in rows}


async def overrides_of(tx: Tx, computers: Sequence[ComputerId]) -> dict[ComputerId, dict[str, int]]:
    """The settings that were changed for these computers, by computer."""
    result: dict[ComputerId, dict[str, int]] = {}
    for row in await tx.rows(
        "SELECT computer_id, name, value FROM override WHERE computer_id IN (SELECT value FROM json_each(?))",
        (json.dumps(computers),),
    ):
        result.setdefault(ComputerId(row[0]), {})[row[1]] = row[2]
    return result


async def override_counts(tx: Tx) -> dict[str, int]:
    """For how many computers each setting was changed."""
    return {row[0]: row[1] for row in await tx.rows("SELECT name, count(*) FROM override GROUP BY name")}


async def histories(tx: Tx, computers: Sequence[ComputerId]) -> dict[ComputerId, set[str]]:
    """Of what is affected to these computers and has no outcome yet: what they reported as installed, by computer."""
    result: dict[ComputerId, set[str]] = {}
    for row in await tx.rows(
        "SELECT a.computer_id, a.package_id FROM json_each(?) c CROSS JOIN affectation a ON a.computer_id = c.value "
        "JOIN history h ON h.computer_id = a.computer_id AND h.package_id = a.package_id "
        "WHERE a.stage IN ('waiting', 'notified')",
        (json.dumps(computers),),
    ):
        result.setdefault(ComputerId(row[0]), set()).add(row[1])
    return result


async def put_override(tx: Tx, computer: ComputerId, name: str, value: int | None) -> None:
    """Change a setting for one computer; None takes the change back."""
    if value is None:
        await tx.run("DELETE FROM override WHERE computer_id = ? AND name = ?", (computer, name))
    else:
        await tx.run(
            "INSERT OR REPLACE INTO override (computer_id, name, value) VALUES (?, ?, ?)",
            (computer, name, value),
        )


async def put_override_of_many(tx: Tx, chosen: Sequence[ComputerId], name: str, value: int | None) -> None:
    """Change a setting for each of these computers; None takes the change back."""
    ids = json.dumps(list(chosen))
    if value is None:
        await tx.run(
            "DELETE FROM override WHERE name = ? AND computer_id IN (SELECT value FROM json_each(?))", (name, ids)
        )
    else:
        await tx.run(
            "INSERT OR REPLACE INTO override (computer_id, name, value) SELECT value, ?, ? FROM json_each(?)",
            (name, value, ids),
        )


async def look_alikes(
    tx: Tx, *, name: str, ssn: str, macs: Sequence[str], model: str, uuid: str, but: str
) -> list[Computer]:
    """Older computers that agree in every part that is given (not empty), last seen first; at least one must be."""
    parts: list[tuple[str, list[object]]] = []
    for column, value in (("name", name), ("ssn", ssn), ("smodel", model), ("uuid", uuid)):
        if value:
            parts.append((f"c.{column} = ?", [value]))
    if macs:
        marks = ", ".join("?" * len(macs))
        parts.append((f"c.id IN (SELECT computer_id FROM network WHERE macaddr IN ({marks}))", list(macs)))
    if not parts:
        return []
    where = " AND ".join(sql for sql, _ in parts)
    values = [value for _, some in parts for value in some]
    rows = await tx.rows(
        f"SELECT c.* FROM computer c WHERE {where} AND c.device_id <> ? ORDER BY last_contact DESC LIMIT 20",
        (*values, but),
    )
    return [computer_of(row) for row in rows]


def computer_of(row: Row) -> Computer:
    """The Computer in a whole row of the computer table."""
    return Computer(
        id=ComputerId(row["id"]),
        device_id=DeviceId(row["device_id"]),
        name=row["name"],
        tag=row["tag"],
        user_agent=row["user_agent"],
        address=row["address"],
        first_seen=row["first_seen"],
        last_contact=row["last_contact"],
        last_inventory=row["last_inventory"],
        sections=tuple(row["sections"].split()),
        facts={column.upper(): row[column] for column in (*TEXTS, *NUMBERS)},
    )
