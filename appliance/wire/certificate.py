"""The little that is read of a certificate without a library for it: its serial number."""

from __future__ import annotations

import base64
import re

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_SEQUENCE, _INTEGER, _VERSION = 0x30, 0x02, 0xA0


def serial_of(pem: str) -> str:
    """The serial number of the first certificate in a PEM text, hexadecimal; empty where there is none."""
    found = _PEM.search(pem)
    try:
        der = base64.b64decode(found.group(1)) if found else b""
        _, whole, _ = _element(der, _SEQUENCE)
        _, signed, _ = _element(whole, _SEQUENCE)
        tag, _, rest = _element(signed)
        _, serial, _ = _element(rest if tag == _VERSION else signed, _INTEGER)
    except (ValueError, IndexError):
        return ""
    return f"{int.from_bytes(serial, 'big'):x}"


def _element(data: bytes, wanted: int | None = None) -> tuple[int, bytes, bytes]:
    """Tag and content of the first DER element, and what is behind it. ValueError, IndexError."""
    tag, length, at = data[0], data[1], 2
    if length >= 0x80:
        at += length - 0x80
        length = int.from_bytes(data[2:at], "big")
    if (wanted is not None and tag != wanted) or at + length > len(data) or not length:
        raise ValueError
    return tag, data[at : at + length], data[at + length :]
