"""Results on stdout: the one place that prints. Messages go to stderr (`openalign.telemetry`)."""

from collections.abc import Iterable
from typing import Any

import msgspec


def tell(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201


def tell_lines(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        tell(line)


def tell_json(value: Any) -> None:
    """Print a value as indented JSON."""
    tell(msgspec.json.format(msgspec.json.encode(value)).decode())
