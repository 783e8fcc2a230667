"""Small inline SVG charts: no script, no style of their own, readable on a phone.

Colors come from the page's CSS classes, so light, dark and print each have their own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 12.0, 30.0
_MOST_POINTS = 300
_TICKS = 4
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_DOT, _DOT = 2.0, 14.0
_TRIED_DOT, _CHOSEN_DOT = 3.5, 6.0
_MOST_DECADES = 7
_UNIT_WIDTH = 110.0
"""Room for the unit at the end of the axis."""


def line_chart(
    steps: Sequence[float],
    values: Sequence[float],
    *,
    label: str,
    unit: str,
    measured: str = "",
    chance: float | None = None,
) -> str:
    """Return a curve over steps: every value faintly, the running mean on top.

    `label` is what a screen reader says; `unit` names the horizontal axis, `measured` the vertical
    one. A dashed line lies at what chance gives, where that is known.
    """
    scale_x = _Scale(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    spanned = values if chance is None else [*values, chance]
    ticks = nice_ticks(min(spanned), max(spanned))
    scale_y = _Scale(min(ticks[0], *spanned), max(ticks[-1], *spanned), _HEIGHT - _BOTTOM, _TOP)
    smooth = _running_mean(values, max(1, len(values) // 40))
    parts = [
        _opening(label),
        *(_grid_line(tick, scale_y.at(tick)) for tick in ticks),
        *(_step_label(tick, scale_x.at(tick)) for tick in _whole_ticks(min(steps), max(steps))),
        _axis_text(_WIDTH - _RIGHT, _HEIGHT - 2, unit, anchor="end"),
        *([] if chance is None else _chance_line(chance, scale_y.at(chance))),
        _path("faint", steps, values, scale_x, scale_y),
        _path("curve", steps, smooth, scale_x, scale_y),
        *([_axis_text(_LEFT, _TOP - 2, measured, anchor="start")] if measured else []),
        "</svg>",
    ]
    return "".join(parts)


def interval_strip(value: float, low: float, high: float, chance: float, *, label: str) -> str:
    """Return a strip from 0 to 1 with an interval, the value in it, and a mark at chance."""
    return (
        f'<svg class="strip" viewBox="0 0 200 14" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label, quote=True)}">'
        '<rect class="track" x="0" y="5" width="200" height="4" rx="2"/>'
        f'<rect class="interval" x="{_strip(low)}" y="3" '
        f'width="{200 * (min(high, 1.0) - max(low, 0.0)):.1f}" height="8" rx="2"/>'
        f'<rect class="chance" x="{_strip(chance)}" y="1" width="1.2" height="12"/>'
        f'<rect class="value" x="{_strip(value)}" y="0" width="2" height="14"/></svg>'
    )


def gain_strip(value: float, low: float, high: float, *, label: str) -> str:
    """Return a strip from -1 to 1 with an interval, the value in it, and a mark at zero."""
    value, low, high = ((part + 1.0) / 2.0 for part in (value, low, high))
    return interval_strip(value, low, high, 0.5, label=label)


def reliability_chart(bins: Sequence[tuple[float, float, float]], *, label: str) -> str:
    """Return accuracy over confidence, a dot a range of confidence, and the line where both agree.

    Each of `bins` is confidence, accuracy and the share of all images, which is the dot's area.
    """
    scale_x = _Scale(0.0, 1.0, _LEFT, _WIDTH - _RIGHT)
    scale_y = _Scale(0.0, 1.0, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        _opening(label),
        *(_grid_line(tick, scale_y.at(tick)) for tick in _QUARTERS),
        *(
            _axis_text(scale_x.at(tick), _HEIGHT - 2, f"{tick:g}", anchor="middle")
            for tick in _QUARTERS[:-1]
        ),
        _axis_text(_WIDTH - _RIGHT, _HEIGHT - 2, "confidence", anchor="end"),
        _axis_text(_LEFT, _TOP - 2, "accuracy", anchor="start"),
        _path("faint", [0.0, 1.0], [0.0, 1.0], scale_x, scale_y),
        *(
            f'<circle cx="{scale_x.at(confidence):.1f}" cy="{scale_y.at(accuracy):.1f}" '
            f'r="{_LEAST_DOT + _DOT * math.sqrt(share):.1f}"/>'
            for confidence, accuracy, share in bins
        ),
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One of the settings that were tried, and how it fared."""

    x: float
    """The setting; above 0."""

    share: float
    words: str
    """What is shown where a pointer rests on it."""


def sweep_chart(dots: Sequence[Dot], *, chosen: int, label: str, unit: str) -> str:
    """Return what settings reached, in percent, over powers of ten; the chosen one is marked."""
    tens = [math.log10(dot.x) for dot in dots]
    values = [100 * dot.share for dot in dots]
    low, high = math.floor(min(tens) + 1e-9), math.ceil(max(tens) - 1e-9)
    ticks = nice_ticks(min(values), max(values))
    scale_x = _Scale(low, max(high, low + 1), _LEFT + _DOT, _WIDTH - _RIGHT - _DOT)
    scale_y = _Scale(ticks[0], ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    every = max(1, math.ceil((high - low) / _MOST_DECADES))
    parts = [
        _opening(label),
        *(_grid_line(tick, scale_y.at(tick)) for tick in ticks),
        *(
            _axis_text(scale_x.at(ten), _HEIGHT - 2, f"1e{ten}" if ten else "1", anchor="middle")
            for ten in range(low, high + 1, every)
            if scale_x.at(ten) < _WIDTH - _UNIT_WIDTH
        ),
        _axis_text(_WIDTH - _RIGHT, _HEIGHT - 2, unit, anchor="end"),
        _axis_text(_LEFT, _TOP - 2, "percent", anchor="start"),
        *(
            _dot(scale_x.at(ten), scale_y.at(value), dot.words, is_chosen=at == chosen)
            for at, (ten, value, dot) in enumerate(zip(tens, values, dots, strict=True))
        ),
        "</svg>",
    ]
    return "".join(parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Return round values that span a range: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low - 0.5, low, low + 0.5]
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _dot(x: float, y: float, words: str, *, is_chosen: bool) -> str:
    css, radius = (' class="chosen"', _CHOSEN_DOT) if is_chosen else ("", _TRIED_DOT)
    return (
        f'<circle{css} cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">'
        f"<title>{escape(words)}</title></circle>"
    )


def _opening(label: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}">'
    )


class _Scale:
    """A linear map from a range of values to a range of the drawing."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = low, start
        self._factor = (end - start) / (high - low) if high > low else 0.0

    def at(self, value: float) -> float:
        return self._start + (value - self._low) * self._factor


def _whole_ticks(low: float, high: float) -> list[float]:
    return [tick for tick in nice_ticks(low, high) if low <= tick <= high and tick == int(tick)]


def _grid_line(tick: float, y: float) -> str:
    return (
        f'<line class="grid" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        + _axis_text(_LEFT - 8, y + 4, f"{tick:g}", anchor="end")
    )


def _chance_line(chance: float, y: float) -> tuple[str, str]:
    return (
        f'<line class="chance" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>',
        _axis_text(_WIDTH - _RIGHT, y + 14, f"chance {chance:.3g}", anchor="end"),
    )


def _step_label(tick: float, x: float) -> str:
    if x > _WIDTH - 60:
        return ""  # the unit is printed there
    return _axis_text(x, _HEIGHT - 2, f"{int(tick):,}", anchor="middle")


def _axis_text(x: float, y: float, text: str, *, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="axis" {place}>{escape(text)}</text>'


def _path(
    css: str, steps: Sequence[float], values: Sequence[float], scale_x: _Scale, scale_y: _Scale
) -> str:
    every = max(1, math.ceil(len(values) / _MOST_POINTS))
    # The last point, the run's final value, is always drawn.
    kept = sorted({*range(0, len(values), every), len(values) - 1})
    points = " L".join(f"{scale_x.at(steps[i]):.1f} {scale_y.at(values[i]):.1f}" for i in kept)
    return f'<path class="{css}" d="M{points}"/>'


def _running_mean(values: Sequence[float], half: int) -> list[float]:
    """Return the mean of each value's neighborhood; it is narrower at both ends."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    means: list[float] = []
    for at in range(len(values)):
        reach = min(half, at, len(values) - 1 - at)
        means.append((sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1))
    return means


def _strip(share: float) -> str:
    return f"{200 * min(max(share, 0.0), 1.0):.1f}"
