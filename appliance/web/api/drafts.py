"""Build and edit in steps: a draft of the form, its file in as many pieces as it takes, a look at it, the package.

`curl -T player.tar.gz '.../drafts/ID/file?name=player.tar.gz'` sends a file; after a lost connection the draft says
how much of it is there, and the rest follows with offset= or a Content-Range.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from appliance.clock import iso
from appliance.domain.draft import Draft
from appliance.domain.recipes import LONGEST_SCRIPT, RECIPES
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.check_form import check_form
from appliance.operations.drafts import (
    LONGEST_FILE_NAME,
    Received,
    announce_file,
    build_draft,
    change_draft,
    drop_draft,
    find_draft,
    list_drafts,
    open_draft,
    prepare,
    receive,
    received,
)
from appliance.operations.jobs import Progress
from appliance.web.api import jobs
from appliance.web.api.frame import ENDED, ApiRoute, Call, Doc
from appliance.web.api.packages import ORDER, form_told
from appliance.web.api.schema import (
    Schema,
    asked,
    flag,
    moment,
    named,
    number,
    one_of,
    or_null,
    rows,
    table,
    text,
    told,
    wrong,
)

SILENCE_SECONDS = 60  # between two pieces of a body
RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/(?:([0-9]{1,15})|\*)")

NO_RANGE = "write it as bytes FIRST-LAST/SIZE."
TWO_OFFSETS = "give one of offset and Content-Range, or the same in both."

FILE: dict[str, Schema] = {
    "file": text('Name of the file; "": none was announced.'),
    "size": number("Bytes; 0: not known before its end."),
    "offset": number("Bytes that are there: where an upload goes on."),
    "complete": flag(),
}
UPLOADED = named("Upload", told(**FILE))
DRAFT = named(
    "Draft",
    told(
        id=text(),
        package=or_null(text("The one that is edited; null: a new one.")),
        changed_at=moment(),
        form=table(text(), "The console's form as it is filled in, as text."),
        **FILE,
    ),
)
FORM: dict[str, Schema] = {
    "recipe": one_of(["", *(recipe.id for recipe in RECIPES)], "Fills in nothing; it says what is packed and how."),
    "script": text("Of a recipe that takes one.", maxLength=LONGEST_SCRIPT),
    **ORDER,
}
SIZE: Schema = {
    "type": ["integer", "string", "null"],
    "maxLength": 20,
    "minimum": 1,
    "description": "Bytes, or with K, M, G; null: as the settings propose.",
}
PREPARED = named(
    "Prepared",
    told(
        name=text(),
        file=text(),
        format=one_of(["", "zip", "tar.gz"]),
        size=number(),
        fragment_size=number(),
        fragments=number(),
        fixed=flag("The fragments stay as they are."),
        estimate=told(
            cycles=number(),
            rest_seconds=number(),
            transfer_seconds=number("At rate."),
            contact_seconds=number("The longest wait for the contact that brings the package."),
            timeout_seconds=number("An agent gives up after that."),
            seconds=number("From the contact to the action."),
            never=flag("The priority number is higher than a period is long."),
            gives_up=flag("An agent would give the package up before it is done."),
        ),
    ),
)


async def listed(call: Call) -> object:
    """One's drafts, the last changed first."""
    return {"drafts": [await _document(call, one) for one in await list_drafts(call.desk)]}


async def begin(call: Call) -> object:
    """Begin a package, or the edit of one, whose values stand where none are given."""
    return await _document(call, await open_draft(call.desk, form_told(call.body), call.body.get("package")))


async def show(call: Call) -> object:
    """One draft, and how much of its file is there."""
    return await _document(call, await find_draft(call.desk, call.path("draft")))


async def change(call: Call) -> object:
    """Change what is given; the rest and the file stay."""
    return await _document(call, await change_draft(call.desk, call.path("draft"), form_told(call.body)))


async def drop(call: Call) -> None:
    """Drop a draft with its file."""
    await drop_draft(call.desk, call.path("draft"))


async def check(call: Call) -> None:
    """Check a draft before its file comes: nobody waits for an upload to hear of a taken name."""
    draft = await find_draft(call.desk, call.path("draft"))
    await check_form(call.desk, draft.form, call.body.get("file") or draft.member or draft.file_name, draft.package)


async def announce(call: Call) -> object:
    """Announce the file that will come: how much of it is there already. Another one takes the place of the last."""
    size = call.body.get("size")
    return _file(await announce_file(call.desk, call.path("draft"), call.body["file"], size))


async def send(call: Call) -> object:
    """Send the file, or the rest of it from an offset on; with name it is announced along with that."""
    draft, offset, size = call.path("draft"), *_range(call)
    if "name" in call.query:
        await announce_file(call.desk, draft, call.query["name"], size)
    return _file(await receive(call.desk, draft, offset, _body(call.request)))


async def look(call: Call) -> object:
    """Look at a draft whose file is there: what it becomes, in how many fragments, and how long a computer needs.

    A single file and a typed script are packed here.
    """
    body = call.body
    rate = {"rate": body["rate"]} if "rate" in body else {}
    found = await prepare(call.desk, call.path("draft"), _size(body), body.get("fragments"), **rate)
    guess = found.estimate
    return {
        "name": found.order.name,
        "file": found.file_name,
        "format": found.format,
        "size": found.size,
        "fragment_size": found.fragment_size,
        "fragments": found.fragments,
        "fixed": found.fixed,
        "estimate": {
            "cycles": guess.cycles,
            "rest_seconds": guess.rest_seconds,
            "transfer_seconds": guess.transfer_seconds,
            "contact_seconds": guess.contact_seconds,
            "timeout_seconds": guess.timeout_seconds,
            "seconds": guess.seconds,
            "never": guess.never,
            "gives_up": guess.gives_up,
        },
    }


async def build(call: Call) -> object:
    """Build the package, or change it where the draft is of an edit; the job's result is its id."""
    draft, size = await find_draft(call.desk, call.path("draft")), _size(call.body)

    async def work(progress: Progress) -> dict[str, object]:
        package = await build_draft(call.desk, draft.id, size, progress)
        return {"package": package.id, "name": package.order.name}

    return await jobs.begin(call, "Building the package", "/packages", work)


def _size(body: Any) -> str | None:
    size = body.get("fragment_size")
    return None if size is None else str(size)


def _range(call: Call) -> tuple[int, int | None]:
    """Where the body belongs in the file, and how long the whole is, as far as the request says it. Raises Refusal."""
    offset, length = call.query.get("offset"), call.request.content_length
    header = call.request.headers.get("Content-Range")
    if header is None:
        offset = offset or 0
        return offset, None if length is None else offset + length
    match = RANGE.fullmatch(header.strip())
    if match is None:
        raise wrong("Content-Range", NO_RANGE)
    if offset not in (None, int(match[1])):
        raise wrong("offset", TWO_OFFSETS)
    return int(match[1]), int(match[2]) if match[2] else None


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    """The bytes of a body as they come. Raises Refusal where nothing comes any more."""
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                chunk = await request.content.readany()
        except TimeoutError:
            raise Refusal(Kind.BUSY, ENDED) from None
        if not chunk:
            return
        yield chunk


async def _document(call: Call, draft: Draft) -> dict[str, Any]:
    return {
        "id": draft.id,
        "package": draft.package,
        "changed_at": iso(draft.changed_at),
        "form": dict(draft.form),
        **_file(await received(call.desk, draft.id)),
    }


def _file(file: Received) -> dict[str, Any]:
    return {"file": file.file_name, "size": file.size, "offset": file.done, "complete": file.complete}


ROUTES = (
    ApiRoute("GET", "/api/v1/drafts", listed, doc=Doc(told(drafts=rows(DRAFT)))),
    ApiRoute(
        "POST",
        "/api/v1/drafts",
        begin,
        doc=Doc(DRAFT, asked("", package=text("Its edit.", pattern="^[0-9]{10}$"), **FORM), status=201),
    ),
    ApiRoute("GET", "/api/v1/drafts/{draft}", show, doc=Doc(DRAFT)),
    ApiRoute("PATCH", "/api/v1/drafts/{draft}", change, doc=Doc(DRAFT, asked("", **FORM))),
    ApiRoute("DELETE", "/api/v1/drafts/{draft}", drop),
    ApiRoute(
        "POST",
        "/api/v1/drafts/{draft}/check",
        check,
        doc=Doc(body=asked("", file=text("Its name.", maxLength=LONGEST_FILE_NAME))),
    ),
    ApiRoute(
        "POST",
        "/api/v1/drafts/{draft}/file",
        announce,
        doc=Doc(
            UPLOADED,
            asked("file", file=text("Its name.", maxLength=LONGEST_FILE_NAME), size=number("Bytes.", 1)),
        ),
    ),
    ApiRoute(
        "PUT",
        "/api/v1/drafts/{draft}/file",
        send,
        doc=Doc(
            UPLOADED,
            query={
                "name": text("Of the file.", maxLength=LONGEST_FILE_NAME),
                "offset": number("Where the body belongs in the file."),
            },
            headers={"Content-Range": text("bytes FIRST-LAST/SIZE, instead of offset.")},
            streams=True,
        ),
    ),
    ApiRoute(
        "POST",
        "/api/v1/drafts/{draft}/look",
        look,
        doc=Doc(
            PREPARED,
            asked(
                "",
                fragment_size=SIZE,
                fragments=number("How many there shall be.", 1, 10**6),
                rate=number("Bytes a second between a computer and the fragments.", 1),
            ),
        ),
    ),
    ApiRoute("POST", "/api/v1/drafts/{draft}/build", build, doc=jobs.beginning(asked("", fragment_size=SIZE))),
)
