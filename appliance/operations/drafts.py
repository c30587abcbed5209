"""Build and edit in steps, as the console does: the form, the file as it arrives, the fragments, the package.

A draft belongs to the account that opened it. Source: the manual, "Creating/Build the package", "Editing package".
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.draft import Draft, form_of, form_values, is_draft_id, order_of
from appliance.domain.estimate import RATE, Estimate, estimate
from appliance.domain.fragments import MOST_FRAGMENTS, count, parse_size, proposed_size, show_size, size_for
from appliance.domain.package import Order, Package, Payload, checked
from appliance.domain.recipes import recipe_of
from appliance.domain.refusal import Kind, Refusal, conflict, invalid, missing
from appliance.domain.tempo import resolve, tempo_of
from appliance.operations.build_package import Progress, Uploaded, build_package, name_is_free, named_format
from appliance.operations.desk import Desk
from appliance.operations.edit_package import edit_package
from appliance.operations.pack_draft import pack_draft
from appliance.operations.package_facts import find_package
from appliance.store import configuration, drafts, packages
from appliance.store.database import Tx
from appliance.store.uploads import Upload

BATCH = 1024 * 1024  # bytes that are written to the disk at once
AHEAD = 2  # batches that wait for it
SMALLEST_PIECE = 1024 * 1024  # each is synced to the disk
LARGE_PIECE = 64 * 1024 * 1024
LONGEST_FILE_NAME = 255


@dataclass(frozen=True)
class Received:
    """A draft's file as far as it has come. `size` 0: not announced, or not known before its end."""

    file_name: str
    size: int
    done: int

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return 0 < self.size == self.done


@dataclass(frozen=True)
class Prepared:
    """What the fragment step shows. Without a file all sizes are 0; `fixed`: the fragments stay as they are."""

    draft: Draft
    order: Order
    file_name: str
    format: str
    size: int
    fragment_size: int
    fragments: int
    fixed: bool
    estimate: Estimate


async def open_draft(desk: Desk, form: Mapping[str, str], package_id: str | None = None) -> Draft:
    """A new draft; of an edit where a package is named, whose values stand where the form has none. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    values = form_values(form)
    recipe_of(values)
    await sweep_drafts(desk)
    async with desk.store.writing() as tx:
        package = None
        if package_id is not None:
            found = await find_package(tx, package_id)
            package, values = found.id, {**form_of(found.order), **values}
        return await _found(tx, desk, await drafts.add(tx, desk.actor.user, values, package))


async def find_draft(desk: Desk, draft_id: str) -> Draft:
    """A draft of the one who asks. Raises Refusal(MISSING)."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        return await _found(tx, desk, draft_id)


async def list_drafts(desk: Desk) -> list[Draft]:
    """The drafts of the one who asks, last changed first."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        return await drafts.of_user(tx, desk.actor.user)


async def change_draft(desk: Desk, draft_id: str, form: Mapping[str, str]) -> Draft:
    """Other values for the fields that are given; the file stays. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        draft = await _found(tx, desk, draft_id)
        values = form_values({**draft.form, **form})
        recipe_of(values)
        await drafts.change_form(tx, draft.id, values)
        return await _found(tx, desk, draft_id)


async def drop_draft(desk: Desk, draft_id: str) -> None:
    """Take a draft away with its file. Raises Refusal."""
    draft = await find_draft(desk, draft_id)
    await _forget(desk, draft)


async def announce_file(desk: Desk, draft_id: str, file_name: str, size: int | None = None) -> Received:
    """The file that will come: how much of it is there already. Another file than before takes its place.

    Raises Refusal where it is too large for the settings or the disk, before a byte of it was sent.
    """
    draft = await find_draft(desk, draft_id)
    name = re.split(r"[/\\]", file_name)[-1].strip()[:LONGEST_FILE_NAME]
    if not name:
        raise invalid("file", "choose a file.")
    if size is not None and size <= 0:
        raise invalid("file", "{file} is empty; a package's file has at least one byte.", file=name)
    async with desk.store.reading() as tx:
        settings = await configuration.settings(tx)
    _not_too_large(size or 0, settings.number("UPLOAD_LIMIT"))
    uploads = desk.shelf.uploads
    is_same = (draft.file_name, draft.size, draft.member) == (name, size, "")
    there = await asyncio.to_thread(uploads.size, draft.id) if is_same else 0
    await asyncio.to_thread(uploads.must_hold, 2 * (size or 0) - there)  # as it comes, and once more in fragments
    if not is_same:
        await asyncio.to_thread(uploads.begin_anew, draft.id)
        async with desk.store.writing() as tx:
            await drafts.change_file(tx, draft.id, name, size or 0, _piece_size(size, settings.number("FRAGMENT_SIZE")))
    return Received(name, size or 0, there)


async def received(desk: Desk, draft_id: str) -> Received:
    """How much of a draft's file is there: where an upload goes on. Raises Refusal."""
    draft = await find_draft(desk, draft_id)
    return await _received(desk, draft)


async def receive(desk: Desk, draft_id: str, offset: int, chunks: AsyncIterator[bytes]) -> Received:
    """Append what comes to the announced file, at exactly the offset that it has. Raises Refusal.

    It is on the disk when this returns; what has arrived stays, however this ends. A file of no announced size is as
    long as what comes.
    """
    draft = await find_draft(desk, draft_id)
    if not draft.file_name or draft.member:
        raise conflict("no file was announced; announce it first.")
    async with desk.store.reading() as tx:
        limit = (await configuration.settings(tx)).number("UPLOAD_LIMIT")
    with desk.shelf.uploads.writing(draft.id, offset, draft.piece) as upload:
        try:
            await _pour(upload, chunks, draft.size or None, limit)
            await asyncio.to_thread(upload.finish)
        finally:
            done = upload.size
    async with desk.store.writing() as tx:
        if draft.size:
            await drafts.touch(tx, draft.id)
        else:
            await drafts.change_file(tx, draft.id, draft.file_name, done, draft.piece)
    return Received(draft.file_name, draft.size or done, done)


async def prepare(
    desk: Desk,
    draft_id: str,
    fragment_size: str | None = None,
    fragments: int | None = None,
    *,
    rate: int = RATE,
    progress: Progress | None = None,
) -> Prepared:
    """The fragment step: everything is checked that can be without reading the whole file. Raises Refusal.

    A single file and a typed script are packed here. The fragment size is as asked for, or makes so many fragments,
    or is the one that the settings propose. `rate` in bytes a second is assumed between a computer and the fragments.
    """
    draft = await find_draft(desk, draft_id)
    if await pack_draft(desk, draft, progress or _silent):
        draft = await find_draft(desk, draft_id)
    at_hand = await _received(desk, draft)
    if at_hand.size and not at_hand.complete:
        raise Refusal(
            Kind.CONFLICT,
            "{done} of {size} have arrived; go on with the upload.",
            "file",
            done=show_size(at_hand.done),
            size=show_size(at_hand.size),
        )
    file_format = await asyncio.to_thread(_format, desk, draft) if at_hand.complete else None
    async with desk.store.reading() as tx:
        settings = await configuration.settings(tx)
        old = (await find_package(tx, draft.package)).payload if draft.package else None
        kept = old if not at_hand.complete else None
        order = checked(order_of(draft.form, draft.member), file_format=kept.format if kept else file_format)
        name_is_free(await packages.with_name(tx, order.name), draft.package)
    knobs = resolve(settings.knobs())
    payload = kept or _planned(at_hand.done, file_format, fragment_size, fragments, settings.text("FRAGMENT_SIZE"))
    guess = estimate(
        priority=order.priority,
        fragments=payload.fragments if payload else 0,
        size=payload.size if payload else 0,
        tempo=tempo_of(knobs),
        contact_hours=knobs["PROLOG_FREQ"],
        rate=rate,
    )
    return Prepared(
        draft,
        order,
        draft.file_name,
        payload.format if payload else "",
        payload.size if payload else 0,
        payload.fragment_size if payload else 0,
        payload.fragments if payload else 0,
        kept is not None,
        guess,
    )


async def build_draft(desk: Desk, draft_id: str, fragment_size: str | None, progress: Progress) -> Package:
    """Build, or edit where the draft is of an edit; the draft is gone then. Raises Refusal, and it stays as it was."""
    prepared = await prepare(desk, draft_id, fragment_size, progress=progress)
    draft, uploads = prepared.draft, desk.shelf.uploads
    with uploads.holding(draft.id):
        file = None
        if prepared.size and not prepared.fixed:
            parts = await asyncio.to_thread(uploads.parts, draft.id, draft.piece)
            file = Uploaded(parts, draft.file_name)
        if draft.package:
            package = await edit_package(desk, draft.package, prepared.order, file, fragment_size, progress)
        else:
            package = await build_package(desk, prepared.order, file, fragment_size, progress)
    await _forget(desk, draft)
    return package


async def settle_drafts(desk: Desk) -> None:
    """After a start: of each draft's file keep what is on the disk for sure. Nobody else may be at work on any."""
    async with desk.store.reading() as tx:
        known = await drafts.every(tx)
    for draft in known:
        await asyncio.to_thread(desk.shelf.uploads.settle, draft.id, draft.piece, draft.packed_size)


async def sweep_drafts(desk: Desk) -> list[str]:
    """Take away drafts that nobody has touched for two days, and files that no draft names: the drafts' ids."""
    files = await asyncio.to_thread(desk.shelf.uploads.drafts)
    async with desk.store.writing() as tx:
        await drafts.remove_old(tx)
        known = await drafts.ids(tx)
    gone: list[str] = []
    for draft in sorted(files - known):
        try:
            await asyncio.to_thread(desk.shelf.uploads.remove, draft)
        except Refusal:
            continue  # somebody is still writing; the next sweep comes
        gone.append(draft)
    return gone


async def _found(tx: Tx, desk: Desk, draft_id: str) -> Draft:
    draft = await drafts.find(tx, draft_id, desk.actor.user) if is_draft_id(draft_id) else None
    if draft is None:
        raise missing("this form is not there any more; begin again.")
    return draft


def _piece_size(size: int | None, fragment_size: int) -> int:
    """The size of the pieces that a file is kept in: the fragments' where that makes not too many files."""
    if fragment_size < SMALLEST_PIECE:
        return LARGE_PIECE
    return fragment_size if size is None or -(-size // fragment_size) <= MOST_FRAGMENTS else LARGE_PIECE


def _not_too_large(size: int, limit: int) -> None:
    if size > limit:
        raise Refusal(
            Kind.TOO_LARGE,
            "the file is larger than {limit}; the setting UPLOAD_LIMIT says how large it may be.",
            "file",
            limit=show_size(limit),
        )


async def _pour(upload: Upload, chunks: AsyncIterator[bytes], size: int | None, limit: int) -> None:
    """Write the chunks beside the loop, the next batches being gathered meanwhile."""
    batch: list[bytes] = []
    gathered, total = 0, upload.size
    under_way: deque[asyncio.Future[None]] = deque()
    try:
        async for chunk in chunks:
            total += len(chunk)
            if size is not None and total > size:
                raise invalid("file", "more came than the {size} that were announced.", size=show_size(size))
            _not_too_large(total, limit)
            batch.append(chunk)
            gathered += len(chunk)
            if gathered >= BATCH:
                if len(under_way) == AHEAD:
                    await asyncio.shield(under_way.popleft())
                under_way.append(asyncio.wrap_future(upload.later(batch)))
                batch, gathered = [], 0
    finally:  # what has arrived stays, also where the connection or this task ended
        if batch:
            under_way.append(asyncio.wrap_future(upload.later(batch)))
        if under_way:
            await asyncio.wait(under_way)
        for done in under_way:
            done.result()


async def _received(desk: Desk, draft: Draft) -> Received:
    done = await asyncio.to_thread(desk.shelf.uploads.size, draft.id)
    return Received(draft.file_name, draft.size, done)


async def _forget(desk: Desk, draft: Draft) -> None:
    """The row first: a file that no row names is swept."""
    with desk.shelf.uploads.holding(draft.id):
        async with desk.store.writing() as tx:
            await drafts.remove(tx, draft.id)
    await asyncio.to_thread(desk.shelf.uploads.remove, draft.id)


def _format(desk: Desk, draft: Draft) -> str:
    with desk.shelf.uploads.open(draft.id) as file:
        return named_format(file, draft.file_name)


def _planned(
    size: int, file_format: str | None, fragment_size: str | None, fragments: int | None, largest: str
) -> Payload | None:
    """How a file of that size would be cut. Raises Refusal."""
    if file_format is None:
        return None
    if fragment_size:
        chosen = parse_size(fragment_size, "fragment-size")
    elif fragments is not None:
        chosen = size_for(size, fragments)
    else:
        chosen = proposed_size(size, parse_size(largest))
    return Payload(size, chosen, count(size, chosen), "", "", file_format)


def _silent(*_: object) -> None:
    """Nobody watches."""
