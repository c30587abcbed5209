"""Fetching: info and manifest when a package is announced, then its fragments one by one, each verified as it arrives.

Source: protocol.md 4 and 5.1; product.md 2; security.md R1, R2, A4-A6, A11.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from urllib.parse import urlsplit

from appliance.agent.failure import Failure, Spoiled, Unreachable
from appliance.agent.files import NO_SPACE, open_part, open_read
from appliance.agent.remote import checked_location
from appliance.agent.schedule import moment
from appliance.agent.world import World
from appliance.domain.fragments import MOST_FRAGMENTS, show_size
from appliance.domain.messages import Pack
from appliance.domain.package import Info, Manifest, PackageId
from appliance.wire import info as info_wire
from appliance.wire import manifest as manifest_wire
from appliance.wire import paths
from appliance.wire.malformed import Malformed

PIECE = 256 * 1024
RESERVE = 4 * 1024 * 1024  # bytes of the disk that are left for journals and everybody else


def fetch_info(world: World, pack: Pack) -> None:
    """Fetch, check and keep a package's info and manifest. Raises Failure with the code to report."""
    try:
        raw = world.remote.info(pack.info_location, pack.package)
        info = info_wire.decode(raw)
    except info_wire.BadParameter as error:
        raise Failure("ERR_BAD_PARAM", f"In the server's answer: {error}.") from None
    except (Unreachable, Malformed) as error:
        raise Failure("ERR_DOWNLOAD_INFO", str(error)) from None
    if info.package != pack.package:
        raise Failure("ERR_BAD_ID", f"The info file is that of {info.package!r}.")
    if info.fragments > MOST_FRAGMENTS:
        raise Failure("ERR_BAD_PARAM", f"{info.fragments} fragments are more than {MOST_FRAGMENTS}.")
    moment(pack.schedule)
    world.spool.learn(pack.package, raw, _manifest(world, pack, raw, info))


def _manifest(world: World, pack: Pack, raw_info: bytes, info: Info) -> bytes | None:
    """The manifest's bytes, checked against the info file; None where this server never had one.

    A server that once had manifests and now has none may be somebody else's: refused.
    """
    server = urlsplit(f"https://{pack.info_location}").netloc.lower()
    try:
        raw = world.remote.manifest(pack.info_location, pack.package)
        manifest = manifest_wire.decode(raw) if raw is not None else None
    except (Unreachable, Malformed) as error:
        raise Failure("ERR_DOWNLOAD_INFO", f"The manifest: {error}") from None
    if manifest is None:
        if server in world.memory.manifest_hosts:
            raise Failure("ERR_DOWNLOAD_INFO", f"{server} has served manifests before, and has none for this package.")
        return None
    if (
        manifest.package != info.package
        or manifest.info_sha256 != hashlib.sha256(raw_info).hexdigest()
        or len(manifest.pieces) != info.fragments
        or sum(piece.size for piece in manifest.pieces) != manifest.size
    ):
        raise Failure("ERR_DOWNLOAD_INFO", "The manifest is not that of the info file beside it.")
    if server not in world.memory.manifest_hosts:
        world.memory.manifest_hosts.append(server)
        world.remember()
    return raw


def fetch_fragment(world: World, package: PackageId, number: int) -> None:
    """Fetch one fragment, or the rest of it, and keep it. Raises Unreachable (try again), Failure (give up)."""
    holding = world.spool.holdings[package]
    info, manifest = holding.info, holding.manifest
    if info is None:
        raise AssertionError("a package without info has no fragments to fetch")
    location = checked_location(holding.record.pack.fragment_location)
    url = paths.fragment_url(info.protocol.value.lower(), location, package, number)
    if manifest is not None:
        # the fragments that are missing, and what is unpacked from all of them, which is hardly ever less
        missing = min(manifest.size, len(holding.missing) * manifest.pieces[0].size)
        with contextlib.suppress(OSError):
            missing -= world.spool.part_path(package, number).stat().st_size
        what = f"{show_size(missing)} to download and {show_size(manifest.size)} at least to unpack"
        check_space(world, missing + manifest.size, what)
    try:
        digest = _receive(world, package, number, url, manifest)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise Failure("ERR_OUT_OF_SPACE", "No space is left on the disk for the package's fragments.") from None
        raise Unreachable(f"Fragment {number} cannot be kept: {error.strerror or error}.") from None
    if manifest is not None and digest != manifest.pieces[number - 1].sha256:
        world.spool.files.remove(world.spool.part_path(package, number))
        raise Spoiled(f"Fragment {number} is not what was built; it is thrown away.")
    world.spool.keep_fragment(package, number)


def _receive(world: World, package: PackageId, number: int, url: str, manifest: Manifest | None) -> str:
    """The bytes into the fragment's part; its SHA-256 in hex. What is there already is gone on with only where a
    manifest will tell whether the two halves belong together."""
    part = world.spool.part_path(package, number)
    size = manifest.pieces[number - 1].size if manifest else None
    digest = hashlib.sha256()
    there = 0
    if size is not None and part.exists() and not part.is_symlink() and part.stat().st_size < size:
        with open_read(part) as file:
            while block := file.read(PIECE):
                digest.update(block)
                there += len(block)
    incoming = world.remote.fragment(url, start=there, size=size)
    if manifest is None and incoming.size is not None:
        left = incoming.size * len(world.spool.holdings[package].missing)  # fragments are alike, but for the last one
        check_space(world, left, f"about {show_size(left)} to download")
    if incoming.start != there:
        digest, there = hashlib.sha256(), 0
    of = len(manifest.pieces) if manifest else 0
    what = f"{package} fragment {number}" + (f" of {of}" if of else "")
    with open_part(part, start=incoming.start) as file:
        for piece in incoming.pieces:
            file.write(piece)
            digest.update(piece)
            there += len(piece)
            world.log.progress(what, there, incoming.size)
    return digest.hexdigest()


def check_space(world: World, needed: int, what: str) -> None:
    """Raise Failure(ERR_OUT_OF_SPACE) where the spool's disk has less than is needed, with the numbers."""
    free = shutil.disk_usage(world.spool.folder).free
    if free < needed + RESERVE:
        raise Failure(
            "ERR_OUT_OF_SPACE",
            f"{show_size(needed + RESERVE)} must be free ({what}, {show_size(RESERVE)} in reserve);"
            f" {show_size(free)} are.",
        )
