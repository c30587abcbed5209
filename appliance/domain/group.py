"""Groups of computers: static ones hold who was put in, dynamic ones whoever fits a search; and why somebody is in.

Source: protocol.md 6, "Groups"; the manual, "Affect packages with user privilege".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NewType

from appliance.domain.account import Actor, Right
from appliance.domain.refusal import invalid
from appliance.domain.search import Criterion, Search

GroupId = NewType("GroupId", int)

LONGEST_NAME = 255
LONGEST_DESCRIPTION = 2000
GROUP_FIELD = "GROUP"  # the search field whose value is a group's name


@dataclass(frozen=True)
class Group:
    """One group. `search` None: static; else dynamic, evaluated whenever somebody asks. Moments in seconds."""

    id: GroupId
    name: str
    description: str
    search: Search | None
    visible: bool  # users may add and remove their own computers
    created_at: int
    changed_at: int

    @property
    def is_dynamic(self) -> bool:
        """Whether a search says who is in."""
        return self.search is not None


class Hand(str, Enum):
    """What somebody did by hand with one computer in one group."""

    NOTHING = "nothing"
    PUT_IN = "put in"
    LEFT_OUT = "left out"  # in dynamic groups only


class Ground(str, Enum):
    """Why a computer is or is not a member."""

    PUT_IN = "put in"
    NOT_PUT_IN = "not put in"
    EXCEPTION_IN = "exception in"
    EXCEPTION_OUT = "exception out"
    FITS = "fits"
    FITS_NOT = "does not fit"


# One whole sentence for each ground; it speaks of {computer} and {group}.
MEMBERSHIP: Mapping[Ground, str] = {
    Ground.PUT_IN: "{computer} is a member: it was put into the group.",
    Ground.NOT_PUT_IN: "{computer} is not a member: nobody put it into the group.",
    Ground.EXCEPTION_IN: "{computer} is a member: it was put in by hand, whatever the search says.",
    Ground.EXCEPTION_OUT: "{computer} is not a member: it was left out by hand, whatever the search says.",
    Ground.FITS: "{computer} is a member: it fits the search.",
    Ground.FITS_NOT: "{computer} is not a member: it does not fit the search.",
}


@dataclass(frozen=True)
class Check:
    """One criterion held against one computer; `own` is what the computer has there."""

    criterion: Criterion
    holds: bool
    own: tuple[str, ...]


@dataclass(frozen=True)
class Membership:
    """Why one computer is or is not in one group. `alternatives` as in the search: any of them, all of its checks."""

    ground: Ground
    alternatives: tuple[tuple[Check, ...], ...] = ()

    @property
    def is_member(self) -> bool:
        """Whether it is in."""
        return self.ground in (Ground.PUT_IN, Ground.EXCEPTION_IN, Ground.FITS)


def fits(alternatives: Iterable[Iterable[Check]]) -> bool:
    """Whether a computer fits a search, from the checks; a search without criteria takes everyone."""
    every = [list(alternative) for alternative in alternatives]
    return not every or any(all(check.holds for check in alternative) for alternative in every)


def membership(*, dynamic: bool, hand: Hand, alternatives: tuple[tuple[Check, ...], ...] = ()) -> Membership:
    """The membership of one computer: what was done by hand comes before the search."""
    if not dynamic:
        return Membership(Ground.PUT_IN if hand is Hand.PUT_IN else Ground.NOT_PUT_IN)
    ground = Ground.FITS if fits(alternatives) else Ground.FITS_NOT
    if hand is not Hand.NOTHING:
        ground = Ground.EXCEPTION_IN if hand is Hand.PUT_IN else Ground.EXCEPTION_OUT
    return Membership(ground, alternatives)


def is_open_to(group: Group, actor: Actor) -> bool:
    """Whether this actor sees the group and may put computers in: users only static visible ones (product.md 7)."""
    return actor.may(Right.ADMINISTRATOR) or (group.visible and not group.is_dynamic)


def checked_name(text: str) -> str:
    """A group's name without blanks around it. Raises Refusal."""
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise invalid("name", "a group's name has 1 to {longest} printable characters.", longest=LONGEST_NAME)
    return name


def checked_description(text: str) -> str:
    """A group's description. Raises Refusal."""
    if len(text) > LONGEST_DESCRIPTION:
        raise invalid("description", "it is longer than {longest} characters.", longest=LONGEST_DESCRIPTION)
    return text.strip()


def groups_named(search: Search | None) -> frozenset[str]:
    """The names of the groups that a search speaks of, in lower case."""
    return frozenset(
        criterion.value.lower()
        for alternative in search or ()
        for criterion in alternative
        if criterion.field == GROUP_FIELD
    )


def renamed(search: Search, old: str, new: str) -> Search:
    """A search that speaks of a group by its new name."""
    return tuple(
        tuple(
            Criterion(c.field, c.operator, new) if c.field == GROUP_FIELD and c.value.lower() == old.lower() else c
            for c in alternative
        )
        for alternative in search
    )


def leads_back(name: str, search: Search | None, others: Mapping[str, Search | None]) -> bool:
    """Whether the search of the group `name` asks, by way of others, who is in `name`. Keys in lower case."""
    seen: set[str] = set()
    ahead = set(groups_named(search))
    while ahead:
        seen |= ahead
        ahead = {asked for other in ahead for asked in groups_named(others.get(other))} - seen
    return name.lower() in seen
