"""Whether the files of a complete result are still those that its manifest names.

A power loss can leave a file shorter, or as long as it was with zeros in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openalign.files import storage
from openalign.files.manifest import DataFile, Manifest, StageFolder


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """A complete result's folder, and the files as they were written into it."""

    folder: str
    files: Sequence[DataFile]

    def is_whole(self, name: str) -> bool:
        """Tell whether a file has the bytes that were written. It is read once, in pieces."""
        url = storage.join(self.folder, name)
        return any(
            _has_size(url, file) and storage.sha256_of(url) == file.sha256
            for file in self.files
            if file.name == name
        )


def lost_files(folder: StageFolder, manifest: Manifest) -> list[str]:
    """Return the names of a result's files that are gone, or not as long as they were written."""
    return [
        file.name
        for file in manifest.files
        if not _has_size(storage.join(folder.url, file.name), file)
    ]


def _has_size(url: str, file: DataFile) -> bool:
    return storage.exists(url) and storage.size_of(url) == file.num_bytes
