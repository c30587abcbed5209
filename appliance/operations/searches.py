"""Searches that are named and kept: everyone may use them, administrators keep and delete them."""

from __future__ import annotations

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.refusal import conflict, invalid, missing
from appliance.domain.search import KeptSearch, Search, checked_search, to_json
from appliance.operations.desk import Desk
from appliance.store import log, search
from appliance.store.database import Tx

LONGEST_NAME = 255


async def keep_search(desk: Desk, name: str, asked: Search, *, replace: bool = False) -> KeptSearch:
    """Keep a search under a name; `replace`: instead of the one that has the name. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise invalid("name", "a search's name has 1 to {longest} printable characters.", longest=LONGEST_NAME)
    asked = checked_search(asked)
    async with desk.store.writing() as tx:
        await search.check(tx, asked)
        if not replace and await search.kept(tx, name):
            raise conflict("there is a search {name!r} already; choose another name, or replace it.", name=name[:80])
        await search.keep(tx, name, asked)
        (found,) = await search.kept(tx, name)
        await log.append(tx, desk.actor, Deed.SEARCH_KEPT, found.name, search=to_json(asked))
        return found


async def kept_searches(desk: Desk) -> list[KeptSearch]:
    """All searches that are kept, by name."""
    async with desk.store.reading() as tx:
        return await search.kept(tx)


async def find_kept(desk: Desk, name: str | int) -> KeptSearch:
    """The kept search of that name or number. Raises Refusal(MISSING)."""
    async with desk.store.reading() as tx:
        return await _find(tx, name)


async def delete_search(desk: Desk, name: str | int) -> KeptSearch:
    """Keep a search no longer. Groups that were made from it have their own. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        found = await _find(tx, name)
        await search.forget(tx, found.id)
        await log.append(tx, desk.actor, Deed.SEARCH_DELETED, found.name, search=to_json(found.search))
        return found


async def _find(tx: Tx, name: str | int) -> KeptSearch:
    if isinstance(name, int):
        found = [kept for kept in await search.kept(tx) if kept.id == name]
    else:
        found = await search.kept(tx, " ".join(name.split()))
    if not found:
        raise missing("no search is kept as {name!r}.", name=str(name)[:80])
    return found[0]
