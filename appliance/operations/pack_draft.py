"""What a draft has as a single file becomes an archive: a bare installer, a typed script, our agent (protocol.md 7)."""

from __future__ import annotations

import asyncio
import io
import re
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from typing import BinaryIO, cast

from appliance.domain.draft import Draft, order_of
from appliance.domain.package import Order, System
from appliance.domain.recipes import Takes, member_name, recipe_of, script_bytes
from appliance.domain.refusal import invalid
from appliance.operations.build_package import Progress, in_thread
from appliance.operations.desk import Desk
from appliance.store import drafts
from appliance.wire import archive, pack

OTHER_ARCHIVES = re.compile(r"\.(7z|rar|tar|tar\.\w+|t[bx]z2?|tzst|bz2|xz|zst|lz|lzma|zip|t?gz)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Bare:
    """A single file on its way into an archive."""

    name: str
    file: BinaryIO
    size: int


async def pack_draft(desk: Desk, draft: Draft, progress: Progress) -> bool:
    """Put what is no archive into one, as the recipe says or because it is a bare file; whether that changed the draft.

    Raises Refusal.
    """
    order, uploads = order_of({**draft.form, "recipe": ""}), desk.shelf.uploads
    file_format = "zip" if order.system is System.WINDOWS else "tar.gz"
    with uploads.holding(draft.id), ExitStack() as stack:
        bare = await asyncio.to_thread(_bare, desk, draft, order, file_format, stack)
        if bare is None:
            return False

        def work(report: Progress) -> None:
            with uploads.packing(draft.id) as out:
                pack.pack(
                    out, file_format, bare.name, bare.file, bare.size, lambda done, total: report("pack", done, total)
                )

        await in_thread(work, progress=progress)
        stack.close()  # it may be the file that goes
        packed = await asyncio.to_thread(uploads.packed_size, draft.id)
        try:
            async with desk.store.writing() as tx:
                await drafts.change_file(tx, draft.id, f"{bare.name}.{file_format}", packed, packed, bare.name)
        finally:  # cancelled while the row was committed, it may be there
            async with desk.store.reading() as tx:
                row = await drafts.find(tx, draft.id, desk.actor.user)
            await asyncio.to_thread(uploads.choose, draft.id, row.packed_size if row else 0)
        return True


def _bare(desk: Desk, draft: Draft, order: Order, file_format: str, stack: ExitStack) -> _Bare | None:
    """The single file that is to be packed; None where the draft has none, or has it packed already. Raises Refusal."""
    recipe, uploads = recipe_of(draft.form), desk.shelf.uploads
    if recipe and recipe.takes is Takes.SCRIPT:
        return _in_memory(recipe.member, script_bytes(recipe, draft.form.get("script", "")))
    if recipe and recipe.takes is Takes.AGENT and not draft.file_name:
        agent = carried_agent()
        if agent is None:
            raise invalid("file", "this server carries no agent; choose the new agent's file.")
        return _in_memory(recipe.member, agent)
    if not draft.file_name or not 0 < draft.size == uploads.size(draft.id):
        return None
    member = member_name(draft.member or draft.file_name, order.system, order.action)
    if draft.member:
        if (member, f"{draft.member}.{file_format}") == (draft.member, draft.file_name):
            return None
        file = stack.enter_context(uploads.open(draft.id))  # packed for another system or action
        for inside, opener in archive.members(file):
            return _Bare(member, cast(BinaryIO, opener()), inside.size)
    name = draft.file_name.lower()
    file = stack.enter_context(uploads.open(draft.id))
    is_asked_for = recipe is not None and name.endswith(recipe.endings or "/")
    if not is_asked_for and (OTHER_ARCHIVES.search(name) or archive.format_of(file)):
        return None  # an archive, or what is named like one and will be refused as one
    uploads.must_hold(draft.size)
    return _Bare(member, file, draft.size)


def _in_memory(name: str, data: bytes) -> _Bare:
    return _Bare(name, io.BytesIO(data), len(data))


def carried_agent() -> bytes | None:
    """The agent's own file that the build put into the archive; not in a checkout."""
    path = resources.files("appliance").joinpath("carried", "ocs-agent.pyz")
    return path.read_bytes() if path.is_file() else None
