"""What all readers raise for bytes that are no message."""

from __future__ import annotations


class Malformed(Exception):
    """Bytes that cannot be read as what they claim to be; one line, safe to log and to answer."""


class TooLarge(Malformed):
    """Bytes that pass a limit before they are read to their end."""
