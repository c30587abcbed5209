"""Users with their TAGs, recovery codes, sessions and tokens, and who failed to sign in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.domain.account import Account, Profile, Role
from appliance.store.database import Row, Tx

_ACCOUNT = """
    SELECT id, name, full_name, role, language, disabled, created_at, last_login, totp_secret IS NOT NULL AS second,
           (SELECT json_group_array(tag) FROM user_tag WHERE user_id = user.id) AS tags,
           (SELECT blocked_till FROM login_failure WHERE who = 'name ' || lower(user.name)) AS blocked_till
      FROM user
"""


@dataclass(frozen=True)
class Proof:
    """What a user proves to be that user with."""

    password: str  # PHC string
    seed: str | None  # of the second factor
    step: int  # the last one used


@dataclass(frozen=True)
class KeptSession:
    """A session as kept; `key` is the SHA-256 of its secret."""

    key: str
    user: int
    created_at: int
    used_at: int
    fresh_at: int
    complete: bool
    address: str
    user_agent: str


@dataclass(frozen=True)
class KeptToken:
    """A token as kept; `key` is the SHA-256 of its secret."""

    id: int
    user: int
    name: str
    key: str
    created_at: int
    expires_at: int
    used_at: int | None


# Users


async def count(tx: Tx) -> int:
    """How many users there are."""
    return int(await tx.value("SELECT count(*) FROM user"))


async def all_of_them(tx: Tx) -> list[Account]:
    """The users, by name."""
    return [_account(row) for row in await tx.rows(f"{_ACCOUNT} ORDER BY name")]


async def of_id(tx: Tx, user: int) -> Account | None:
    """The user with that number."""
    row = await tx.row(f"{_ACCOUNT} WHERE id = ?", (user,))
    return _account(row) if row else None


async def named(tx: Tx, name: str) -> Account | None:
    """The user of that name, upper or lower case."""
    row = await tx.row(f"{_ACCOUNT} WHERE name = ?", (name,))
    return _account(row) if row else None


async def add(tx: Tx, profile: Profile, password: str) -> int:
    """A new user: the number. The name must be free."""
    user = await tx.insert(
        "INSERT INTO user (name, full_name, role, password, language, disabled, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            profile.name,
            profile.full_name,
            profile.role.value,
            password,
            profile.language,
            profile.disabled,
            tx.now,
        ),
    )
    await _put_tags(tx, user, profile.tags)
    return user


async def change(tx: Tx, user: int, profile: Profile) -> None:
    """Another profile for a user; the name stays."""
    await tx.run(
        "UPDATE user SET full_name = ?, role = ?, language = ?, disabled = ? WHERE id = ?",
        (profile.full_name, profile.role.value, profile.language, profile.disabled, user),
    )
    await _put_tags(tx, user, profile.tags)


async def remove(tx: Tx, user: int) -> None:
    """Remove a user with all sessions and tokens."""
    await tx.run("DELETE FROM user WHERE id = ?", (user,))


async def _put_tags(tx: Tx, user: int, tags: Iterable[str]) -> None:
    await tx.run("DELETE FROM user_tag WHERE user_id = ?", (user,))
    await tx.many("INSERT INTO user_tag (user_id, tag) VALUES (?, ?)", [(user, tag) for tag in sorted(tags)])


def _account(row: Row) -> Account:
    return Account(
        row["id"], _profile(row), bool(row["second"]), row["created_at"], row["last_login"], row["blocked_till"] or 0
    )


def _profile(row: Row) -> Profile:
    return Profile(
        row["name"],
        Role(row["role"]),
        row["full_name"],
        frozenset(json.loads(row["tags"])),
        row["language"],
        bool(row["disabled"]),
    )


# What they prove themselves with


async def proof(tx: Tx, user: int) -> Proof:
    """The proof of a user that there is."""
    row = await tx.row("SELECT password, totp_secret, totp_step FROM user WHERE id = ?", (user,))
    assert row is not None
    return Proof(row["password"], row["totp_secret"], row["totp_step"])


async def put_password(tx: Tx, user: int, password: str) -> None:
    """Another password (PHC string)."""
    await tx.run("UPDATE user SET password = ? WHERE id = ?", (password, user))


async def put_second_factor(tx: Tx, user: int, seed: str | None, step: int, codes: Iterable[str]) -> None:
    """A seed and the digests of recovery codes; None switches it off."""
    await tx.run("UPDATE user SET totp_secret = ?, totp_step = ? WHERE id = ?", (seed, step, user))
    await tx.run("DELETE FROM recovery_code WHERE user_id = ?", (user,))
    await tx.many("INSERT INTO recovery_code (user_id, sha256) VALUES (?, ?)", [(user, code) for code in codes])


async def use_step(tx: Tx, user: int, step: int) -> bool:
    """Note a step as used; False where it was used already."""
    return await tx.run("UPDATE user SET totp_step = ? WHERE id = ? AND totp_step < ?", (step, user, step)) == 1


async def use_recovery_code(tx: Tx, user: int, key: str) -> bool:
    """Take a recovery code out; False where there is none such."""
    return await tx.run("DELETE FROM recovery_code WHERE user_id = ? AND sha256 = ?", (user, key)) == 1


async def recovery_codes_left(tx: Tx, user: int) -> int:
    """How many recovery codes a user still has."""
    return int(await tx.value("SELECT count(*) FROM recovery_code WHERE user_id = ?", (user,)))


async def signed_in(tx: Tx, user: int) -> None:
    """Note the time of a login."""
    await tx.run("UPDATE user SET last_login = ? WHERE id = ?", (tx.now, user))


# Sessions


async def add_session(tx: Tx, session: KeptSession) -> None:
    """A new session."""
    await tx.run(
        "INSERT INTO session (sha256, user_id, created_at, used_at, fresh_at, complete, address, user_agent) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session.key,
            session.user,
            session.created_at,
            session.used_at,
            session.fresh_at,
            session.complete,
            session.address,
            session.user_agent,
        ),
    )


async def session(tx: Tx, key: str) -> tuple[KeptSession, Profile] | None:
    """A session with its user's profile, whatever their state."""
    row = await tx.row(
        "SELECT session.*, name, full_name, role, language, disabled, "
        "(SELECT json_group_array(tag) FROM user_tag WHERE user_tag.user_id = user.id) AS tags "
        "FROM session JOIN user ON user.id = session.user_id WHERE sha256 = ?",
        (key,),
    )
    return (_session(row), _profile(row)) if row else None


async def sessions(tx: Tx, user: int) -> list[KeptSession]:
    """A user's sessions, the last used first."""
    rows = await tx.rows("SELECT * FROM session WHERE user_id = ? ORDER BY used_at DESC, created_at DESC", (user,))
    return [_session(row) for row in rows]


async def touch_session(tx: Tx, key: str, *, fresh: bool = False) -> None:
    """Note that a session is used, and with `fresh` that the password was given."""
    fresh_at = "?1" if fresh else "fresh_at"
    await tx.run(f"UPDATE session SET used_at = ?1, fresh_at = {fresh_at} WHERE sha256 = ?2", (tx.now, key))


async def end_session(tx: Tx, key: str) -> bool:
    """End one session; False where there is none such."""
    return await tx.run("DELETE FROM session WHERE sha256 = ?", (key,)) == 1


async def end_sessions(tx: Tx, user: int, keep: str = "") -> int:
    """End a user's sessions but one: how many."""
    return await tx.run("DELETE FROM session WHERE user_id = ? AND sha256 <> ?", (user, keep))


async def purge_sessions(tx: Tx, used_before: int, made_before: int, used_after: int) -> None:
    """Forget sessions that are over, and those of a clock that was set back since."""
    await tx.run(
        "DELETE FROM session WHERE used_at <= ? OR created_at <= ? OR used_at > ?",
        (used_before, made_before, used_after),
    )


def _session(row: Row) -> KeptSession:
    return KeptSession(
        row["sha256"],
        row["user_id"],
        row["created_at"],
        row["used_at"],
        row["fresh_at"],
        bool(row["complete"]),
        row["address"],
        row["user_agent"],
    )


# Failed sign-ins


@dataclass(frozen=True)
class Failures:
    """How often somebody failed on end."""

    count: int = 0
    last_at: int = 0
    blocked_till: int = 0


async def failures(tx: Tx, who: str) -> Failures:
    """The failures of a name or an address."""
    row = await tx.row("SELECT failures, last_at, blocked_till FROM login_failure WHERE who = lower(?)", (who,))
    return Failures(*row) if row else Failures()


async def put_failures(tx: Tx, who: str, now: Failures) -> None:
    """Write them down; none are forgotten."""
    if now.count <= 0:
        await tx.run("DELETE FROM login_failure WHERE who = lower(?)", (who,))
    else:
        await tx.run(
            "INSERT OR REPLACE INTO login_failure (who, failures, last_at, blocked_till) VALUES (lower(?), ?, ?, ?)",
            (who, now.count, now.last_at, now.blocked_till),
        )


async def purge_failures(tx: Tx, before: int) -> None:
    """Forget those who have not failed since."""
    await tx.run("DELETE FROM login_failure WHERE last_at <= ? AND blocked_till <= ?", (before, tx.now))


async def purge_failures_of(tx: Tx, kind: str, before: int) -> None:
    """Forget those of one kind, such as `address`, that have not failed since."""
    await tx.run("DELETE FROM login_failure WHERE who GLOB ? AND last_at <= ?", (f"{kind} *", before))


# Tokens


async def add_token(tx: Tx, user: int, name: str, key: str, expires_at: int) -> int:
    """A new token: its number. The name must be free."""
    return await tx.insert(
        "INSERT INTO token (user_id, name, sha256, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        (user, name, key, tx.now, expires_at),
    )


async def token(tx: Tx, number: int) -> tuple[KeptToken, Profile] | None:
    """A token with its user's profile, whatever their state."""
    row = await tx.row(
        "SELECT token.id AS id, user_id, token.name AS token_name, sha256, token.created_at AS created_at, expires_at, "
        "used_at, user.name AS name, full_name, role, language, disabled, "
        "(SELECT json_group_array(tag) FROM user_tag WHERE user_tag.user_id = user.id) AS tags "
        "FROM token JOIN user ON user.id = token.user_id WHERE token.id = ?",
        (number,),
    )
    return (_token(row), _profile(row)) if row else None


async def tokens(tx: Tx, user: int) -> list[KeptToken]:
    """A user's tokens, the newest first."""
    rows = await tx.rows(
        "SELECT id, user_id, name AS token_name, sha256, created_at, expires_at, used_at FROM token WHERE user_id = ? "
        "ORDER BY id DESC",
        (user,),
    )
    return [_token(row) for row in rows]


async def touch_token(tx: Tx, number: int) -> None:
    """Note that a token is used."""
    await tx.run("UPDATE token SET used_at = ? WHERE id = ?", (tx.now, number))


async def remove_token(tx: Tx, number: int) -> None:
    """Remove a token."""
    await tx.run("DELETE FROM token WHERE id = ?", (number,))


def _token(row: Row) -> KeptToken:
    return KeptToken(
        row["id"],
        row["user_id"],
        row["token_name"],
        row["sha256"],
        row["created_at"],
        row["expires_at"],
        row["used_at"],
    )
