"""Results on stdout: the one place that prints. Messages go to stderr (`openalign.telemetry`)."""

import os
import sys
from collections.abc import Iterable
from typing import Any

import msgspec


def tell(text: str) -> None:
    """Print a line; where nobody reads on, as behind `| head`, end without a word."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        # Python itself flushes once more at its end, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def tell_lines(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        tell(line)


def tell_json(value: Any) -> None:
    """Print a value as indented JSON."""
    tell(msgspec.json.format(msgspec.json.encode(value)).decode())
