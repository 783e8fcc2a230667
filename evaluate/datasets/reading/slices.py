"""Images that are a stretch of a larger file."""

from dataclasses import dataclass

from openalign.errors import InputError
from openalign.files import remote_reads, storage


@dataclass(frozen=True, slots=True)
class FileSlice:
    """An image that lies in a file from one byte on, as it was encoded."""

    file: str
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the encoded image; from a store with further tries.

        Raises:
            InputError: the file is not there, or ends before the image does.
            StageError: its store has failed several times, refuses access, or sends whole files.
        """
        read = storage.read_range if storage.is_local(self.file) else remote_reads.read_range
        content = read(self.file, self.offset, self.length)
        if len(content) != self.length:
            raise InputError(
                f"{self.file}: ends at byte {self.offset + len(content)}, within an image"
            )
        return content
