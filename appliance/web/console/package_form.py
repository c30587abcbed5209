"""The form of a package, for a new one and for an edit: what it shows, how it is read, and its file on the way.

With scripts the form comes alone first and the file in slices (upload.js); without, both come in one body, the
file at its place among them. Either way the file goes into a draft as it arrives and is never whole in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, MultipartReader, web

from appliance.domain.draft import FIELDS, Draft, form_of
from appliance.domain.package import Action, Protocol, System
from appliance.domain.recipes import RECIPES, Recipe, Takes, recipe_of
from appliance.domain.refusal import Kind, Refusal, invalid
from appliance.operations.check_form import check_form
from appliance.operations.drafts import Received, announce_file, change_draft, receive
from appliance.operations.edit_package import EditFacts
from appliance.web.console.forms import LARGEST_FORM, MOST_FIELDS, Form
from appliance.web.console.frame import TOKEN_FIELD, TOKEN_HEADER, Visit, json_of
from appliance.web.console.words import N_
from appliance.web.refusals import STATUS

SILENCE_SECONDS = 60.0  # in which a body that comes must bring something
READ = 256 * 1024
BATCH = 1024 * 1024
SLICE = 32 * 1024 * 1024  # what is lost with a connection is only what was under way in it

SYSTEM_NAMES: Mapping[System, str] = {System.WINDOWS: "Windows", System.LINUX: "Linux", System.MACOS: "macOS"}
ACTION_NAMES: Mapping[Action, str] = {
    Action.LAUNCH: N_("Launch"),
    Action.EXECUTE: N_("Execute"),
    Action.STORE: N_("Store"),
}
ACTION_HINTS: Mapping[Action, str] = {
    Action.LAUNCH: N_("Launch – unpack the file and start a program in it"),
    Action.EXECUTE: N_("Execute – run any command, with or without a file"),
    Action.STORE: N_("Store – unpack the file into a folder, nothing is run"),
}
FIRST = (("recipe", ""), ("priority", "5"), ("protocol", Protocol.HTTP.value), ("action", Action.LAUNCH.value))

# What upload.js says; {places} are filled in by it.
SPOKEN: Mapping[str, str] = {
    "sending": N_("Sending {file}"),
    "share": N_("{done} of {size}"),
    "rate": N_("{rate} a second, {left} left"),
    "lost": N_("The connection is lost. It goes on by itself; what has arrived stays."),
    "paused": N_("Paused. What has arrived stays."),
    "arrived": N_("All of it has arrived. Looking into it …"),
    "ended": N_("You are signed out. Sign in in another tab, then go on here."),
    "stop": N_("Pause"),
    "go": N_("Go on"),
}


@dataclass(frozen=True)
class FormPage:
    """The form. `draft`: begun before; `edit`: of a package that is there."""

    form: Form
    action: str  # where it goes
    recipe: Recipe | None
    draft: Draft | None = None
    received: Received | None = None
    edit: EditFacts | None = None
    drafts: tuple[Draft, ...] = ()  # that were begun
    recipes: tuple[Recipe, ...] = RECIPES
    system_choices: tuple[tuple[str, str], ...] = tuple((one.value, name) for one, name in SYSTEM_NAMES.items())
    protocol_choices: tuple[tuple[str, str], ...] = tuple((one.value, one.value) for one in Protocol)
    action_hints: Mapping[Action, str] = field(default_factory=lambda: ACTION_HINTS)
    slice_size: int = SLICE
    spoken: str = ""

    @property
    def takes_script(self) -> bool:
        """Whether a script is typed instead of a file."""
        return self.recipe is not None and self.recipe.takes is Takes.SCRIPT

    @property
    def systems(self) -> tuple[tuple[str, str], ...]:
        """The operating systems that may be chosen."""
        known = self.recipe.systems if self.recipe else tuple(SYSTEM_NAMES)
        return tuple((one.value, name) for one, name in SYSTEM_NAMES.items() if one in known)

    @property
    def half(self) -> Received | None:
        """What has arrived of a file that is not there whole."""
        return self.received if self.received and self.received.file_name and not self.received.complete else None


def blank(recipe: str) -> tuple[Form, Recipe | None]:
    """An empty form, filled in by a recipe where one is named. Raises Refusal."""
    values = {**dict(FIRST), "recipe": recipe}
    found = recipe_of(values)
    return Form({name: (value,) for name, value in {**values, **(found.values if found else {})}.items()}), found


def filled(values: Mapping[str, str]) -> Form:
    """The form with a draft's or a package's values."""
    return Form({name: (value,) for name, value in {**dict(FIRST), **values}.items()})


def form_page(visit: Visit, form: Form, action: str, **more: object) -> FormPage:
    """The page for a form that may have been refused."""
    spoken = json_of({name: visit.say(text) for name, text in SPOKEN.items()})
    name = form.raw("recipe")
    recipe = next((one for one in RECIPES if one.id == name), None)
    return FormPage(form, action, recipe, spoken=spoken, **more)  # type: ignore[arg-type]


def edit_values(facts: EditFacts) -> Mapping[str, str]:
    """The form's values for a package as it stands."""
    return form_of(facts.package.order)


# Reading


@dataclass
class Sent:
    """What a form brings, read up to its file, and on from there once that was read."""

    fields: dict[str, list[str]]
    file: BodyPartReader | None = None
    reader: MultipartReader | None = None
    room: int = LARGEST_FORM  # bytes that its fields may still have
    trusted: bool = False  # its token was this visitor's

    @property
    def form(self) -> Form:
        """What was read so far."""
        return Form(self.fields)

    @property
    def values(self) -> dict[str, str]:
        """The package's fields among it."""
        return {name: self.fields[name][0] for name in FIELDS if name in self.fields}


async def read(visit: Visit) -> Sent:
    """The form's fields, up to its file. Raises Refusal, first of all where the token is not this visitor's."""
    request = visit.request
    if request.content_type == "application/x-www-form-urlencoded":
        return Sent({name: list(values) for name, values in visit.fields.values.items()}, trusted=True)
    sent = Sent({}, trusted=TOKEN_HEADER in request.headers)  # then the frame has looked at it
    if request.content_type == "multipart/form-data":
        try:
            sent.reader = await request.multipart()
        except (ValueError, AssertionError):
            raise _odd() from None
        await read_on(visit, sent)
    if not sent.trusted:
        visit.check_token("")
    if sent.reader is None:
        raise _odd()
    return sent


async def read_on(visit: Visit, sent: Sent) -> None:
    """Read fields up to the file, or to the end. Raises Refusal."""
    if sent.reader is None:
        return
    had_file, sent.file = sent.file is not None, None
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            while (part := await sent.reader.next()) is not None:
                if not isinstance(part, BodyPartReader) or not part.name or len(sent.fields) > MOST_FIELDS:
                    raise _odd()
                if part.name == "file":
                    if not sent.trusted:
                        visit.check_token("")
                    if part.filename and had_file:
                        raise _odd()
                    if part.filename:
                        sent.file = part
                        return
                    continue  # no file was chosen
                text = await _text(part, sent)
                if part.name == TOKEN_FIELD and not sent.trusted:
                    visit.check_token(text)
                    sent.trusted = True
                sent.fields.setdefault(part.name, []).append(text)
    except (ValueError, AssertionError, TimeoutError):
        raise _odd() from None


async def _text(part: BodyPartReader, sent: Sent) -> str:
    data = bytearray()
    while chunk := await part.read_chunk(READ):
        data += chunk
        sent.room -= len(chunk)
        if sent.room < 0:
            raise Refusal(
                Kind.TOO_LARGE, "the form is larger than {largest} bytes; send less at once.", largest=LARGEST_FORM
            )
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", "")


def _odd() -> Refusal:
    return Refusal(Kind.INVALID, "the form came in a shape that is not known; open the page again.")


# The file


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """The bytes of a body as they come. Raises Refusal where nothing comes any more."""
    content = request.content

    async def more() -> bytes:
        return content.read_nowait() or await content.readany()  # empty at the end only

    async for batch in _gathered(more):
        yield batch


async def _bytes_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    async def more() -> bytes:
        chunk = b""
        try:
            while not chunk and not part.at_eof():
                chunk = await part.read_chunk(READ)
        except (ValueError, AssertionError):
            raise Refusal(Kind.INVALID, "the upload ended before the file did; send it again.", "file") from None
        return chunk

    async for batch in _gathered(more):
        yield batch


async def _gathered(more: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    """What `more` brings, until it brings nothing, in batches: threads that take over every few KiB cost more than
    their work. What came before an error is not lost.
    """
    batch: list[bytes] = []
    size, chunk = 0, b"-"
    try:
        while chunk:
            until = asyncio.get_running_loop().time() + SILENCE_SECONDS
            async with asyncio.timeout_at(until) as limit:
                while chunk and size < BATCH:
                    chunk = await more()
                    batch.append(chunk)
                    size += len(chunk)
                    now = asyncio.get_running_loop().time()
                    if until < now + SILENCE_SECONDS / 2:  # a slow line fills a batch slowly
                        until = now + SILENCE_SECONDS
                        limit.reschedule(until)
            whole, batch, size = b"".join(batch), [], 0
            if whole:
                yield whole
    except TimeoutError:
        if size:
            yield b"".join(batch)
        raise _silent() from None
    except Exception:
        if size:
            yield b"".join(batch)
        raise


def _silent() -> Refusal:
    return Refusal(Kind.BUSY, "nothing came for {seconds} s; go on with the upload.", seconds=int(SILENCE_SECONDS))


async def store_file(visit: Visit, draft: Draft, sent: Sent) -> Draft:
    """Put a form's file into its draft as it comes, and the fields behind it. Raises Refusal."""
    assert sent.file is not None
    await announce_file(visit.desk, draft.id, sent.file.filename or "")
    await receive(visit.desk, draft.id, 0, _bytes_of(sent.file))
    await read_on(visit, sent)
    return await change_draft(visit.desk, draft.id, sent.values)


def wants_json(visit: Visit) -> bool:
    """Whether upload.js asks."""
    return "application/json" in visit.request.headers.get("Accept", "")


async def begin_upload(
    visit: Visit, sent: Sent, opened: Callable[[Mapping[str, str]], Awaitable[Draft]], package: str | None
) -> web.Response:
    """The form alone, from upload.js: checked, kept as a draft, its file announced; where the file goes on."""
    form = sent.form
    try:
        name, size = form.text("file-name"), form.whole("file-size")
        if not name or size is None:
            raise invalid("file", "choose a file.")
        await check_form(visit.desk, sent.values, name, package)
        draft = await opened(sent.values)
    except Refusal as refusal:
        return refused_json(visit, refusal)
    address = f"/packages/drafts/{draft.id}"
    try:
        at = await announce_file(visit.desk, draft.id, name, size)
    except Refusal as refusal:
        return refused_json(visit, refusal, address=address)
    return web.json_response({"address": address, "offset": at.done, "size": at.size})


def refused_json(visit: Visit, refusal: Refusal, **more: object) -> web.Response:
    """A refusal for upload.js."""
    told = {"field": refusal.field, "sentence": visit.words.refusal(refusal), **more}
    return web.json_response(told, status=STATUS[refusal.kind])
