"""What nobody needs any more, found by a reader, and taken away by number a little at a time.

Not here: the log, which never shrinks; sessions and failed sign-ins, which go at each sign-in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from appliance.domain.computer import Computer, ComputerId
from appliance.store.computers import computer_of
from appliance.store.database import Tx

_THESE = "id IN (SELECT value FROM json_each(?))"


async def old_events(tx: Tx, before: int, limit: int) -> list[int]:
    """Events of before that moment, the oldest first."""
    return await _numbers(tx, "SELECT id FROM event WHERE at < ? ORDER BY id LIMIT ?", (before, limit))


async def remove_events(tx: Tx, numbers: Sequence[int]) -> int:
    """Take events away: how many went."""
    return await tx.run(f"DELETE FROM event WHERE {_THESE}", (json.dumps(numbers),))


async def silent_computers(tx: Tx, before: int, limit: int) -> list[Computer]:
    """Computers that made no contact since that moment, the most silent first."""
    rows = await tx.rows("SELECT * FROM computer WHERE last_contact < ? ORDER BY last_contact LIMIT ?", (before, limit))
    return [computer_of(row) for row in rows]


async def remove_computers(tx: Tx, numbers: Sequence[ComputerId]) -> int:
    """Take computers away with all that hangs on them: how many went."""
    return await tx.run(f"DELETE FROM computer WHERE {_THESE}", (json.dumps(numbers),))


async def unused_softwares(tx: Tx, limit: int) -> list[int]:
    """Softwares that no computer has."""
    sql = "SELECT id FROM software s WHERE NOT EXISTS (SELECT 1 FROM installed WHERE software_id = s.id) LIMIT ?"
    return await _numbers(tx, sql, (limit,))


async def remove_softwares(tx: Tx, numbers: Sequence[int]) -> int:
    """Take softwares away that still no computer has: how many went."""
    sql = (
        f"DELETE FROM software WHERE {_THESE} AND NOT EXISTS (SELECT 1 FROM installed WHERE software_id = software.id)"
    )
    return await tx.run(sql, (json.dumps(numbers),))


async def unsaid_values(tx: Tx, limit: int) -> list[int]:
    """Values that no inventory says; a trigger of the schema takes nearly all of them away at once."""
    sql = (
        "SELECT id FROM inventory_value v WHERE NOT EXISTS (SELECT 1 FROM inventory_said WHERE value_id = v.id) LIMIT ?"
    )
    return await _numbers(tx, sql, (limit,))


async def remove_values(tx: Tx, numbers: Sequence[int]) -> int:
    """Take values away that still no inventory says: how many went."""
    said = "SELECT 1 FROM inventory_said WHERE value_id = inventory_value.id"
    return await tx.run(f"DELETE FROM inventory_value WHERE {_THESE} AND NOT EXISTS ({said})", (json.dumps(numbers),))


async def _numbers(tx: Tx, sql: str, values: Sequence[object]) -> list[int]:
    return [row[0] for row in await tx.rows(sql, values)]
