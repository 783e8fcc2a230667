"""What a trial's settings are drawn from. A trial is a function of the seed and its number."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from openalign.train.data.order import draws_at


class Range(Protocol):
    """The values that a setting may have."""

    def at(self, draw: float) -> float:
        """Return the value for a number in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every value between two bounds, alike."""

    low: float
    high: float

    def at(self, draw: float) -> float:
        """Return the value for a number in [0, 1)."""
        return _readable(self.low + draw * (self.high - self.low))


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Every value between two bounds, each power of ten alike."""

    low: float
    high: float

    def at(self, draw: float) -> float:
        """Return the value for a number in [0, 1)."""
        return _readable(self.low * math.exp(draw * math.log(self.high / self.low)))


@dataclass(frozen=True, slots=True)
class Choice:
    """Some values, each alike."""

    values: tuple[float, ...]

    def at(self, draw: float) -> float:
        """Return the value for a number in [0, 1)."""
        return self.values[int(draw * len(self.values))]


def draw_trial(ranges: Mapping[str, Range], number: int, *, seed: int) -> dict[str, float]:
    """Return the settings of trial `number`, counted from 0; more trials change no earlier one."""
    draws = draws_at(np.array([number]), num_draws=len(ranges), seed=seed)[0]
    return {name: ranges[name].at(float(draw)) for name, draw in zip(ranges, draws, strict=True)}


def _readable(value: float) -> float:
    """Return six digits of a value: what a report prints is what was tried, on any machine."""
    return float(f"{value:.6g}")
