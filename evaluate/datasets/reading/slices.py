"""Images that are a stretch of a larger file."""

from dataclasses import dataclass

from openalign.errors import InputError
from openalign.files import storage


@dataclass(frozen=True, slots=True)
class FileSlice:
    """An image that lies in a file from one byte on, as it was encoded."""

    file: str
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            InputError: the file is not there, or ends before the image does.
        """
        content = storage.read_range(self.file, self.offset, self.length)
        if len(content) != self.length:
            raise InputError(
                f"{self.file}: ends at byte {self.offset + len(content)}, within an image"
            )
        return content
