"""`agent status`: what is in the spool, what was deployed, what comes next. Reads only, also while an agent works."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from appliance.agent import basedir, membership, memory, results
from appliance.agent.failure import Unusable
from appliance.agent.files import Files
from appliance.agent.log import escaped
from appliance.agent.memory import Memory
from appliance.agent.readiness import reason, starts_at
from appliance.agent.record import Phase
from appliance.agent.spool import Holding, Spool
from appliance.clock import Clock, iso
from appliance.domain.status import meaning

SHOWN_OUTPUT = 3  # lines of a result's output in the table; --json has all that is kept

_DOING = {
    Phase.ANNOUNCED: "announced",
    Phase.INFO: "fetching",
    Phase.VERIFIED: "about to act",
    Phase.ARMED: "running",
    Phase.STARTED: "running",
    Phase.EXITED: "ended",
    Phase.RESULT: "to be told",
    Phase.ACKED: "told",
    Phase.POST_ARMED: "POSTCMD",
    Phase.POST_EXITED: "told",
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
    joined, fault = _membership(folder, clock.now())
    held = Spool(place, clock, Files())
    held.load()
    done = results.read(place)
    return {
        "deviceid": known.device_id,
        "basedir": str(folder),
        "running": basedir.is_held(folder),
        "membership": joined,
        "membership_fault": fault,
        "last_contact": _moment(known.last_contact),
        "last_inventory": _moment(known.last_inventory),
        "next_contact": _moment(known.next_contact),
        "trouble": known.trouble,
        "account": known.account,
        "deployment": None if known.tempo is None else known.tempo.on,
        "spool": [_package(held, holding, known, clock.now()) for holding in held.holdings.values()],
        "results": [{**result, "at": _moment(result["at"])} for result in done],
        "installed": held.history(),
    }


def _membership(folder: Path, now: int) -> tuple[dict[str, Any] | None, str]:
    """What this computer joined, and what is wrong with that; None where it joined nothing."""
    try:
        member = membership.load(folder)
    except Unusable as error:
        return None, str(error)
    if member is None:
        return None, ""
    due = membership.is_due(member, folder / basedir.BUNDLE, now)
    return {
        "server": member.server,
        "deviceid": member.device_id,
        "serial": member.serial,
        "expires": _moment(member.expires_at),
        "renew_after": _moment(member.renew_after),
        "state": "ended" if now >= member.expires_at else "due" if due else "good",
    }, ""


def _package(held: Spool, holding: Holding, at: Memory, now: int) -> dict[str, Any]:
    record, info = holding.record, holding.info
    known = results.describe(record, held.output(record.package))
    fragments = info.fragments if info else None
    return {
        **known,
        "name": holding.name,
        "at": _moment(record.at),
        "phase": record.phase.value,
        "doing": _doing(holding),
        "reason": reason(holding, held.holdings.values(), at, now),
        "scheduled": _moment(starts_at(record)),
        "delays": record.delays,
        "announced": _moment(record.first_at),
        "action": info.action.value if info else None,
        "priority": info.priority if info else None,
        "fragments": fragments,
        "fetched": None if fragments is None else fragments - len(holding.missing),
    }


def _doing(holding: Holding) -> str:
    if holding.record.phase is Phase.INFO and not holding.missing and holding.info is not None:
        return "whole"
    return _DOING.get(holding.record.phase, "fetching")


def _moment(at: int) -> str | None:
    return iso(at) if at else None


def _identity(document: dict[str, Any]) -> str:
    joined = document["membership"]
    if joined is None:
        return document["membership_fault"] or "did not join a server"
    certificate = f"joined {joined['server']}, certificate {joined['serial']}"
    if joined["state"] == "ended":
        return f"{certificate} ended {joined['expires']}; `agent join` with a new token puts it right"
    then = "its renewal is due" if joined["state"] == "due" else f"renewed from {joined['renew_after']} on"
    return f"{certificate} until {joined['expires']}, {then}"


def _text(document: dict[str, Any]) -> str:
    lines = [f"Computer       {document['deviceid'] or 'not known yet: no contact was made'}"]
    lines.append(f"Agent          {'running' if document['running'] else 'not running'}, in {document['basedir']}")
    lines.append(f"Identity       {_identity(document)}")
    for title, key in (("Last contact", "last_contact"), ("Next contact", "next_contact")):
        lines.append(f"{title:15}{document[key] or 'none'}")
    if document["trouble"]:
        lines.append(f"Trouble        {document['trouble']}")
    if document["deployment"] is False:
        lines.append("Deployment     switched off by the server")
    lines.append("")
    lines.append("In the spool:" if document["spool"] else "Nothing is in the spool.")
    rows = []
    for package in document["spool"]:
        far = f"{package['fetched']} of {package['fragments']}" if package["fragments"] else "-"
        what = package["status"] or package["doing"]
        rows.append(
            (
                package["package"],
                package["name"] or "-",
                what,
                far,
                "-" if package["priority"] is None else str(package["priority"]),
            )
        )
    if rows:
        lines += _table([("  PACKAGE", "NAME", "STATE", "FRAGMENTS", "PRIORITY"), *rows], document["spool"])
    lines.append("")
    lines.append("Deployed:" if document["results"] else "Nothing was deployed yet.")
    for result in document["results"]:
        lines.append(f"  {result['package']}  {result['at']}  {result['name'] or '-'}: {result['status']}")
        if result["status"] != "SUCCESS":
            lines.append(f"      {result['why'] or meaning(result['status'])}")
            lines += [f"      | {text}" for text in result["output"].splitlines()[-SHOWN_OUTPUT:]]
    encoding = sys.stdout.encoding or "ascii"
    return "\n".join(map(escaped, lines)).encode(encoding, errors="replace").decode(encoding)


def _table(rows: list[tuple[str, ...]], packages: list[dict[str, Any]]) -> list[str]:
    """A line for the titles, then for each package one, and below it why it stands where it stands."""
    rows = [rows[0], *(("  " + row[0], *row[1:]) for row in rows[1:])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for number, package in enumerate(packages):
        lines.insert(2 + 2 * number, f"      {package['reason']}")
    return lines
