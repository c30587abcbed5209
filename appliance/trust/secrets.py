"""Secrets by chance: for sessions, tokens and the first account. The database keeps their SHA-256 only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

PASSWORD_BYTES = 20


def new_secret() -> str:
    """256 random bits as 43 characters that may stand in an address or a cookie."""
    return secrets.token_urlsafe(32)


def new_password() -> str:
    """160 random bits as 32 letters and digits, which stand as they are in any file, command line or address."""
    return base64.b32encode(secrets.token_bytes(PASSWORD_BYTES)).decode("ascii").lower()


def digest(secret: str) -> str:
    """What is kept of a secret. One round is enough: nobody guesses so many random bits."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def fits(secret: str, kept: str) -> bool:
    """Whether a secret is the one that was kept, in a time that tells nothing."""
    return hmac.compare_digest(digest(secret), kept)
