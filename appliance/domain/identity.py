"""Who a post is from, and what one may do that proves nothing. Source: security.md 5.2, A13, R12, R38."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from appliance.domain.computer import ComputerId
from appliance.domain.group import GroupId
from appliance.domain.refusal import invalid

REALM = "OCS Inventory agent area"  # as genuine servers have it, unless somebody chose another
LONGEST_NAME = 64


class Mode(str, Enum):
    """What posts may do that prove nothing. To a computer that joined they never do anything."""

    OPEN = "open"
    OBSERVE = "observe"
    PROTECT = "protect"
    CLOSED = "closed"


MEANING: Mapping[Mode, str] = {
    Mode.OPEN: "Computers are who they say; a new DEVICEID takes over the computer that it is like.",
    Mode.OBSERVE: "The same, and every such take-over is noted here.",
    Mode.PROTECT: "Take-overs wait for a decision, and newcomers get no packages before one.",
    Mode.CLOSED: "Only computers that joined are answered, and agents from the networks below or with a password for "
    "agents over https; take-overs wait for a decision.",
}


class Doubt(str, Enum):
    """Why a post could be somebody else's."""

    RENAME = "rename"
    MERGE = "merge"
    NEW = "new"
    IMPOSTOR = "impostor"
    CLONE = "clone"
    ADDRESS = "address"


ASKED: Mapping[Doubt, str] = {
    Doubt.RENAME: "A computer says that it was called otherwise before (OLD_DEVICEID).",
    Doubt.MERGE: "A computer is like another one.",
    Doubt.NEW: "A computer was never seen before.",
    Doubt.IMPOSTOR: "A post came in the name of a computer that joined, without its certificate.",
    Doubt.CLONE: "Two computers take turns under one DEVICEID.",
    Doubt.ADDRESS: "One certificate is used from two addresses in turns.",
}
# What each decision means; None where there is nothing to accept.
ACCEPT: Mapping[Doubt, str | None] = {
    Doubt.RENAME: "It is the same computer",
    Doubt.MERGE: "It is the same computer",
    Doubt.NEW: "Let it in",
    Doubt.IMPOSTOR: "Go on without a certificate",
    Doubt.CLONE: None,
    Doubt.ADDRESS: None,
}
REFUSE: Mapping[Doubt, str] = {
    Doubt.RENAME: "It is another computer",
    Doubt.MERGE: "It is another computer",
    Doubt.NEW: "Keep it out",
    Doubt.IMPOSTOR: "Dismiss",
    Doubt.CLONE: "Dismiss",
    Doubt.ADDRESS: "Dismiss",
}


class Decision(str, Enum):
    """What became of a doubt."""

    OPEN = ""
    HAPPENED = "happened"  # it was let through, and is only told of
    ACCEPTED = "accepted"
    REFUSED = "refused"


DECIDED: Mapping[Decision, str] = {
    Decision.OPEN: "waits for a decision",
    Decision.HAPPENED: "was let through",
    Decision.ACCEPTED: "was accepted",
    Decision.REFUSED: "was refused",
}


@dataclass(frozen=True)
class Ruling:
    """Whether a take-over happens at once, and whether it is told of."""

    happens: bool
    is_noted: bool


def rule(mode: Mode, *, joined: bool) -> Ruling:
    """What becomes of a take-over of one record by another. `joined`: a computer that joined is among the two."""
    if joined or mode in (Mode.PROTECT, Mode.CLOSED):
        return Ruling(happens=False, is_noted=True)
    return Ruling(happens=True, is_noted=mode is Mode.OBSERVE)


@dataclass(frozen=True)
class Member:
    """A computer that joined. `expires_at`: of its newest certificate."""

    computer: ComputerId
    joined_at: int
    expires_at: int
    fingerprint: str  # SHA-256 of the newest certificate
    serial: str


@dataclass(frozen=True)
class Case:
    """One doubt with the computers that it speaks of."""

    id: int
    doubt: Doubt
    computer: ComputerId
    name: str
    device_id: str
    other: ComputerId | None
    other_name: str
    other_device_id: str
    other_joined: bool
    address: str
    detail: str
    first_at: int
    last_at: int
    count: int
    held: bool
    decision: Decision
    decided_at: int | None
    decided_by: str


@dataclass(frozen=True)
class JoinToken:
    """A token as it is kept: without its secret."""

    id: int
    created_at: int
    created_by: str
    expires_at: int
    uses: int  # left
    tag: str
    group: GroupId | None
    group_name: str


@dataclass(frozen=True)
class AgentPassword:
    """A password for agents that cannot join, as it is kept: without the password. `name`: the user name."""

    id: int
    name: str
    created_at: int
    created_by: str
    used_at: int | None


def checked_agent_name(name: str) -> str:
    """A user name for agents, which their files and command lines take as it is. Raises Refusal."""
    name = name.strip()
    if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", name) or len(name) > LONGEST_NAME:
        raise invalid(
            "name",
            "{name!r} is no user name for agents: at most {longest} of a to z, digits and . _ -, no sign first.",
            name=name[:LONGEST_NAME],
            longest=LONGEST_NAME,
        )
    return name
