"""Whether the files of a complete result are still those that its manifest names.

A power loss can leave a file shorter, or as long as it was with zeros in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.files import storage
from openalign.files.manifest import DataFile


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """A complete result's folder, and the files as they were written into it."""

    folder: str
    files: Sequence[DataFile]

    def of_other_size(self) -> list[str]:
        """Return the names of files that are not there, or not as long as they were."""
        return [
            file.name
            for file in self.files
            if not _has_size(storage.join(self.folder, file.name), file)
        ]

    def is_whole(self, name: str) -> bool:
        """Tell whether a file has the bytes that were written. It is read once, in pieces."""
        url = storage.join(self.folder, name)
        return any(
            _has_size(url, file) and storage.sha256_of(url) == file.sha256
            for file in self.files
            if file.name == name
        )


def _has_size(url: str, file: DataFile) -> bool:
    return storage.exists(url) and storage.size_of(url) == file.num_bytes
