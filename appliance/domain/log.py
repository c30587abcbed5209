"""What goes into the log: the deeds, and an entry with its place in the chain. Source: security.md 4.3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Deed(str, Enum):
    """A change that somebody made."""

    SIGNED_IN = "signed in"
    SIGNED_OUT = "signed out"
    SIGN_IN_FAILED = "sign-in failed"
    ACCOUNT_BLOCKED = "account blocked"
    USER_CREATED = "user created"
    USER_CHANGED = "user changed"
    USER_DELETED = "user deleted"
    PASSWORD_CHANGED = "password changed"
    SECOND_FACTOR_ON = "second factor switched on"
    SECOND_FACTOR_OFF = "second factor switched off"
    SESSION_ENDED = "session ended"
    TOKEN_CREATED = "token created"
    TOKEN_REVOKED = "token revoked"
    PACKAGE_BUILT = "package built"
    PACKAGE_EDITED = "package edited"
    PACKAGE_ACTIVATED = "package activated"
    PACKAGE_UNACTIVATED = "package unactivated"
    PACKAGE_DELETED = "package deleted"
    PACKAGE_AFFECTED = "package affected"
    PACKAGE_UNAFFECTED = "package unaffected"
    STATISTICS_VALIDATED = "statistics validated"
    COMPUTER_DELETED = "computer deleted"
    COMPUTER_CHANGED = "computer changed"
    COMPUTER_JOINED = "computer joined"
    MEMBERSHIP_ENDED = "membership ended"
    JOIN_TOKEN_CREATED = "join token created"
    JOIN_TOKEN_REVOKED = "join token revoked"
    AGENT_PASSWORD_CREATED = "password for agents created"
    AGENT_PASSWORD_REVOKED = "password for agents revoked"
    IDENTITY_DECIDED = "identity decided"
    GROUP_CREATED = "group created"
    GROUP_CHANGED = "group changed"
    GROUP_DELETED = "group deleted"
    MEMBERS_ADDED = "members added"
    MEMBERS_REMOVED = "members removed"
    SEARCH_KEPT = "search kept"
    SEARCH_DELETED = "search deleted"
    SETTING_CHANGED = "setting changed"
    CERTIFICATE_REQUESTED = "certificate requested"
    CERTIFICATE_INSTALLED = "certificate installed"
    CERTIFICATE_RENEWED = "certificate renewed"
    AUTHORITY_CHANGED = "authority changed"
    AUTHORITY_RETIRED = "authority retired"
    BACKUP_MADE = "backup made"
    BACKUP_FAILED = "backup failed"
    DATA_RESTORED = "data restored"


@dataclass(frozen=True)
class Entry:
    """One row of the log. `detail` has short names and text; no secret is ever in it."""

    id: int
    at: int  # seconds since 1970
    actor: str
    through: str
    deed: str
    subject: str
    detail: dict[str, str]
