"""Passwords, secrets and codes: against the standards' own vectors, and never the same twice."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.trust import onetime, passwords, secrets

RFC_SEED = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B, SHA-1
RFC_CODES = [
    (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
    (2000000000, "69279037"), (20000000000, "65353130"),
]  # fmt: skip
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]  # RFC 4226


# Passwords


def test_a_password_fits_its_own_hash_and_no_other_and_the_hash_says_how_it_was_made() -> None:
    async def work() -> None:
        first, second = await asyncio.gather(*(passwords.hash_password("correct horse ñ") for _ in range(2)))
        assert first != second
        assert re.match(r"^\$argon2id\$v=19\$m=65536,t=3,p=1\$", first)
        assert await passwords.fits("correct horse ñ", first)
        assert not await passwords.fits("correct horse n", first)
        assert not passwords.is_weaker(first)

    asyncio.run(work())


def test_nobodys_password_costs_the_same_and_fits_nothing() -> None:
    async def timed(password: str, phc: str) -> tuple[bool, float]:
        start = time.process_time()
        return await passwords.fits(password, phc), time.process_time() - start

    async def work() -> None:
        somebody = await passwords.hash_password("correct horse")
        known = sorted([await timed("wrong horse", somebody) for _ in range(3)], key=lambda found: found[1])
        unknown = sorted([await timed("wrong horse", passwords.NOBODY) for _ in range(3)], key=lambda found: found[1])
        assert {fits for fits, _ in known + unknown} == {False}
        assert 0.5 < known[0][1] / unknown[0][1] < 2
        assert not passwords.is_weaker(passwords.NOBODY)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("parameters", "weaker"),
    [("m=65536,t=3,p=4", False), ("m=131072,t=4,p=4", False), ("m=19456,t=3,p=4", True), ("m=65536,t=2,p=1", True)],
)
def test_a_hash_with_less_is_to_be_made_anew(parameters: str, weaker: bool) -> None:
    assert passwords.is_weaker(f"$argon2id$v=19${parameters}$c2FsdHNhbHQ$aGFzaA") is weaker
    assert passwords.is_weaker("$2b$12$something")


def test_two_at_a_time_at_most_and_the_loop_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, real = [0], [0], passwords._fits

    def counted(password: str, phc: str) -> bool:
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            return real(password, phc)
        finally:
            running[0] -= 1

    async def work() -> int:
        at_once = asyncio.gather(*(passwords.fits("wrong", passwords.NOBODY) for _ in range(6)))
        beats = 0
        while not at_once.done():
            await asyncio.sleep(0.005)
            beats += 1
        return beats

    monkeypatch.setattr(passwords, "_fits", counted)
    assert asyncio.run(work()) > 10
    assert most == [2]


# Secrets


def test_secrets_have_256_bits_and_only_their_digest_is_needed() -> None:
    made = {secrets.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.urlsafe_b64decode(secret + "=")) for secret in made} == {32}
    secret = made.pop()
    assert re.fullmatch("[0-9a-f]{64}", secrets.digest(secret))
    assert secrets.fits(secret, secrets.digest(secret))
    assert not secrets.fits(secret + "x", secrets.digest(secret))
    assert not secrets.fits("", "")
    assert not secrets.fits("\ud800", secrets.digest(secret))


# The second factor


@pytest.mark.parametrize(("moment", "code"), RFC_CODES)
def test_codes_are_those_of_rfc_6238(moment: int, code: str) -> None:
    assert onetime.code(RFC_SEED, moment // 30, 8) == code
    assert onetime.accepted_step(RFC_SEED, code[2:], moment, 0) == moment // 30


def test_codes_are_those_of_rfc_4226() -> None:
    assert [onetime.code(RFC_SEED, step) for step in range(10)] == HOTP


def test_a_clock_may_be_one_step_off_and_no_step_is_good_twice() -> None:
    now = 1_800_000_000
    step = now // 30
    for off, good in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = onetime.accepted_step(RFC_SEED, onetime.code(RFC_SEED, step + off), now, 0)
        assert found == (step + off if good else None)
    spaced = onetime.code(RFC_SEED, step)
    assert onetime.accepted_step(RFC_SEED, f"{spaced[:3]} {spaced[3:]}", now, step - 1) == step
    assert onetime.accepted_step(RFC_SEED, spaced, now, step) is None
    assert onetime.accepted_step(RFC_SEED, onetime.code(RFC_SEED, step - 1), now, step) is None


@given(st.text(max_size=30))
def test_any_text_at_all_as_a_code_is_no_error(text: str) -> None:
    onetime.accepted_step(RFC_SEED, text, 1_800_000_000, 0)
    assert onetime.recovery_code(text) in ("", text.lower().strip()) or len(onetime.recovery_code(text)) == 19
    assert onetime.is_seed(text) is False


def test_an_app_gets_the_whole_address() -> None:
    seed = onetime.new_seed()
    assert onetime.is_seed(seed)
    assert seed != onetime.new_seed()
    address = urlsplit(onetime.address(seed, "ana ñ@x", "OCS: 1"))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert unquote(address.path) == "/OCS: 1:ana ñ@x"
    assert parse_qs(address.query) == {"secret": [seed], "issuer": ["OCS: 1"], "digits": ["6"], "period": ["30"]}


def test_recovery_codes_are_known_however_they_are_typed() -> None:
    codes = onetime.new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        assert re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", code)
        assert onetime.recovery_code(code.upper().replace("-", " ")) == code
    assert onetime.recovery_code(codes[0][:-1]) == ""
