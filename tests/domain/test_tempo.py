"""Whose override wins (protocol.md 3), and the bounds of every knob."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.refusal import Refusal
from appliance.domain.tempo import KNOB, KNOBS, Tempo, parse_knob, resolve, tempo_of

NAMES = [knob.name for knob in KNOBS]
LATENCIES = [name for name in NAMES if name.endswith("_LATENCY")]


def test_what_nobody_set_has_the_products_defaults() -> None:
    assert tempo_of(resolve({})) == Tempo(
        on=True,
        cycle_latency=60,
        frag_latency=10,
        period_latency=0,
        period_length=10,
        timeout_days=30,
        execution_timeout_minutes=120,
    )
    assert resolve({})["PROLOG_FREQ"] == 24


@pytest.mark.parametrize("name", [name for name in NAMES if name != "DOWNLOAD"])
def test_a_computer_wins_over_groups_and_groups_over_everywhere(name: str) -> None:
    low = KNOB[name].low
    assert resolve({name: low + 1})[name] == low + 1
    assert resolve({name: low + 1}, [{name: low}])[name] == low
    assert resolve({name: low + 1}, [{name: low}], {name: low + 1})[name] == low + 1
    assert resolve({name: low + 1}, [{}, {}], {})[name] == low + 1


@pytest.mark.parametrize("name", NAMES)
def test_among_groups_the_highest_latency_and_the_lowest_of_all_else_wins(name: str) -> None:
    low, high = KNOB[name].low, KNOB[name].high
    expected = high if name in LATENCIES else low
    assert resolve({}, [{name: low}, {name: high}, {}])[name] == expected
    assert resolve({}, [{name: high}, {}, {name: low}])[name] == expected


@pytest.mark.parametrize(
    ("everywhere", "groups", "computer", "on"),
    [
        (1, [], None, 1),
        (1, [], 0, 0),
        (1, [1, 1], None, 1),
        (1, [1, 0], None, 0),
        (1, [1, 0], 1, 0),  # a group's 0 cannot be undone by the computer
        (1, [1], 0, 0),
        (0, [], 1, 0),  # switched off for all is off for everyone
        (0, [1], 1, 0),
    ],
)
def test_deployment_is_on_only_where_nobody_switched_it_off(
    everywhere: int, groups: list[int], computer: int | None, on: int
) -> None:
    own = {} if computer is None else {"DOWNLOAD": computer}
    assert resolve({"DOWNLOAD": everywhere}, [{"DOWNLOAD": g} for g in groups], own)["DOWNLOAD"] == on
    assert tempo_of(resolve({"DOWNLOAD": everywhere}, [{"DOWNLOAD": g} for g in groups], own)).on is bool(on)


def test_a_computers_zero_latency_is_a_value_here() -> None:
    # the genuine server takes any 0 of a computer for unset (protocol.md 3); ours keeps what a person set
    assert resolve({"DOWNLOAD_CYCLE_LATENCY": 60}, [], {"DOWNLOAD_CYCLE_LATENCY": 0})["DOWNLOAD_CYCLE_LATENCY"] == 0


settings_drawn = st.fixed_dictionaries({}, optional={k.name: st.integers(k.low, k.high) for k in KNOBS})


@given(settings_drawn, st.lists(settings_drawn, max_size=3), settings_drawn)
def test_every_resolved_value_was_given_by_somebody(
    everywhere: dict[str, int], groups: list[dict[str, int]], computer: dict[str, int]
) -> None:
    result = resolve(everywhere, groups, computer)
    assert list(result) == NAMES
    for name, value in result.items():
        given_by = [source[name] for source in (everywhere, *groups, computer) if name in source]
        assert value in (*given_by, KNOB[name].default)
        assert KNOB[name].low <= value <= KNOB[name].high


@given(settings_drawn)
def test_a_tempo_repeats_the_resolved_values(everywhere: dict[str, int]) -> None:
    values = resolve(everywhere)
    tempo = tempo_of(values)
    assert (tempo.cycle_latency, tempo.frag_latency, tempo.period_latency) == tuple(
        values[f"DOWNLOAD_{name}_LATENCY"] for name in ("CYCLE", "FRAG", "PERIOD")
    )
    assert (tempo.period_length, tempo.timeout_days) == (values["DOWNLOAD_PERIOD_LENGTH"], values["DOWNLOAD_TIMEOUT"])
    assert tempo.execution_timeout_minutes == values["DOWNLOAD_EXECUTION_TIMEOUT"]


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
def test_a_knob_takes_its_bounds_and_nothing_beyond(knob: object) -> None:
    name, low, high = knob.name, knob.low, knob.high  # type: ignore[attr-defined]
    assert (parse_knob(name, str(low)), parse_knob(name, f" {high} ")) == (low, high)
    for text in (str(low - 1), str(high + 1), "", "ten", "1.5", "9" * 5000):
        with pytest.raises(Refusal) as refused:
            parse_knob(name, text)
        assert refused.value.field == name
        assert str(low) in str(refused.value)
        assert str(high) in str(refused.value)


def test_the_defaults_lie_within_their_bounds() -> None:
    assert [knob.name for knob in KNOBS if not knob.low <= knob.default <= knob.high] == []
