"""Messages and progress while a stage runs, and the log of times.

Times, rates and latencies go to `run.jsonl`, so data files and manifests stay the same byte for
byte between runs. This module prints to stderr; stdout belongs to results.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from openalign.lines import lines_of

logger = logging.getLogger("openalign")

PROCESS_BEGAN = time.time()
"""When this process began, but for the start of Python itself."""

_SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal on which a line can be drawn anew."""


def say(message: str) -> None:
    """Print a line for people, on stderr."""
    _console().print(message, highlight=False, markup=False, soft_wrap=True)


def set_up_logging() -> None:
    """Show OpenALIGN's messages and silence the libraries' chatter."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("apache_beam", "deepspeed", "DeepSpeed", "root"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class JsonLines:
    """Append JSON objects, one a line; each line is flushed at once."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, **values: Any) -> None:
        """Append one object."""
        with self._path.open("a", encoding="utf-8") as sink:
            sink.write(json.dumps(values, ensure_ascii=False) + "\n")


def read_json_lines(text: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines text; a last line that was cut off is left out."""
    rows: list[dict[str, Any]] = []
    for line in lines_of(text):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


@contextmanager
def progress_line(label: str, measure: Callable[[], str]) -> Generator[None]:
    """Show `label`, what `measure` returns and the time spent, until the block ends.

    On a terminal the line is redrawn twice a second; elsewhere it is printed twice a minute.
    A separate thread calls `measure`, so it must only read (files, counters).
    """
    console = _console()
    done = threading.Event()
    started = time.monotonic()
    with console.status(label) if console.is_terminal else nullcontext() as status:

        def watch() -> None:
            while not done.wait(_SECONDS_BETWEEN_LINES if status is None else 0.5):
                line = f"{label}  {measure()}  {time.monotonic() - started:.0f} s"
                if status is None:
                    say(line)
                else:
                    status.update(line)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@cache
def _console() -> Any:
    """Return the one console: what it prints stands above a line that it draws anew."""
    from rich.console import Console

    return Console(stderr=True)
