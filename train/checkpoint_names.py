"""How checkpoints are called, and which ones a folder has."""

from functools import partial

from openalign.files.remote_reads import tried_again
from openalign.files.shared_folder import list_now

MANIFEST_FILE = "checkpoint.json"
"""What makes a folder a checkpoint; it holds the hashes of the other files."""

_PREFIX = "step-"


def name_of(step: int) -> str:
    """Return the name of a checkpoint's folder."""
    return f"{_PREFIX}{step:08d}"


def step_of(name: str) -> int | None:
    """Return the step of a checkpoint's folder, or None where it is none."""
    digits = name.removeprefix(_PREFIX)
    return int(digits) if name.startswith(_PREFIX) and digits.isdecimal() else None


def steps_in(url: str) -> list[int]:
    """Return the steps of the checkpoints in a folder, the newest first, whole or not.

    Raises:
        StageError: the folder cannot be listed, several times in a row.
    """
    found = [step_of(name) for name in tried_again(url, partial(list_now, url), "its names")]
    return sorted((step for step in found if step is not None), reverse=True)
