"""Edit a package: any field, and a new file. Source: the manual, "Editing package".

The id stays. Computers that fetched the info file before keep what they have; a new file while computers are
under way is refused, since they would mix fragments of both.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.package import Order, Package, Piece, checked
from appliance.domain.refusal import Kind, Refusal, conflict
from appliance.domain.status import Stage
from appliance.operations.build_package import (
    Progress,
    Uploaded,
    check_archive,
    chosen_fragment_size,
    cut_source,
    describe,
    in_thread,
    name_is_free,
    open_source,
    told_of,
)
from appliance.operations.desk import Desk
from appliance.operations.package_facts import find_package, tally
from appliance.store import affectations, configuration, log, packages
from appliance.store.database import Tx


@dataclass(frozen=True)
class EditFacts:
    """A package as it stands, and how many computers keep what they were told before: they are told apart."""

    package: Package
    waiting: int  # they get it as it will be
    under_way: int  # they have the info file; a new file is refused while there are any
    have: int  # a success, or there already
    failed: int

    @property
    def told(self) -> int:
        """Computers on which an edit changes nothing."""
        return self.under_way + self.have + self.failed


async def edit_facts(desk: Desk, package_id: str) -> EditFacts:
    """What to know before an edit. Raises Refusal(MISSING)."""
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        counts = tally((await affectations.counts(tx)).get(package.id, {}))
    return EditFacts(package, counts.waiting, counts.notified, counts.success, counts.error)


async def edit_package(
    desk: Desk,
    package_id: str,
    order: Order,
    file: Path | Uploaded | None,
    fragment_size: str | None,
    progress: Progress,
) -> Package:
    """The package as edited. `order` is the whole of it; without a new file its fragments stay. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    with ExitStack() as stack:
        source = open_source(stack, file)
        async with desk.store.reading() as tx:
            before = await find_package(tx, package_id)
            old_format = before.payload.format if before.payload else None
            order = checked(order, file_format=source.format if source else old_format)
            name_is_free(await packages.with_name(tx, order.name), before.id)
            if source:
                await _nobody_under_way(tx, before)
            pieces = tuple(await packages.pieces_of(tx, before.id))
            largest = (await configuration.settings(tx)).text("FRAGMENT_SIZE")
        if source:
            size = chosen_fragment_size(source, fragment_size, largest)
            await in_thread(check_archive, source, order, progress=progress)
        elif fragment_size is not None:
            raise Refusal(
                Kind.CONFLICT, "it changes only with a new file; give that too, or leave it out.", "fragment-size"
            )
        with desk.shelf.building(before.id) as building:
            async with desk.store.reading() as tx:  # from here on nobody else edits it
                if await find_package(tx, package_id) != before:
                    raise conflict(
                        "package {before} was edited by somebody else meanwhile; look at it and try again.",
                        before=before.id,
                    )
            cut = None
            if source:
                cut = await in_thread(cut_source, building, source, size, progress=progress)
            else:
                await asyncio.to_thread(building.take_over)
            after = Package(before.id, order, cut.payload if cut else before.payload, before.built_at)
            new_pieces: tuple[Piece, ...] = cut.pieces if cut else pieces
            marks = await asyncio.to_thread(describe, building, after, new_pieces)
            async with desk.store.writing() as tx:
                await find_package(tx, package_id)  # it may have been deleted meanwhile
                name_is_free(await packages.with_name(tx, order.name), before.id)
                if cut:
                    await _nobody_under_way(tx, before)
                building.seal()
                await packages.change(tx, after, new_pieces if cut else None, marks)
                await log.append(tx, desk.actor, Deed.PACKAGE_EDITED, after.id, **told_of(after))
            await asyncio.to_thread(desk.shelf.swap, before.id)
    return after


async def _nobody_under_way(tx: Tx, package: Package) -> None:
    busy = await affectations.count_of_package(tx, package.id, stage=Stage.NOTIFIED)
    if busy:
        raise Refusal(
            Kind.CONFLICT,
            "{busy} computers are downloading package {package} and would mix old fragments with new; "
            "wait for their results, unaffect them, or build a new package.",
            "file",
            busy=busy,
            package=package.id,
        )
