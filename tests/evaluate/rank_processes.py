"""What tests that start ranks of an evaluation share."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def environment() -> dict[str, str]:
    """Return an environment in which a process finds the modules of the tests."""
    folder = str(Path(__file__).parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}


def wait_until(condition: Callable[[], object], *, seconds: float = 120.0) -> None:
    """Wait for something that must happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def process_ids(folder: Path) -> list[int]:
    """Return the ids that processes left in a folder, as names of files."""
    return sorted(int(path.stem) for path in folder.glob("*.pid"))


def is_alive(process_id: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be asked does not."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
