"""Sign in and out, the second factor, and whose session a secret is. Source: security.md 4.1 to 4.3."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.account import Account, Actor, Profile, Role, must_have_second_factor, user_actor
from appliance.domain.log import Deed
from appliance.domain.password import as_kept
from appliance.domain.refusal import Kind, Refusal, forbidden
from appliance.operations.desk import Desk
from appliance.operations.throttle import charge, failed, settle
from appliance.store import accounts, configuration, log
from appliance.store.accounts import KeptSession
from appliance.store.database import Tx
from appliance.trust import onetime, passwords, secrets

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 12 * 3600
SECOND_FACTOR_SECONDS = 10 * 60  # a session that waits for it
FRESH_SECONDS = 5 * 60
SKEW_SECONDS = 5 * 60  # that the clock may be set back; more, and a session that was used later than now is over
TOUCH_SECONDS = 60  # how exact the time of the last use is: a page must not cost a write
THROUGH = "console"


@dataclass(frozen=True)
class Session:
    """Whoever a secret belongs to. Until `complete`, the second factor is to come, and the actor has no right.

    `key` names the session without its secret. `fresh`: the password was given within five minutes. `owing`: the user
    must have a second factor and has none; until it is switched on, the actor has no right but to do that.
    """

    key: str
    actor: Actor
    language: str
    complete: bool
    fresh: bool
    owing: bool = False


async def sign_in(desk: Desk, name: str, password: str, address: str, user_agent: str) -> str:
    """A new session: its secret. Where the user has a second factor, `second_factor` is to follow.

    Raises Refusal, the same one and after the same time whether the name is known or not.
    """
    name = as_kept(name.strip())
    charges = await charge(desk, name, address)
    async with desk.store.reading() as tx:
        account = await accounts.named(tx, name)
        proof = await accounts.proof(tx, account.id) if account else None
    fits = await passwords.fits(as_kept(password), proof.password if proof else passwords.NOBODY)
    if account is None or proof is None or not fits or account.profile.disabled:
        await failed(desk, charges, name, THROUGH, address=address)
        raise Refusal(Kind.INVALID, "the name or the password is wrong; try again.")
    newer = await passwords.hash_password(as_kept(password)) if passwords.is_weaker(proof.password) else None
    async with desk.store.writing() as tx:
        _must_still_be(proof, await accounts.proof(tx, account.id) if await accounts.of_id(tx, account.id) else None)
        await settle(tx, charges, forget=not account.second_factor)
        await _purge(tx)
        if newer:
            await accounts.put_password(tx, account.id, newer)
        return await _begin(tx, account, address, user_agent, complete=not account.second_factor)


async def second_factor(desk: Desk, secret: str, code: str) -> str:
    """Complete a session with a code of the app, or with a recovery code: the secret of the new session.

    Raises Refusal.
    """
    async with desk.store.reading() as tx:
        found = await accounts.session(tx, secrets.digest(secret))
        account = await accounts.of_id(tx, found[0].user) if found else None
        now = tx.now
    if found is None or account is None or found[0].complete or not _lives(*found, now):
        raise forbidden("the sign-in took too long; begin anew.")
    session, _ = found
    charges = await charge(desk, account.name, session.address)
    async with desk.store.writing() as tx:
        good = await accounts.of_id(tx, account.id) is not None and await _takes(tx, account.id, code)
        if good:
            await settle(tx, charges)
            await accounts.end_session(tx, session.key)
            return await _begin(tx, account, session.address, session.user_agent, complete=True)
    await failed(desk, charges, account.name, THROUGH, address=session.address, second_factor="wrong code")
    raise Refusal(Kind.INVALID, "the code is wrong, or was used already; wait for the next one.", "code")


async def session_of(desk: Desk, secret: str) -> Session | None:
    """The session of a secret; None where there is none or it is over."""
    key = secrets.digest(secret)
    async with desk.store.reading() as tx:
        found = await accounts.session(tx, key)
        owing = found is not None and await owes_second_factor(tx, found[0].user, found[1].role)
        now = tx.now
    if found is None or not _lives(*found, now):
        return None
    session, profile = found
    if now - session.used_at >= TOUCH_SECONDS and desk.store.stopped is None:
        async with desk.store.writing() as tx:
            await accounts.touch_session(tx, key)
    if session.complete and not owing:
        actor = user_actor(profile.name, THROUGH, profile.role, session.user, profile.tags)
    else:
        actor = Actor(profile.name, THROUGH, Role.USER, session.user if session.complete else None, frozenset())
    fresh = 0 <= now - session.fresh_at <= FRESH_SECONDS
    return Session(key, actor, profile.language, session.complete, fresh, owing)


async def owes_second_factor(tx: Tx, user: int, role: Role) -> bool:
    """Whether a user must have a second factor and has none."""
    demanded = (await configuration.settings(tx)).number("SECOND_FACTOR_REQUIRED")
    return must_have_second_factor(demanded, role) and (await accounts.proof(tx, user)).seed is None


async def sign_out(desk: Desk, secret: str) -> None:
    """End the session of a secret; nothing where there is none."""
    key = secrets.digest(secret)
    async with desk.store.writing() as tx:
        found = await accounts.session(tx, key)
        if found and await accounts.end_session(tx, key):
            await log.append(tx, _actor(found[0].user, found[1]), Deed.SIGNED_OUT, found[1].name)


async def confirm_password(desk: Desk, secret: str, password: str) -> None:
    """Whoever is signed in gives the password once more: the session is fresh again. Raises Refusal."""
    session = await session_of(desk, secret)
    if session is None or not session.complete or session.actor.user is None:
        raise forbidden("you are signed out; sign in again.")
    await prove(desk.acting(session.actor), password)
    async with desk.store.writing() as tx:
        await accounts.touch_session(tx, session.key, fresh=True)


async def prove(desk: Desk, password: str, *, field: str = "password") -> Account:
    """The account of whoever acts, who has given its password; guessing is throttled as at a login. Raises Refusal."""
    user = desk.actor.user
    async with desk.store.reading() as tx:
        account = await accounts.of_id(tx, user) if user is not None else None
        proof = await accounts.proof(tx, account.id) if account else None
    if account is None or proof is None:
        raise forbidden("this is for users who are signed in.")
    charges = await charge(desk, account.name)
    if not await passwords.fits(as_kept(password), proof.password):
        await failed(desk, charges, account.name, desk.actor.through, password="asked for again")
        raise Refusal(Kind.INVALID, "this is not your password.", field)
    async with desk.store.writing() as tx:
        await settle(tx, charges)
    return account


def _must_still_be(before: accounts.Proof, now: accounts.Proof | None) -> None:
    """A password that was changed while it was being verified is no longer good."""
    if now is None or now.password != before.password or now.seed != before.seed:
        raise Refusal(Kind.INVALID, "the name or the password is wrong; try again.")


async def _begin(tx: Tx, account: Account, address: str, user_agent: str, *, complete: bool) -> str:
    secret = secrets.new_secret()
    await accounts.add_session(
        tx,
        KeptSession(
            secrets.digest(secret), account.id, tx.now, tx.now, tx.now, complete, address[:45], user_agent[:255]
        ),
    )
    if complete:
        await accounts.signed_in(tx, account.id)
        await log.append(tx, _actor(account.id, account.profile), Deed.SIGNED_IN, account.name, address=address)
    return secret


async def _takes(tx: Tx, user: int, code: str) -> bool:
    """Whether a code is good; it is used up by that."""
    proof = await accounts.proof(tx, user)
    if proof.seed is None:
        return False
    step = onetime.accepted_step(proof.seed, code, tx.now, proof.step)
    if step is not None:
        return await accounts.use_step(tx, user, step)
    recovery = onetime.recovery_code(code)
    return bool(recovery) and await accounts.use_recovery_code(tx, user, secrets.digest(recovery))


async def _purge(tx: Tx) -> None:
    await accounts.purge_sessions(tx, tx.now - IDLE_SECONDS, tx.now - LONGEST_SECONDS, tx.now + SKEW_SECONDS)


def _lives(session: KeptSession, profile: Profile, now: int) -> bool:
    longest = LONGEST_SECONDS if session.complete else SECOND_FACTOR_SECONDS
    idle = now - session.used_at
    return not profile.disabled and -SKEW_SECONDS <= idle < IDLE_SECONDS and now - session.created_at < longest


def _actor(user: int, profile: Profile) -> Actor:
    return user_actor(profile.name, THROUGH, profile.role, user, profile.tags)
