"""URL paths, fragment names and locations `host[:port]/folder`. Source: protocol.md 3, product.md 2 and 3."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from appliance.domain.package import PackageId
from appliance.domain.refusal import invalid

CONTACT = "/ocsinventory"
DEPOT = "/download"
INFO = "info"
MANIFEST = "manifest"

_HOST = re.compile(
    r"^(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<folder>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/?$"
)


@dataclass(frozen=True)
class Location:
    """Where a folder of packages is served: `host[:port]/folder`, no scheme."""

    host: str
    port: int | None
    folder: str  # starts with / or is empty

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.folder}" if self.port else f"{host}{self.folder}"


def parse_location(text: str, field: str) -> Location:
    """The Location in what a person typed, a leading scheme dropped. Raises Refusal(INVALID) naming the field."""
    bare = re.sub(r"^https?://", "", text.strip(), flags=re.IGNORECASE)
    match = _HOST.match(bare)
    port = int(match.group("port")) if match and match.group("port") else None
    fits = match and len(bare) <= 255 and (port is None or 1 <= port <= 65535)
    if not match or not fits or not _is_v6(match.group("v6")):
        raise invalid(field, "{text!r} is not host:port/folder, such as ocs.example.org:4343/download.", text=text[:80])
    return Location(match.group("v6") or match.group("name"), port, match.group("folder") or "")


def _is_v6(text: str | None) -> bool:
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def fragment_name(package: PackageId, number: int) -> str:
    """The file name of a fragment, numbered from 1."""
    return f"{package}-{number}"


def info_url(location: str, package: PackageId) -> str:
    """Where agents fetch the info file: always https."""
    return f"https://{location.rstrip('/')}/{package}/{INFO}"


def manifest_url(location: str, package: PackageId) -> str:
    """Where our agent fetches the manifest: beside info, always https."""
    return f"https://{location.rstrip('/')}/{package}/{MANIFEST}"


def fragment_url(scheme: str, location: str, package: PackageId, number: int) -> str:
    """Where agents fetch a fragment; scheme is `http` or `https`, as the info file's PROTO says."""
    return f"{scheme}://{location.rstrip('/')}/{package}/{fragment_name(package, number)}"


def fragment_number(package: str, name: str) -> int | None:
    """The number in `<package>-<n>` without leading zeros, or None when name is no such fragment."""
    match = re.fullmatch(rf"{re.escape(package)}-([1-9][0-9]{{0,5}})", name)
    return int(match.group(1)) if match else None
