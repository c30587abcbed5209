"""What the first page shows: numbers counted from the rows, what was done first, what runs, what needs a hand."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.status import Stage
from appliance.operations.certificates import export_authority
from appliance.operations.desk import Desk
from appliance.operations.nightly import LastBackup, last_backup
from appliance.store import configuration, overview
from appliance.store.overview import Running

DAY = 86_400


@dataclass(frozen=True)
class Overview:
    """The state of the whole. Stages count affectations; `disk` is bytes: free, and of the whole disk."""

    computers: int
    seen_today: int
    packages: int
    activated: int
    stages: dict[Stage, int]
    running: tuple[Running, ...]  # packages with computers that have no outcome yet, newest first
    disk: tuple[int, int]
    backup: LastBackup | None  # None: none was made yet by the server


@dataclass(frozen=True)
class Doorway:
    """Where agents find this server, for lines to paste."""

    host: str  # as it stands in an address
    http_port: int
    https_port: int
    bundle_sha256: str


async def overview_of(desk: Desk) -> Overview:
    """The numbers of the first page. Raises Refusal for whoever is no administrator."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        computers, seen = await overview.computers(tx, tx.now - DAY)
        packages, activated = await overview.packages(tx)
        stages = await overview.stages(tx)
        running = await overview.running(tx, 8)
    usage = shutil.disk_usage(desk.shelf.folder)
    disk = (usage.free, usage.total)
    return Overview(computers, seen, packages, activated, stages, tuple(running), disk, await last_backup(desk))


async def doorway(desk: Desk) -> Doorway:
    """Addresses and the digest of cacert.pem, as the server that runs wrote them down."""
    bundle = await export_authority(desk)
    async with desk.store.reading() as tx:
        runtime = await configuration.runtime(tx)
    host = runtime.get("server_name", "localhost")
    return Doorway(
        f"[{host}]" if ":" in host else host,
        int(runtime.get("http_port", "8080")),
        int(runtime.get("https_port", "4343")),
        hashlib.sha256(bundle.encode()).hexdigest(),
    )
