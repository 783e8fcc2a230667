"""The files of the training index on this machine, where ranks can map them."""

from collections.abc import Sequence
from pathlib import Path

from openalign.files.machine_copies import WrittenFile, path_here


class IndexFile(WrittenFile, frozen=True, kw_only=True):
    """A file of the training index, as the manifest of `select` has it."""


def paths_on_this_machine(files: Sequence[IndexFile], *, cache: Path | None = None) -> list[Path]:
    """Return where each file lies on this machine; copies of remote ones are made in `cache`.

    It is a folder of the machine's temporary directory if None.

    Raises:
        StageError: a file is not what `select` wrote, or there is no room for a copy.
    """
    return [path_here(file, stage="select", folder=cache) for file in files]
