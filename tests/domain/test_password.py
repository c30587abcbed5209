"""What a password must be: long enough, and no guesser's first try."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.password import COMMON, LONGEST, SHORTEST, as_kept, checked_password
from appliance.domain.refusal import Kind, Refusal


def refused(password: str, *names: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        checked_password(password, *names)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.field == "password"
    return caught.value


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "mi perro come flores",
        "x7#Qd93!kLp2",
        "83!92#47a5b6",
        "日本語のパスワードは長い方が良い",
    ],
)
def test_a_few_words_or_twelve_letters_by_chance_are_good_without_any_composition(password: str) -> None:
    assert checked_password(password, "ana", "Ana García") == password


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "a" * 300 + "bcdef" * 20])
def test_too_short_and_too_long_are_refused(password: str) -> None:
    assert "characters" in str(refused(password))


def test_the_bounds_themselves_are_allowed() -> None:
    letters = "kfzqwmtyrbvhxgjp" * 16
    assert checked_password(letters[:SHORTEST])
    assert len(checked_password(letters[:LONGEST])) == LONGEST
    refused(letters[: SHORTEST - 1])
    refused(letters[:LONGEST] + "x")


@pytest.mark.parametrize(
    "password",
    ["password-2026!", "Administrator1!", "ocsinventory123", "contraseña-2026", "Summer2026!!!!", "1q2w3e4r5t6y",
     "PasswordPassword", "qwertyuiop[]", "monkey dragon shadow"],
)  # fmt: skip
def test_words_that_everybody_tries_first_are_refused_with_what_is_hung_on_them(password: str) -> None:
    assert "everybody tries first" in str(refused(password))


@pytest.mark.parametrize("password", ["aaaaaaaaaaaa", "123456789012", "abcdefghijklm", "abababababab", "998877665544"])
def test_repeating_and_counting_are_refused(password: str) -> None:
    assert "repeats or counts" in str(refused(password))


@pytest.mark.parametrize("password", ["ana garcia 2026", "AnaGarcía-123", "12345-mleopold", "mleopold.mleopold"])
def test_the_users_own_name_is_refused(password: str) -> None:
    assert "own name" in str(refused(password, "mleopold", "Ana García"))


def test_a_short_name_within_a_long_password_is_no_harm() -> None:
    assert checked_password("banana bread with nuts", "ana", "Ana")


@pytest.mark.parametrize(
    "password", ["correct horse\nbattery", "correct horse\0battery", "correct \ud800 horse battery"]
)
def test_control_characters_are_refused(password: str) -> None:
    assert "control characters" in str(refused(password))


def test_the_same_letters_from_another_keyboard_are_the_same_password() -> None:
    composed = "contraseñita mía larga"
    assert checked_password(unicodedata.normalize("NFD", composed)) == composed


def test_the_list_is_worth_its_name() -> None:
    assert len(COMMON) >= 100
    assert all(word == word.casefold() for word in COMMON)


@given(st.text(max_size=400))
def test_any_text_at_all_is_kept_as_it_is_in_nfc_or_refused(text: str) -> None:
    try:
        kept = checked_password(text, "ana", "Ana García")
    except Refusal:
        return
    assert kept == as_kept(text) == as_kept(kept)
    assert SHORTEST <= len(kept) <= LONGEST
