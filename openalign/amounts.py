"""Amounts in words, for people: bytes, and lengths of time."""

_BYTE_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_A_MINUTE = 60.0
_AN_HOUR = 3600.0


def bytes_in_words(number: float) -> str:
    """Return a number of bytes with the unit that leaves it below 1,000: `93.1 GB`."""
    power = 0
    while number >= 999.5 * 1000**power and power < len(_BYTE_UNITS) - 1:
        power += 1
    return f"{number / 1000**power:.3g} {_BYTE_UNITS[power]}"


def time_in_words(seconds: float) -> str:
    """Return a length of time: `40 s`, `12 minutes`, `66.9 hours`."""
    if seconds < 2 * _A_MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _AN_HOUR:
        return f"{seconds / _A_MINUTE:.0f} minutes"
    return f"{seconds / _AN_HOUR:,.1f} hours"
