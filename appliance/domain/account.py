"""Who acts, and what each role may do; accounts, and how long one waits that guesses. Source: security.md 4."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from appliance.domain.refusal import invalid

LANGUAGES = ("", "en", "es")  # "": the browser's
LONGEST_NAME, LONGEST_FULL_NAME, LONGEST_TAG, MOST_TAGS = 64, 100, 255, 200
FREE_FAILURES = 4  # of one name on end; the next one blocks it
FREE_OF_ADDRESS = 19  # of one address: behind it may be a whole office
LONGEST_BLOCK = 15 * 60
MOST_FAILURES = 100  # of one name on end: then only a new password helps


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


@dataclass(frozen=True)
class Profile:
    """What an administrator says about a user."""

    name: str
    role: Role
    full_name: str = ""
    tags: frozenset[str] = frozenset()
    language: str = ""
    disabled: bool = False

    def checked(self) -> Profile:
        """The profile as it is kept. Raises Refusal."""
        name = unicodedata.normalize("NFC", self.name.strip())
        if not re.match(r"^[^\W_][\w.@+-]*$", name) or len(name) > LONGEST_NAME:
            raise invalid(
                "name",
                "{name!r} is no name for a user: letters, digits and . _ @ + -, at most {longest}, a letter or digit "
                "first.",
                name=name[:LONGEST_NAME],
                longest=LONGEST_NAME,
            )
        full_name = unicodedata.normalize("NFC", " ".join(self.full_name.split()))
        if len(full_name) > LONGEST_FULL_NAME or not full_name.isprintable():
            raise invalid("full_name", "it has more than {longest} characters, or odd ones.", longest=LONGEST_FULL_NAME)
        if self.language not in LANGUAGES:
            raise invalid("language", "{language!r} is no language; take en or es.", language=self.language[:20])
        tags = frozenset(tag.strip() for tag in self.tags) - {""}
        if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG or not tag.isprintable() for tag in tags):
            raise invalid(
                "tags",
                "at most {most} TAGs of at most {longest} characters.",
                most=MOST_TAGS,
                longest=LONGEST_TAG,
            )
        return replace(self, name=name, full_name=full_name, tags=tags)


@dataclass(frozen=True)
class Account:
    """A user as kept. `blocked_till`: after failed sign-ins, in seconds since 1970; 0 where it is not blocked."""

    id: int
    profile: Profile
    second_factor: bool
    created_at: int
    last_login: int | None
    blocked_till: int

    @property
    def name(self) -> str:
        """The name that is typed to sign in."""
        return self.profile.name

    @property
    def manages(self) -> bool:
        """Whether it is an administrator that can sign in; there is always one."""
        return self.profile.role is Role.ADMINISTRATOR and not self.profile.disabled


def must_have_second_factor(demanded: int, role: Role) -> bool:
    """Whether SECOND_FACTOR_REQUIRED asks a second factor of that role: 0 of none, 1 of administrators, 2 of all."""
    return demanded >= 2 or (demanded == 1 and role is Role.ADMINISTRATOR)


def wait_after(failures: int, free: int) -> int:
    """Seconds for which so many failures on end block, `free` of them not at all: growing, up to a bound."""
    return 0 if failures <= free else int(min(2 ** min(failures - free + FREE_FAILURES, 20), LONGEST_BLOCK))
