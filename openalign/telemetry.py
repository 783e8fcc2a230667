"""What people watch while a stage runs, and the side log for what must not reach a data file.

Times, rates and latencies go to `run.jsonl`: data files and manifests stay comparable byte for
byte between runs. Everything here writes to stderr; stdout belongs to results.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger("openalign")


def say(message: str) -> None:
    """Print a line for people, on stderr."""
    _console().print(message, highlight=False, markup=False, soft_wrap=True)


def set_up_logging() -> None:
    """Let our own messages through and quieten the libraries' running commentary."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("apache_beam", "deepspeed", "DeepSpeed", "root"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class JsonLines:
    """Append one JSON object a line; a line is flushed before the next thing happens."""

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
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


@contextmanager
def progress_line(label: str, measure: Callable[[], str]) -> Generator[None]:
    """Show `label`, what `measure` returns and the time spent, until the block ends.

    On a terminal the line is redrawn twice a second; elsewhere nothing is shown before the end.
    `measure` is asked from a thread of its own and must only look (at files, at counters).
    """
    console = _console()
    if not console.is_terminal:
        yield
        return
    done = threading.Event()
    started = time.monotonic()
    with console.status(label) as status:

        def watch() -> None:
            while not done.wait(0.5):
                status.update(f"{label}  {measure()}  {time.monotonic() - started:.0f} s")

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)
