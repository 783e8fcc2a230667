"""Bounds that many settings share; messages name the setting, its bound and the value.

Every check refuses infinities and NaN.
"""

import math
import re


def positive(**values: float | None) -> None:
    """Refuse values of 0 or less; null passes."""
    for name, value in values.items():
        if value is None:
            continue
        _finite(name, value)
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def not_negative(**values: float) -> None:
    """Refuse values below 0."""
    for name, value in values.items():
        _finite(name, value)
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def share(**values: float) -> None:
    """Refuse values outside [0, 1): 0 is allowed, 1 is not."""
    for name, value in values.items():
        _finite(name, value)
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


def short_name(**values: str) -> None:
    """Refuse a name that cannot be part of a file name."""
    for name, value in values.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value):
            raise ValueError(
                f"{name} must be lower-case letters, digits, `_` and `-`, got {value!r}: "
                "it becomes part of file names"
            )


def positive_share(**values: float) -> None:
    """Refuse values outside (0, 1]: 0 is not allowed, 1 is."""
    for name, value in values.items():
        _finite(name, value)
        if not 0 < value <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, got {value}")


def at_least(bound: float, /, **values: float) -> None:
    """Refuse values below a bound."""
    for name, value in values.items():
        _finite(name, value)
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")


def above(bound: float, /, **values: float) -> None:
    """Refuse values at or below a bound."""
    for name, value in values.items():
        _finite(name, value)
        if value <= bound:
            raise ValueError(f"{name} must be above {bound}, got {value}")


def within(low: float, high: float, /, **values: float) -> None:
    """Refuse values outside two bounds; the bounds themselves pass."""
    for name, value in values.items():
        _finite(name, value)
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, got {value}")


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
