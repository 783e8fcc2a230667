"""How far a long stage is: a bar on a terminal, and else a plain line from time to time.

A process that others were started by draws one bar for all of them, from the records that they
write on their stderr.
"""

import math
import os
import sys
import time
from typing import Protocol

import msgspec

from openalign.telemetry import say

REPORTS_TO = "OPENALIGN_PROGRESS_RECORDS"
"""Set by a process that draws the progress bar itself, from records on stderr."""

_RECORD = "\x1e"
"""Begins the line of a record (ASCII's record separator)."""

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_RECORDS = 0.5


class ProgressRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How far a process is, for the one that draws the bar."""

    done: int
    total: int
    text: str


_RECORDS = msgspec.json.Decoder(ProgressRecord)


def read_record(line: str) -> ProgressRecord | None:
    """Return the record that a process wrote on a line, or None where the line is a message."""
    return _RECORDS.decode(line.removeprefix(_RECORD)) if line.startswith(_RECORD) else None


class Display(Protocol):
    """Something that shows how far a stage is."""

    def show(self, done: int, text: str) -> None:
        """Show what is done, and a few words beside it."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def reports_elsewhere() -> bool:
    """Tell whether the process that started this one draws the bar."""
    return REPORTS_TO in os.environ


def display_of(label: str, *, total: int, unit: str) -> Display:
    """Return what shows the progress of a stage called `label`: `total` times a `unit`."""
    if reports_elsewhere():
        return _Records(total)
    return Bar(label, total) if sys.stderr.isatty() else _Lines(label, total, unit)


class Bar:
    """A progress bar on this terminal."""

    def __init__(self, label: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn(label),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def show(self, done: int, text: str) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, description=text)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


class _Lines:
    """A plain line from time to time, where there is no terminal for a bar."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._shown = time.monotonic()

    def show(self, done: int, text: str) -> None:
        now = time.monotonic()
        if done == self._total or now - self._shown >= _SECONDS_BETWEEN_LINES:
            self._shown = now
            say(f"{self._label}  {self._unit} {done:,} of {self._total:,}  {text}")

    def close(self) -> None:
        pass


class _Records:
    """Records for the process that started this one and draws the bar."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._sent = -math.inf  # never: the clock may be at 0

    def show(self, done: int, text: str) -> None:
        now = time.monotonic()
        if now - self._sent >= _SECONDS_BETWEEN_RECORDS or done == self._total:
            self._sent = now
            record = ProgressRecord(done=done, total=self._total, text=text)
            sys.stderr.write(f"{_RECORD}{msgspec.json.encode(record).decode()}\n")
            sys.stderr.flush()

    def close(self) -> None:
        pass
