"""All computers, and those that a search finds: a page at a time, in the columns that were chosen, or as a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.refusal import Refusal
from appliance.domain.search import EVERY, PRESETS, FieldKind, KeptSearch, Operator, Search, kind_of, to_json
from appliance.operations.computers import COLUMNS, USUAL_COLUMNS, ComputerPage, account_fields, computer_page, export
from appliance.operations.groups import show_group
from appliance.operations.searches import delete_search, find_kept, keep_search, kept_searches
from appliance.web.console import asking
from appliance.web.console.asking import FIELD_NAMES, OPERATOR_NAMES, Asking, Row
from appliance.web.console.forms import Form
from appliance.web.console.frame import COLUMNS_COOKIE, Route, Visit, address, json_of

SIZES = (20, 50, 100, 200)


@dataclass(frozen=True)
class Column:
    """A column that may be shown: its name, whether a click sorts by it, and whether it shows a moment."""

    key: str
    name: str
    sorts: bool
    is_moment: bool
    is_number: bool


@dataclass(frozen=True)
class ListPage:
    """A list of computers, with the search it comes from where there is one."""

    found: ComputerPage
    columns: tuple[Column, ...]
    every_column: tuple[Column, ...]
    quick: str
    sort: str
    descending: bool
    asked: Asking | None  # None: the plain list
    search_json: str
    link: Callable[..., str]  # the same list with other page=, sort=, ...
    kept: tuple[KeptSearch, ...] = ()
    presets: tuple[str, ...] = tuple(name for name, _ in PRESETS)
    operators: str = ""  # JSON: what may be asked of each field
    group_link: str = ""
    group: str = ""  # number of the dynamic group whose search is being changed
    sizes: tuple[int, ...] = SIZES
    field_names: Mapping[str, str] = field(default_factory=lambda: FIELD_NAMES)
    operator_names: Mapping[Operator, str] = field(default_factory=lambda: OPERATOR_NAMES)
    administrator: Right = Right.ADMINISTRATOR

    def page_link(self, number: int) -> str:
        """The same list, another page."""
        return self.link(page=number)


async def listed(visit: Visit) -> web.StreamResponse:
    """All computers."""
    return await _answer(visit, None, EVERY, None)


async def searched(visit: Visit) -> web.StreamResponse:
    """The form of the search with what it finds; `kept` is the number of a kept search."""
    form = visit.query
    kept, group = form.whole("kept"), form.whole("group")
    if group is not None and not form.many("f"):
        rows = asking.rows_for((await show_group(visit.desk, group)).group.search or ())
    elif kept is not None:
        rows = asking.rows_for((await find_kept(visit.desk, kept)).search)
    else:
        rows = asking.rows_of(form)
    search, refusal = asking.try_search(rows)
    return await _answer(visit, rows, search, refusal)


async def _answer(visit: Visit, rows: tuple[Row, ...] | None, search: Search, refusal: Refusal | None) -> web.Response:
    form = visit.query
    account = await account_fields(visit.desk)
    keys = _columns(visit, form, account)
    sort, descending = form.text("sort") or "NAME", form.ticked("desc")
    quick, size = form.text("q"), form.whole("size", SIZES[0]) or SIZES[0]
    found = ComputerPage((), 0, 1, 1, size)
    fault = visit.words.refusal(refusal) if refusal else ""
    if refusal is None:
        try:
            found = await computer_page(
                visit.desk, search, quick, sort, descending, form.whole("page", 1) or 1, min(size, SIZES[-1]), keys
            )
        except Refusal as met:
            if rows is None:
                raise
            refusal, fault = met, visit.words.refusal(met)
    asked = asking.asking(rows, account, fault) if rows is not None else None
    page = ListPage(
        found,
        tuple(_column(visit, key) for key in keys),
        tuple(_column(visit, key) for key in (*(key for key, _ in COLUMNS), *(f"ACCOUNT.{key}" for key in account))),
        quick,
        sort,
        descending,
        asked,
        to_json(search),
        _linker(
            visit,
            rows,
            {
                "q": quick,
                "sort": sort,
                "desc": "1" if descending else "",
                "size": str(size),
                "group": form.text("group"),
            },
        ),
        tuple(await kept_searches(visit.desk)),
        operators=json_of(asking.operators_by_field(asked.fields)) if asked else "",
        group=form.text("group") if rows is not None else "",
        group_link=address("/groups/new", search=to_json(search)),
    )
    return visit.page("computers.html", page, status=400 if refusal else 200)


def _columns(visit: Visit, form: Form, account: list[str]) -> tuple[str, ...]:
    """The columns that were chosen now or before; what is none is left out."""
    known = {key for key, _ in COLUMNS} | {f"ACCOUNT.{key}" for key in account}
    chosen = [key for key in form.many("c") if key in known]
    if chosen:
        visit.cookies[COLUMNS_COOKIE] = "/".join(quote(key, safe="") for key in chosen)[:2000]
    else:
        kept = visit.request.cookies.get(COLUMNS_COOKIE, "").split("/")
        chosen = [key for key in map(unquote, kept) if key in known]
    return tuple(dict.fromkeys(["NAME", *chosen])) if chosen else USUAL_COLUMNS


def _column(visit: Visit, key: str) -> Column:
    name = visit.say(FIELD_NAMES[key]) if key in FIELD_NAMES else key.partition(".")[2]
    kind = kind_of(key)
    return Column(key, name, key in dict(COLUMNS), kind is FieldKind.MOMENT, kind is FieldKind.NUMBER)


def _linker(visit: Visit, rows: tuple[Row, ...] | None, state: dict[str, str]) -> Callable[..., str]:
    base = asking.pairs(rows or ())

    def link(path: str = "", **changes: object) -> str:
        query = {**state, **{name: str(value) for name, value in changes.items()}}
        return f"{path or visit.request.path}?{urlencode([*base, *((n, v) for n, v in query.items() if v)])}"

    return link


# As a file


async def as_csv(visit: Visit) -> web.StreamResponse:
    """The whole result as CSV, in the columns that are shown; a spreadsheet must not take a name for a formula."""

    def lines(rows: list[dict[str, str | int | None]], head: bool) -> str:
        out = io.StringIO()
        writer = csv.writer(out)
        if head:
            writer.writerow(rows[0].keys() if rows else columns)
        writer.writerows([[_harmless(cell) for cell in row.values()] for row in rows])
        return out.getvalue()

    columns, source = await _exporting(visit)
    return await _send(visit, "text/csv", "computers.csv", lines, source)


async def as_json(visit: Visit) -> web.StreamResponse:
    """The whole result as one JSON array of objects."""
    first = True

    def lines(rows: list[dict[str, str | int | None]], head: bool) -> str:
        nonlocal first
        text = "[" if head else ""
        for row in rows:
            text += ("\n" if first else ",\n") + json.dumps(row, ensure_ascii=False)
            first = False
        return text

    _, source = await _exporting(visit)
    return await _send(visit, "application/json", "computers.json", lines, source, end="\n]\n")


async def _exporting(visit: Visit) -> tuple[tuple[str, ...], AsyncIterator[list[dict[str, str | int | None]]]]:
    form = visit.query
    columns = _columns(visit, form, await account_fields(visit.desk))
    search = asking.search_of(asking.rows_of(form))
    sort = form.text("sort") or "NAME"
    return columns, export(visit.desk, search, columns, form.text("q"), sort, form.ticked("desc"))


async def _send(
    visit: Visit,
    kind: str,
    name: str,
    lines: Callable[[list[dict[str, str | int | None]], bool], str],
    source: AsyncIterator[list[dict[str, str | int | None]]],
    end: str = "",
) -> web.StreamResponse:
    chunk: list[dict[str, str | int | None]] = await anext(
        source, []
    )  # what is refused is refused before the first byte
    response = web.StreamResponse(
        headers={"Content-Type": f"{kind}; charset=utf-8", "Content-Disposition": f'attachment; filename="{name}"'}
    )
    await response.prepare(visit.request)
    if visit.request.method != "HEAD":
        await response.write(lines(chunk, True).encode())
        async for chunk in source:
            await response.write(lines(chunk, False).encode())
        await response.write(end.encode())
    await response.write_eof()
    return response


def _harmless(cell: str | int | None) -> str | int | None:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


# Kept searches


async def keep(visit: Visit) -> web.StreamResponse:
    """Keep a search under a name."""
    form = visit.fields
    search = asking.search_of(asking.rows_of(form))
    kept = await keep_search(visit.desk, form.text("name"), search, replace=form.ticked("replace"))
    return visit.go(f"/search?kept={kept.id}", "The search is kept as “{name}”.", name=kept.name)


async def forget(visit: Visit) -> web.StreamResponse:
    """Keep a search no longer."""
    gone = await delete_search(visit.desk, visit.number("number"))
    return visit.go("/search", "The search “{name}” is gone.", name=gone.name)


ROUTES = (
    Route("GET", "/computers", listed, Right.SIGNED_IN),
    Route("GET", "/search", searched, Right.SIGNED_IN),
    Route("GET", "/computers.csv", as_csv, Right.SIGNED_IN),
    Route("GET", "/computers.json", as_json, Right.SIGNED_IN),
    Route("POST", "/search/kept", keep),
    Route("POST", r"/search/kept/{number:\d+}/delete", forget),
)
