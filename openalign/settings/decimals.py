"""Numbers as people write them in settings: decimal ones alone.

YAML 1.1 has more of them: `010` is 8 there, `0x10` is 16 and `2:00` is 120. And it takes `1e-3` for
text.
"""

import re
from typing import Any

_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*(?:_\d+)*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?\.(?:inf|nan)",
    re.IGNORECASE,
)
_BASES = re.compile(r"0[box][\da-f_]+", re.IGNORECASE)
_LEADING_ZEROS = re.compile(r"([+-]?)0[\d_]*?([1-9][\d_]*(?:\.\d*)?|\.\d+)")


def is_number(text: str) -> bool:
    """Tell whether a text is read as a number."""
    return _NUMBER.fullmatch(text) is not None


def as_number(value: Any, wanted: Any) -> Any:
    """Return a value as the kind of number that is wanted, where it is one; else as it is."""
    written = isinstance(value, str) and wanted in (int, float) and is_number(value)
    if written and "e" in value.lower():
        value = float(value)
        if wanted is int and value.is_integer():
            return int(value)
    return float(value) if wanted is float and type(value) is int else value


def number_meant(text: str) -> str | None:
    """Return how to write what looks like a number and is not read as one, or nothing."""
    if is_number(text):
        return None
    if re.fullmatch(r"[+-]?\d[\d_]*(:[\d.]+)+", text):
        return (
            "write one number without colons, in the unit of the setting: 120 for two hours, where "
            "it counts minutes"
        )
    if _BASES.fullmatch(text):
        try:
            return f"write {int(text, 0)}"
        except ValueError:
            return None
    if (found := _LEADING_ZEROS.fullmatch(text)) is None:
        return None
    digits = found[2] if found[2][0] != "." else f"0{found[2]}"
    is_octal = re.fullmatch(r"[+-]?[0-7]+", text)
    octal = f", or {int(text, 8)} if it is octal" if is_octal and abs(int(text, 8)) > 7 else ""
    return f"write {found[1]}{digits}{octal}"
