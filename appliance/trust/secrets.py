"""Secrets by chance: for sessions, tokens and the first account. The database keeps their SHA-256 only."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def new_secret() -> str:
    """256 random bits as 43 characters that may stand in an address or a cookie."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret. One round is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def fits(secret: str, kept: str) -> bool:
    """Whether a secret is the one that was kept, in a time that tells nothing."""
    return hmac.compare_digest(digest(secret), kept)
