"""What agents download: info over TLS only, fragments everywhere; GET and HEAD.

Exact Content-Length, and never a 304, a redirect, chunks or an encoding: genuine agents break on them (security.md
R29). FileResponse is not used: over TLS it reaches a quarter of this loop, and it answers 304.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import BinaryIO

from aiohttp import web

from appliance.operations.certificates import export_authority
from appliance.operations.depot import open_fragment, read_description
from appliance.web.keys import AGENT_FILE, DESK, GATE, SELF_FILE
from appliance.web.refusals import line

PIECE = 256 * 1024
PIECE_SECONDS = 60.0  # a reader slower than 4 KiB/s is let go

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


async def fragment(request: web.Request) -> web.StreamResponse:
    """One fragment, whole or a range of it. 404 for what is not there, 503 for what is damaged."""
    found = await open_fragment(request.app[DESK], request.match_info["package"], request.match_info["name"])
    with found.file:
        return await send_file(request, found.file, found.size, f'"{found.sha256}"')


async def description(request: web.Request) -> web.Response:
    """The info file or the manifest."""
    name = request.rel_url.raw_path.rsplit("/", 1)[1]
    body = await read_description(request.app[DESK], request.match_info["package"], name)
    return web.Response(body=body, content_type="text/xml" if name == "info" else "application/json")


async def over_tls_only(_: web.Request) -> web.Response:
    """Info over plain HTTP could be forged on its way."""
    return line(403, "this is served over https only")


async def bundle(request: web.Request) -> web.Response:
    """cacert.pem, as it is now."""
    pem = await export_authority(request.app[DESK])
    return web.Response(body=pem.encode(), content_type="application/x-pem-file")


async def self_file(request: web.Request) -> web.StreamResponse:
    """The running file itself."""
    held = request.app[SELF_FILE]
    if held is None:
        return line(404, "this server does not run from a file of its own")
    with os.fdopen(os.dup(held.descriptor), "rb") as file:
        return await send_file(request, file, held.size, None)


async def agent_file(request: web.Request) -> web.Response:
    """The client alone: a fiftieth of the whole, the same words."""
    body = request.app[AGENT_FILE]
    if body is None:
        return line(404, "this server carries no agent file; it runs from a checkout")
    return web.Response(body=body, content_type="application/octet-stream")


async def send_file(request: web.Request, file: BinaryIO, size: int, etag: str | None) -> web.StreamResponse:
    """Stream a file of known size; a Range is honoured, conditions are not answered with 304."""
    span = _span(request, size, etag)
    if span is None:
        response = line(416, "there is no such range")
        response.headers["Content-Range"] = f"bytes */{size}"
        return response
    start, length = span
    answer = web.StreamResponse(status=200 if length == size else 206)
    answer.content_type = "application/octet-stream"
    answer.content_length = length
    answer.headers["Accept-Ranges"] = "bytes"
    if etag:
        answer.headers["ETag"] = etag
    if answer.status == 206:
        answer.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    await answer.prepare(request)
    if request.method != "HEAD":
        await _stream(request, answer, file, start, length)
    return answer


async def _stream(request: web.Request, answer: web.StreamResponse, file: BinaryIO, start: int, length: int) -> None:
    descriptor, end = file.fileno(), start + length
    while start < end:
        data = os.pread(descriptor, min(PIECE, end - start), start)  # a local disk: a thread would cost more
        if not data:
            break
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                await answer.write(data)
        except TimeoutError:
            break
        start += len(data)
        request.app[GATE].moved(request, len(data))
    if start < end and request.transport is not None:
        request.transport.abort()  # a body that stops short must look like a broken connection, not like an end


def _span(request: web.Request, size: int, etag: str | None) -> tuple[int, int] | None:
    """Start and length of what is asked for; None where there is no such range."""
    header = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    match = _RANGE.match(header.strip()) if header else None
    if match is None or (condition is not None and condition != etag):
        return 0, size  # no range, several, or one of another file
    first, last = match.groups()
    if not first and not last:
        return 0, size
    if not first:
        wanted = min(int(last), size)
        return (size - wanted, wanted) if wanted else None
    start = int(first)
    if last and int(last) < start:
        return 0, size  # no range at all
    end = min(int(last), size - 1) if last else size - 1
    return (start, end - start + 1) if start <= end else None
