"""Geometry of the charts: numbers in, places in an SVG's own units out; charts.html draws them.

Every chart has a table beside it, so nothing here carries a meaning alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1000.0, 240.0
LEAST = 4.0  # the smallest share that is not nothing can still be seen
LEFT, BOTTOM, TOP = 52.0, 26.0, 12.0


@dataclass(frozen=True)
class Slice:
    """One part of a bar."""

    kind: str  # a stage's word: names the colour and the pattern
    name: str
    count: int
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A bar of parts that fill WIDTH together."""

    slices: tuple[Slice, ...]
    total: int


@dataclass(frozen=True)
class Curve:
    """One line of a chart: `path` is an SVG path's d, `end` the last value."""

    kind: str
    name: str
    path: str
    end: int


@dataclass(frozen=True)
class Mark:
    """A label on an axis, at a place."""

    at: float
    text: str


@dataclass(frozen=True)
class Lines:
    """Values over time."""

    curves: tuple[Curve, ...]
    across: tuple[Mark, ...]  # moments, as seconds in text
    up: tuple[Mark, ...]


def bar(parts: Sequence[tuple[str, str, int]]) -> Bar:
    """A bar of (kind, name, count); what is not zero stays visible however small its share."""
    shown = [(kind, name, count) for kind, name, count in parts if count > 0]
    total = sum(count for _, _, count in shown)
    if not total:
        return Bar((), 0)
    widths = [max(LEAST, WIDTH * count / total) for _, _, count in shown]
    scale = WIDTH / sum(widths)
    slices, x = [], 0.0
    for (kind, name, count), width in zip(shown, widths, strict=True):
        slices.append(Slice(kind, name, count, round(x, 2), round(width * scale, 2)))
        x += width * scale
    return Bar(tuple(slices), total)


def lines(moments: Sequence[int], series: Sequence[tuple[str, str, Sequence[int]]]) -> Lines:
    """Curves of (kind, name, values), one value a moment (seconds, rising)."""
    if not moments:
        return Lines((), (), ())
    top = nice(max([1, *(max(values, default=0) for _, _, values in series)]))
    first, last = moments[0], max(moments[-1], moments[0] + 1)

    def across(moment: int) -> float:
        return round(LEFT + (WIDTH - LEFT) * (moment - first) / (last - first), 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top, 1)

    curves = []
    for kind, name, values in series:
        places = [f"{across(m)} {up(v)}" for m, v in zip(moments, values, strict=True)]
        curves.append(Curve(kind, name, f"M{' L'.join(places)}", values[-1]))
    steps = [first + (last - first) * part // 4 for part in range(5)] if last - first > 300 else [first, last]
    marks = tuple(Mark(up(top * part / 4), str(round(top * part / 4))) for part in range(5) if top * part % 4 == 0)
    return Lines(tuple(curves), tuple(Mark(across(moment), str(moment)) for moment in steps), marks)


def nice(value: int) -> int:
    """The smallest round number that is not smaller, dividable by 4."""
    unit = 1
    while True:
        for digit in (4, 8, 12, 20, 40, 60):
            if digit * unit >= value:
                return digit * unit
        unit *= 10
