"""`agent status`: what is in the spool, what was deployed, what comes next. Reads only, also while an agent works."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from appliance.agent import basedir, memory, spool
from appliance.agent.failure import Unusable
from appliance.agent.files import Files
from appliance.agent.log import escaped
from appliance.agent.record import Phase
from appliance.agent.spool import Holding, Spool
from appliance.clock import Clock, iso
from appliance.domain.status import meaning

SHOWN_OUTPUT = 3  # lines of a result's output in the table; --json has all that is kept

_DOING = {
    Phase.ANNOUNCED: "announced; its info file is not here yet",
    Phase.INFO: "fetching",
    Phase.REJECTED: "fetching",
    Phase.VERIFIED: "verified; its action comes next",
    Phase.ARMED: "its command is running",
    Phase.STARTED: "its command is running",
    Phase.EXITED: "its command has ended",
    Phase.RESULT: "the server has not acknowledged its result yet",
    Phase.ACKED: "done",
}


def show(folder: Path, clock: Clock, *, as_json: bool) -> int:
    """Print it; the exit code."""
    document = collect(folder, clock)
    if as_json:
        print(json.dumps(document, indent=1, ensure_ascii=True))
    else:
        print(_text(document))
    return 0


def collect(folder: Path, clock: Clock) -> dict[str, Any]:
    """The stable document of `status --json`; moments as 2026-11-21T09:30:00Z, null for never. Raises Unusable."""
    place = folder / basedir.SPOOL
    if not os.access(folder, os.R_OK | os.X_OK):
        why = "cannot be read; ask as its owner" if folder.exists() else "does not exist: no agent ran here"
        raise Unusable(f"The base directory {folder} {why}.")
    known = memory.load(place)
    held = Spool(place, clock, Files())
    held.load()
    results = spool.results(place)
    return {
        "deviceid": known.device_id,
        "basedir": str(folder),
        "running": basedir.is_held(folder),
        "last_contact": _moment(known.last_contact),
        "last_inventory": _moment(known.last_inventory),
        "next_contact": _moment(known.next_contact),
        "trouble": known.trouble,
        "account": known.account,
        "deployment": None if known.tempo is None else known.tempo.on,
        "spool": [_package(held, holding) for holding in held.holdings.values()],
        "results": [{**result, "at": _moment(result["at"])} for result in results],
        "installed": held.history(),
    }


def _package(held: Spool, holding: Holding) -> dict[str, Any]:
    record, info = holding.record, holding.info
    known = spool.describe(record, held.output(record.package))
    fragments = info.fragments if info else None
    return {
        **known,
        "name": holding.name,
        "at": _moment(record.at),
        "phase": record.phase.value,
        "doing": _DOING[record.phase],
        "announced": _moment(record.first_at),
        "action": info.action.value if info else None,
        "priority": info.priority if info else None,
        "fragments": fragments,
        "fetched": None if fragments is None else fragments - len(holding.missing),
    }


def _moment(at: int) -> str | None:
    return iso(at) if at else None


def _text(document: dict[str, Any]) -> str:
    lines = [f"Computer       {document['deviceid'] or 'not known yet: no contact was made'}"]
    lines.append(f"Agent          {'running' if document['running'] else 'not running'}, in {document['basedir']}")
    for title, key in (("Last contact", "last_contact"), ("Next contact", "next_contact")):
        lines.append(f"{title:15}{document[key] or 'none'}")
    if document["trouble"]:
        lines.append(f"Trouble        {document['trouble']}")
    if document["deployment"] is False:
        lines.append("Deployment     switched off by the server")
    lines.append("")
    lines.append("In the spool:" if document["spool"] else "Nothing is in the spool.")
    for package in document["spool"]:
        far = f", {package['fetched']} of {package['fragments']} fragments" if package["fragments"] else ""
        code = f" {package['status']}" if package["status"] else ""
        lines.append(f"  {package['package']}  {package['name'] or '-'}: {package['doing']}{code}{far}")
    lines.append("")
    lines.append("Deployed:" if document["results"] else "Nothing was deployed yet.")
    for result in document["results"]:
        lines.append(f"  {result['package']}  {result['at']}  {result['name'] or '-'}: {result['status']}")
        if result["status"] != "SUCCESS":
            lines.append(f"      {result['why'] or meaning(result['status'])}")
            lines += [f"      | {text}" for text in result["output"].splitlines()[-SHOWN_OUTPUT:]]
    encoding = sys.stdout.encoding or "ascii"
    return "\n".join(map(escaped, lines)).encode(encoding, errors="replace").decode(encoding)
