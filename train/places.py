"""Where a run writes, and which of its files are the stage's result."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from openalign import storage
from openalign.manifest import DataFile
from openalign.train.journal import METRICS_FILE, SKIPPED_FILE
from openalign.train.vocabulary import VOCABULARY_FILE

EXPORT_FOLDER = "export"

_LOCAL_WORK = "work"
_LINES = (".jsonl", ".txt")
"""Files whose rows are their lines."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this run writes, on this machine."""

    result: Path
    checkpoints: Path


def local_folders(output: str, work: str) -> Folders:
    """Return where to write. DeepSpeed needs local files, so a URL gets a folder of this machine.

    The folder's name follows from the URL: a run that was killed goes on there, on this machine.
    """
    if storage.is_local(output):
        return Folders(storage.local_path(output), storage.local_path(work) / "checkpoints")
    name = f"openalign-train-{hashlib.sha256(output.encode()).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir()) / name
    return Folders(folder, folder / _LOCAL_WORK / "checkpoints")


def upload(folder: Path, output: str) -> None:
    """Copy what was made on this machine to where it belongs, then remove it here."""
    for name in storage.list_files(str(folder)):
        if not name.startswith(f"{_LOCAL_WORK}/"):
            storage.write_bytes(storage.join(output, name), (folder / name).read_bytes())
    storage.remove(str(folder))


def data_files(folder: Path) -> list[DataFile]:
    """List what belongs to the result; times and TensorBoard's files do not."""
    exported = storage.list_files(str(folder / EXPORT_FOLDER))
    names = [VOCABULARY_FILE, METRICS_FILE, SKIPPED_FILE]
    names += [f"{EXPORT_FOLDER}/{name}" for name in exported]
    return [_data_file(folder, name) for name in names if (folder / name).exists()]


def _data_file(folder: Path, name: str) -> DataFile:
    path = folder / name
    return DataFile(
        name=name,
        num_rows=path.read_bytes().count(b"\n") if name.endswith(_LINES) else 1,
        num_bytes=path.stat().st_size,
        sha256=storage.sha256_of(str(path)),
    )
