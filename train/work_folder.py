"""Where a run writes on this machine."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from openalign.files import storage
from openalign.telemetry import say

_LOCAL_WORK = "work"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this run writes, on this machine."""

    result: Path
    checkpoints: Path


def local_folders(output: str, work: str) -> Folders:
    """Return where to write. DeepSpeed needs local files, so a URL gets a folder of this machine.

    The folder's name is a function of the URL: a run that was killed goes on there, on this
    machine.
    """
    if storage.is_local(output):
        return Folders(storage.local_path(output), storage.local_path(work) / "checkpoints")
    folder = Path(tempfile.gettempdir()) / f"openalign-train-{_short_hash(output)}"
    return Folders(folder, folder / _LOCAL_WORK / "checkpoints")


def upload(folder: Path, output: str) -> None:
    """Copy what was made on this machine to where it belongs.

    The local files stay: a run that is killed before the stage is sealed goes on from them.
    """
    for name in storage.list_files(str(folder)):
        if not name.startswith(f"{_LOCAL_WORK}/"):
            storage.write_bytes(storage.join(output, name), (folder / name).read_bytes())
    say(f"train     {folder} can be removed once the stage is complete")


def _short_hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
