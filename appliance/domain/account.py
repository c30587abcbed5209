"""Who acts, and what each role may do. Source: product.md 7, security.md 4."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum


class Role(str, Enum):
    """What an account may do: an administrator everything, a user what product.md 7 gives."""

    USER = "user"
    ADMINISTRATOR = "administrator"


class Right(Enum):
    """What a page, an address of the API or an operation asks of whoever comes."""

    ANYONE = "anyone"  # before a login
    SIGNED_IN = "signed in"  # any account: its own page, its own computers, visible groups
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True)
class Actor:
    """Whoever an operation works for. `tags` None: all computers, else only those with one of these TAGs."""

    name: str
    through: str  # console, api, command line, server
    role: Role = Role.ADMINISTRATOR
    user: int | None = None
    tags: frozenset[str] | None = None

    def may(self, right: Right) -> bool:
        """Whether this actor has a right."""
        return right is not Right.ADMINISTRATOR or self.role is Role.ADMINISTRATOR

    def sees(self, tag: str) -> bool:
        """Whether a computer with that TAG is this actor's."""
        return self.tags is None or tag in self.tags


SERVER = Actor("ocs.pyz", "server")


def user_actor(name: str, through: str, role: Role, user: int, tags: Collection[str]) -> Actor:
    """The Actor for an account: an administrator sees all computers, a user those with the account's TAGs."""
    return Actor(name, through, role, user, None if role is Role.ADMINISTRATOR else frozenset(tags))
