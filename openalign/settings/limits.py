"""Bounds that many settings share; the message names the setting, its bound and what it got.

None of them lets through what is not finite: a NaN is neither above nor below anything.
"""

import math
import re


def positive(**values: float | None) -> None:
    """Refuse what is 0 or less; null passes."""
    for name, value in values.items():
        if value is None:
            continue
        _finite(name, value)
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def not_negative(**values: float) -> None:
    """Refuse what is below 0."""
    for name, value in values.items():
        _finite(name, value)
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def share(**values: float) -> None:
    """Refuse what is outside 0 (allowed) to 1 (not allowed)."""
    for name, value in values.items():
        _finite(name, value)
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


def short_name(**values: str) -> None:
    """Refuse a name that could not be part of a file's name."""
    for name, value in values.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value):
            raise ValueError(
                f"{name} must be lower-case letters, digits, `_` and `-`, got {value!r}: "
                "it becomes part of file names"
            )


def positive_share(**values: float) -> None:
    """Refuse what is outside 0 (not allowed) to 1 (allowed)."""
    for name, value in values.items():
        _finite(name, value)
        if not 0 < value <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, got {value}")


def at_least(bound: float, /, **values: float) -> None:
    """Refuse what is below a bound."""
    for name, value in values.items():
        _finite(name, value)
        if value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")


def above(bound: float, /, **values: float) -> None:
    """Refuse what is not above a bound."""
    for name, value in values.items():
        _finite(name, value)
        if value <= bound:
            raise ValueError(f"{name} must be above {bound}, got {value}")


def within(low: float, high: float, /, **values: float) -> None:
    """Refuse what is outside two bounds; the bounds themselves pass."""
    for name, value in values.items():
        _finite(name, value)
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, got {value}")


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
