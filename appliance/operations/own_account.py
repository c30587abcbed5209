"""Everyone's own page: password, language, sessions, the second factor. What weakens or locks out asks the password."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.domain.account import Account, must_have_second_factor
from appliance.domain.log import Deed
from appliance.domain.password import checked_password
from appliance.domain.refusal import Kind, Refusal, conflict, forbidden, missing
from appliance.operations.desk import Desk
from appliance.operations.sign_in import IDLE_SECONDS, LONGEST_SECONDS, SKEW_SECONDS, prove
from appliance.store import accounts, configuration, log
from appliance.store.accounts import KeptSession
from appliance.store.database import Tx
from appliance.trust import onetime, passwords, secrets

ISSUER = "OCS"


@dataclass(frozen=True)
class Seed:
    """A second factor that is offered and not yet switched on. `address` is for an app, as a picture or a link."""

    seed: str
    address: str


async def own_account(desk: Desk) -> Account:
    """The account of whoever acts. Raises Refusal."""
    async with desk.store.reading() as tx:
        return await own(tx, desk)


async def own(tx: Tx, desk: Desk) -> Account:
    """The account of whoever acts. Raises Refusal where that is the server or the command line."""
    account = await accounts.of_id(tx, desk.actor.user) if desk.actor.user is not None else None
    if account is None:
        raise forbidden("this is for users who are signed in.")
    return account


async def change_own_password(desk: Desk, old: str, new: str, keep: str = "") -> None:
    """Take another password; all sessions end but the one with the key `keep`. Raises Refusal."""
    account = await prove(desk, old, field="old")
    kept = await passwords.hash_password(checked_password(new, account.name, account.profile.full_name, field="new"))
    async with desk.store.writing() as tx:
        await own(tx, desk)
        await accounts.put_password(tx, account.id, kept)
        await accounts.end_sessions(tx, account.id, keep)
        await log.append(tx, desk.actor, Deed.PASSWORD_CHANGED, account.name)


async def choose_language(desk: Desk, language: str) -> None:
    """Take a language; "" follows the browser. Raises Refusal."""
    async with desk.store.writing() as tx:
        account = await own(tx, desk)
        profile = replace(account.profile, language=language).checked()
        if profile != account.profile:
            await accounts.change(tx, account.id, profile)
            await log.append(tx, desk.actor, Deed.USER_CHANGED, account.name, language=language)


async def own_sessions(desk: Desk) -> Sequence[KeptSession]:
    """The sessions of whoever acts that are not over, the last used first."""
    async with desk.store.reading() as tx:
        account = await own(tx, desk)
        return [
            session
            for session in await accounts.sessions(tx, account.id)
            if -SKEW_SECONDS <= tx.now - session.used_at < IDLE_SECONDS
            and tx.now - session.created_at < LONGEST_SECONDS
        ]


async def end_own_session(desk: Desk, key: str) -> None:
    """End one of one's own sessions. Raises Refusal."""
    async with desk.store.writing() as tx:
        account = await own(tx, desk)
        if key not in [session.key for session in await accounts.sessions(tx, account.id)]:
            raise missing("there is no such session; it has ended already.")
        await accounts.end_session(tx, key)
        await log.append(tx, desk.actor, Deed.SESSION_ENDED, account.name, sessions=1)


async def end_other_sessions(desk: Desk, keep: str) -> int:
    """End all of one's own sessions but the one with that key: how many."""
    async with desk.store.writing() as tx:
        account = await own(tx, desk)
        ended = await accounts.end_sessions(tx, account.id, keep)
        if ended:
            await log.append(tx, desk.actor, Deed.SESSION_ENDED, account.name, sessions=ended)
        return ended


async def offer_second_factor(desk: Desk) -> Seed:
    """A new seed to show; it is kept by nobody until it is switched on. Raises Refusal."""
    return seed_shown(await own_account(desk), onetime.new_seed())


def seed_shown(account: Account, seed: str) -> Seed:
    """A seed with its address, to show a form once more."""
    return Seed(seed, onetime.address(seed, account.name, ISSUER))


async def switch_on_second_factor(desk: Desk, seed: str, code: str, password: str, keep: str = "") -> list[str]:
    """Switch the second factor on with a first code of the app: ten recovery codes, to be shown this once.

    All sessions end but the one with the key `keep`. Raises Refusal.
    """
    if not onetime.is_seed(seed):
        raise Refusal(Kind.INVALID, "the secret is not the one that was shown; begin anew.", "code")
    account = await prove(desk, password)
    codes = onetime.new_recovery_codes()
    async with desk.store.writing() as tx:
        if (await own(tx, desk)).second_factor:
            raise conflict("your second factor is on already; switch it off first.")
        step = onetime.accepted_step(seed, code, tx.now, 0)
        if step is None:
            raise Refusal(Kind.INVALID, "the code does not fit; look at the clocks of telephone and server.", "code")
        await accounts.put_second_factor(tx, account.id, seed, step, [secrets.digest(one) for one in codes])
        await accounts.end_sessions(tx, account.id, keep)
        await log.append(tx, desk.actor, Deed.SECOND_FACTOR_ON, account.name)
    return codes


async def switch_off_second_factor(desk: Desk, password: str, keep: str = "") -> None:
    """Switch the second factor off; all sessions end but the one with the key `keep`. Raises Refusal."""
    account = await prove(desk, password)
    async with desk.store.writing() as tx:
        if not (await own(tx, desk)).second_factor:
            raise conflict("your second factor is off already.")
        demanded = (await configuration.settings(tx)).number("SECOND_FACTOR_REQUIRED")
        if must_have_second_factor(demanded, account.profile.role):
            raise conflict("here everyone in your role must have a second factor; it stays on.")
        await accounts.put_second_factor(tx, account.id, None, 0, ())
        await accounts.end_sessions(tx, account.id, keep)
        await log.append(tx, desk.actor, Deed.SECOND_FACTOR_OFF, account.name)


async def recovery_codes_left(desk: Desk) -> int:
    """How many recovery codes whoever acts still has."""
    async with desk.store.reading() as tx:
        return await accounts.recovery_codes_left(tx, (await own(tx, desk)).id)
