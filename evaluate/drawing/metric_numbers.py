"""Metrics as tables show them: percent or points, the interval, chance, and a strip."""

from dataclasses import dataclass

from openalign.evaluate.results import Metric
from openalign.pages import charts


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A metric as a table shows it."""

    text: str
    interval: str
    chance: str
    strip: str
    """The same as a drawing; empty where there is no scale."""

    ties: str = ""
    """What to expect under a random order of ties; empty where it reads the same."""

    most_frequent: str = ""
    """What naming the most frequent class each time would reach; empty where it is chance, or no
    class is named."""


def percent(value: float) -> str:
    """Return a share as percent with one decimal, without the sign."""
    return f"{100 * value:z.1f}"


def signed(share: float) -> str:
    """Return a difference of shares in points, with a sign that is as wide as a digit."""
    return f"{100 * share:+z.1f}".replace("-", "\u2212")


def share_number(metric: Metric) -> Number:
    """Return a recall: percent, interval and chance."""
    expected = "" if metric.ties_at_random is None else percent(metric.ties_at_random)
    words = (
        f"{percent(metric.value)} percent, from {percent(metric.low)} to {percent(metric.high)}, "
        f"chance {percent(metric.chance)}"
    )
    return Number(
        text=percent(metric.value),
        interval=f"{percent(metric.low)}\u2013{percent(metric.high)}",
        chance=small_percent(metric.chance),
        strip=charts.interval_strip(
            metric.value, metric.low, metric.high, metric.chance, label=words
        ),
        ties="" if expected == percent(metric.value) else expected,
    )


def gain_number(metric: Metric) -> Number:
    """Return a difference of two shares, in points."""
    parts = [signed(part) for part in (metric.value, metric.low, metric.high)]
    return Number(
        text=parts[0],
        interval=f"{parts[1]} to {parts[2]}",
        chance="0",
        strip=charts.gain_strip(
            metric.value,
            metric.low,
            metric.high,
            label=f"{parts[0]} points, from {parts[1]} to {parts[2]}",
        ),
    )


def correlation_number(metric: Metric) -> Number:
    """Return a rank correlation, times 100."""
    text, low, high = (
        percent(part).replace("-", "\u2212") for part in (metric.value, metric.low, metric.high)
    )
    return Number(
        text=text,
        interval=f"{low} to {high}",
        chance="0",
        strip=charts.gain_strip(
            metric.value, metric.low, metric.high, label=f"{text}, from {low} to {high}"
        ),
    )


def rank_number(metric: Metric) -> Number:
    """Return a median rank."""
    return Number(
        text=f"{metric.value:,.0f}",
        interval=f"{metric.low:,.0f}\u2013{metric.high:,.0f}",
        chance=f"{metric.chance:,.0f}",
        strip="",
    )


def small_percent(share: float) -> str:
    """Return a share as percent with enough decimals to tell it from zero."""
    return f"{100 * share:.1f}" if share >= 0.0095 else f"{100 * share:.2f}"
