"""Files that never change under their address: it holds a digest of the content, so browsers keep them for good.

Our own lie in static/, other people's in static/vendor/, where the build puts them.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

from appliance.domain.refusal import Kind, Refusal

ROUTE = "/static/{digest}/{name:.+}"
FOREVER = "public, max-age=31536000, immutable"
NEEDED = ("bootstrap.min.css", "bootstrap.bundle.min.js", "htmx.min.js", "icons.svg")  # below vendor/
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
COMPRESSED = {".css", ".js", ".svg", ".txt"}


@dataclass(frozen=True)
class File:
    """One file in memory."""

    content: bytes
    suffix: str
    digest: str

    @cached_property
    def packed(self) -> bytes:
        """The content with gzip, made when a browser first asks for it."""
        return gzip.compress(self.content, 9, mtime=0)


class Static:
    """All static files, read once."""

    def __init__(self, folder: Traversable) -> None:
        """Read them. Raises Refusal(MISSING) in a checkout where the build has not put other people's files yet."""
        self._files = dict(_read(folder, ""))
        absent = [name for name in NEEDED if f"vendor/{name}" not in self._files]
        if absent:
            raise Refusal(
                Kind.MISSING,
                "the console's files {names} are missing; run `python3 build/make.py assets`, which fetches them.",
                names=", ".join(absent),
            )

    def url(self, name: str) -> str:
        """The address of a file, "console.css" or "vendor/htmx.min.js"; a name that is not there is a bug."""
        return f"/static/{self._files[name].digest}/{name}"

    async def handler(self, request: web.Request) -> web.Response:
        """Answer GET and HEAD. An address with another digest is one of another version: 404, and never kept."""
        name = request.match_info["name"]
        file = self._files.get(name)
        if file is None or file.digest != request.match_info["digest"]:
            raise web.HTTPNotFound()
        headers = {"Content-Type": TYPES[file.suffix], "Cache-Control": FOREVER}
        if file.suffix not in COMPRESSED:
            return web.Response(body=file.content, headers=headers)
        headers["Vary"] = "Accept-Encoding"
        if not takes_gzip(request.headers.get("Accept-Encoding", "")):
            return web.Response(body=file.content, headers=headers)
        return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})


@cache
def static() -> Static:
    """The files of this appliance, read when they are first asked for."""
    return Static(resources.files("appliance.web").joinpath("static"))


def static_url(name: str) -> str:
    """The address of a static file, for templates."""
    return static().url(name)


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    weights = {}
    for part in accepted[:500].lower().split(","):
        name, _, rest = part.strip().partition(";")
        weights[name.strip()] = rest.replace(" ", "").rstrip("0.") != "q="
    return weights.get("gzip", weights.get("*", False))


def _read(folder: Traversable, above: str) -> list[tuple[str, File]]:
    found: list[tuple[str, File]] = []
    for entry in folder.iterdir() if folder.is_dir() else ():
        suffix = f".{entry.name.rpartition('.')[2]}"
        if entry.is_dir():
            found += _read(entry, f"{above}{entry.name}/")
        elif suffix in TYPES and not entry.name.startswith("."):
            content = entry.read_bytes()
            found.append((f"{above}{entry.name}", File(content, suffix, hashlib.sha256(content).hexdigest()[:12])))
    return found
