"""The second factor: codes of an authenticator app (RFC 6238, SHA-1, 30 s, 6 digits), and recovery codes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1  # steps that a telephone's clock may be off, either way
SEED_BYTES = 20
RECOVERY_CODES = 10
RECOVERY_LETTERS = 16  # 80 bits: one round of SHA-256 is enough for them


def new_seed() -> str:
    """A seed for an app, base32."""
    return base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()


def is_seed(seed: str) -> bool:
    """Whether it is a seed of ours."""
    try:
        return len(_bytes(seed)) == SEED_BYTES
    except binascii.Error:
        return False


def address(seed: str, name: str, issuer: str) -> str:
    """The otpauth address that an app takes, from a picture or by hand."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={seed}&issuer={quote(issuer, safe='')}&digits={DIGITS}&period={STEP_SECONDS}"


def code(seed: str, step: int, digits: int = DIGITS) -> str:
    """The code of one step (RFC 4226)."""
    mac = hmac.new(_bytes(seed), step.to_bytes(8, "big"), hashlib.sha1).digest()
    place = mac[-1] & 0x0F
    number = int.from_bytes(mac[place : place + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def accepted_step(seed: str, given: str, now: int, last: int) -> int | None:
    """The step that a code belongs to, later than `last`, the one accepted before; None where it fits none."""
    given = re.sub(r"\s", "", given)
    middle = now // STEP_SECONDS
    for step in range(middle - WINDOW, middle + WINDOW + 1):
        if step > last and hmac.compare_digest(code(seed, step).encode(), given.encode("utf-8", "replace")):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Codes for a lost telephone, each good once: abcd-efgh-ijkl-mnop."""
    return [_grouped(base64.b32encode(secrets.token_bytes(10)).decode().lower()) for _ in range(RECOVERY_CODES)]


def recovery_code(given: str) -> str:
    """A recovery code as it was made, however it was typed; empty where it is none."""
    letters = re.sub(r"[\s-]", "", given).lower()
    return _grouped(letters) if re.fullmatch(rf"[a-z2-7]{{{RECOVERY_LETTERS}}}", letters) else ""


def _grouped(letters: str) -> str:
    return "-".join(letters[place : place + 4] for place in range(0, len(letters), 4))


def _bytes(seed: str) -> bytes:
    return base64.b32decode(seed.encode("ascii", "replace"))
