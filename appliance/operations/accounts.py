"""Users, as administrators manage them, and the first one. There is always an administrator that can sign in."""

from __future__ import annotations

from dataclasses import replace

from appliance.domain.account import Account, Actor, Profile, Right, Role
from appliance.domain.log import Deed
from appliance.domain.password import checked_password
from appliance.domain.refusal import conflict, forbidden, missing
from appliance.operations.desk import Desk
from appliance.operations.throttle import forget
from appliance.store import accounts, configuration, log
from appliance.store.database import Tx
from appliance.trust import passwords, secrets

FIRST_SECONDS = 24 * 3600  # for which the one-time address works
_FIRST, _FIRST_TILL = "first_sha256", "first_till"


async def list_users(desk: Desk) -> list[Account]:
    """All users, by name."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        return await accounts.all_of_them(tx)


async def show_user(desk: Desk, user: int | str) -> Account:
    """A user, by number or name. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        return await find_user(tx, user)


async def find_user(tx: Tx, user: int | str) -> Account:
    """The user of that number or name. Raises Refusal."""
    found = await (accounts.of_id(tx, user) if isinstance(user, int) else accounts.named(tx, user.strip()))
    if found is None:
        raise missing("there is no user {user!r}; 'user list' shows those that are there.", user=str(user)[:40])
    return found


async def create_user(desk: Desk, profile: Profile, password: str) -> Account:
    """A new user. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    profile = profile.checked()
    kept = await passwords.hash_password(checked_password(password, profile.name, profile.full_name))
    async with desk.store.writing() as tx:
        return await _add(tx, desk.actor, profile, kept)


async def change_user(
    desk: Desk,
    user: int | str,
    *,
    full_name: str | None = None,
    role: Role | None = None,
    tags: frozenset[str] | None = None,
    language: str | None = None,
    disabled: bool | None = None,
) -> Account:
    """Change what is given; None stays. Another role, or to be disabled, ends the user's sessions. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    given = {"full_name": full_name, "role": role, "tags": tags, "language": language, "disabled": disabled}
    async with desk.store.writing() as tx:
        before = await find_user(tx, user)
        wanted = replace(before.profile, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        after = replace(before, profile=wanted.checked())
        if after.profile == before.profile:
            return before
        if before.manages and not after.manages:
            await _must_not_be_the_last(tx, before)
        await accounts.change(tx, before.id, after.profile)
        if before.profile.role is not after.profile.role or after.profile.disabled:
            await accounts.end_sessions(tx, before.id)
        changed = {name: value for name, value in _told(after.profile).items() if value != _told(before.profile)[name]}
        await log.append(tx, desk.actor, Deed.USER_CHANGED, before.name, **changed)
        return after


async def reset_password(desk: Desk, user: int | str, password: str) -> None:
    """Give a user a new password: sessions end, and a block for failed sign-ins is lifted. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    account = await show_user(desk, user)
    kept = await passwords.hash_password(checked_password(password, account.name, account.profile.full_name))
    async with desk.store.writing() as tx:
        account = await find_user(tx, account.id)
        await accounts.put_password(tx, account.id, kept)
        await accounts.end_sessions(tx, account.id)
        await forget(tx, account)
        await log.append(tx, desk.actor, Deed.PASSWORD_CHANGED, account.name)


async def take_second_factor(desk: Desk, user: int | str) -> None:
    """Switch a user's second factor off, for one who lost it. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        account = await find_user(tx, user)
        if not account.second_factor:
            raise conflict("{user} has no second factor.", user=account.name)
        await accounts.put_second_factor(tx, account.id, None, 0, ())
        await accounts.end_sessions(tx, account.id)
        await forget(tx, account)
        await log.append(tx, desk.actor, Deed.SECOND_FACTOR_OFF, account.name)


async def delete_user(desk: Desk, user: int | str) -> Account:
    """Delete a user with all sessions and tokens; the log keeps the name. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        account = await find_user(tx, user)
        if account.manages:
            await _must_not_be_the_last(tx, account)
        await accounts.remove(tx, account.id)
        await forget(tx, account)
        await log.append(tx, desk.actor, Deed.USER_DELETED, account.name)
        return account


# The first one


async def offer_first(desk: Desk) -> str | None:
    """A new secret for the address where the first administrator is created; None where there are users already."""
    secret = secrets.new_secret()
    async with desk.store.writing() as tx:
        if await accounts.count(tx):
            return None
        await configuration.put_runtime(tx, {_FIRST: secrets.digest(secret), _FIRST_TILL: str(tx.now + FIRST_SECONDS)})
    return secret


async def first_is_open(desk: Desk, secret: str) -> bool:
    """Whether the one-time address with that secret still works."""
    async with desk.store.reading() as tx:
        return await _first_is_open(tx, secret)


async def create_first(desk: Desk, secret: str, name: str, password: str, full_name: str = "") -> Account:
    """Create the first administrator with the secret of the one-time address. Raises Refusal."""
    over = forbidden("this address is used up or over; start the server again, or use 'ocs.pyz user create'.")
    if not await first_is_open(desk, secret):
        raise over
    profile = Profile(name, Role.ADMINISTRATOR, full_name).checked()
    kept = await passwords.hash_password(checked_password(password, profile.name, profile.full_name))
    async with desk.store.writing() as tx:
        if not await _first_is_open(tx, secret):
            raise over
        await configuration.put_runtime(tx, {_FIRST: "", _FIRST_TILL: "0"})
        return await _add(tx, Actor(profile.name, "console"), profile, kept)


async def has_users(desk: Desk) -> bool:
    """Whether there is a user yet."""
    async with desk.store.reading() as tx:
        return await accounts.count(tx) > 0


async def _first_is_open(tx: Tx, secret: str) -> bool:
    runtime = await configuration.runtime(tx)
    return (
        secrets.fits(secret, runtime.get(_FIRST, ""))
        and tx.now < int(runtime.get(_FIRST_TILL, "0"))
        and await accounts.count(tx) == 0
    )


async def _add(tx: Tx, actor: Actor, profile: Profile, password: str) -> Account:
    if await accounts.named(tx, profile.name):
        raise conflict("there is a user {name!r} already; take another name.", name=profile.name)
    user = await accounts.add(tx, profile, password)
    await log.append(tx, actor, Deed.USER_CREATED, profile.name, **_told(profile))
    found = await accounts.of_id(tx, user)
    assert found is not None
    return found


async def _must_not_be_the_last(tx: Tx, account: Account) -> None:
    if not any(other.manages for other in await accounts.all_of_them(tx) if other.id != account.id):
        raise conflict("{user} is the last administrator that can sign in; make another one first.", user=account.name)


def _told(profile: Profile) -> dict[str, str]:
    """A profile for the log."""
    return {
        "full_name": profile.full_name,
        "role": profile.role.value,
        "tags": ", ".join(sorted(profile.tags)),
        "language": profile.language,
        "disabled": str(int(profile.disabled)),
    }
