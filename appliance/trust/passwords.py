"""Passwords as they are kept: Argon2id, 0.15 s of a core each. Two at a time: many logins take the memory of two."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from asyncio import AbstractEventLoop, Semaphore
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 1  # with more, two hashes at once wait for each other's threads for ever (OpenSSL's pool, as built in 50.0.2)
SALT_BYTES, HASH_BYTES = 16, 32

AT_ONCE = 2

_GATES: WeakKeyDictionary[AbstractEventLoop, Semaphore] = WeakKeyDictionary()  # one for each loop: they know no other


async def hash_password(password: str) -> str:
    """A PHC string with today's parameters and a salt of its own."""
    async with _gate():
        return await asyncio.to_thread(_hash, password)


async def fits(password: str, phc: str) -> bool:
    """Whether a password is the one that was hashed."""
    async with _gate():
        return await asyncio.to_thread(_fits, password, phc)


def is_weaker(phc: str) -> bool:
    """Whether it was hashed with less than today's parameters, and should be hashed anew at the next login."""
    found = re.match(r"^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$", phc)
    return found is None or int(found.group(1)) < MEMORY_KIB or int(found.group(2)) < PASSES


def _gate() -> Semaphore:
    return _GATES.setdefault(asyncio.get_running_loop(), Semaphore(AT_ONCE))


def _hash(password: str) -> str:
    kdf = Argon2id(
        salt=os.urandom(SALT_BYTES), length=HASH_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    )
    return kdf.derive_phc_encoded(password.encode())


def _fits(password: str, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode("utf-8", "replace"), phc)
    except InvalidKey:
        return False
    return True


def _zeros(count: int) -> str:
    return base64.b64encode(bytes(count)).rstrip(b"=").decode()


# Nobody's password: what a login under an unknown name is held against, so that it takes as long as any other.
NOBODY = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${_zeros(SALT_BYTES)}${_zeros(HASH_BYTES)}"
