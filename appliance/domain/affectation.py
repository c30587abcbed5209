"""Which package goes to which computer, from where, and where it stands there."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.computer import ComputerId
from appliance.domain.group import GroupId
from appliance.domain.package import PackageId
from appliance.domain.status import Stage


@dataclass(frozen=True)
class Activation:
    """Where one activation of a package sends agents; locations are host[:port]/folder."""

    id: int
    package: PackageId
    info_location: str
    fragment_location: str
    activated_at: int


@dataclass(frozen=True)
class Affectation:
    """One package on one computer. Locations are empty while the package is not activated."""

    computer: ComputerId
    package: PackageId
    package_name: str
    priority: int
    stage: Stage
    received: str
    force: bool
    schedule: str
    post_command: str
    notified_at: int | None
    changed_at: int
    info_location: str
    fragment_location: str
    group: GroupId | None = None  # the group it came from; None: affected to the computer itself
    group_name: str = ""
    fragments: int = 0  # of the package
    fetched: int = 0  # that the computer has, as our agent reports it
    fetched_at: int | None = None


@dataclass(frozen=True)
class GroupAffectation:
    """A package affected to a group: members that join later get it too."""

    group: GroupId
    group_name: str
    package: PackageId
    package_name: str
    activation: int | None  # None: the newest
    schedule: str
    post_command: str
    affected_at: int


@dataclass(frozen=True)
class Standing:
    """An affectation with the computer it is on, for statistics."""

    affectation: Affectation
    computer_name: str
    device_id: str
    user_agent: str
    last_contact: int
    last_inventory: int | None


@dataclass(frozen=True)
class Happening:
    """One event of a computer and a package."""

    at: int
    package: str
    kind: str
    detail: str
