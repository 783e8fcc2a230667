"""An image of a benchmark, whatever format the benchmark was published in, and its places."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class ImagePlace(Protocol):
    """Where the bytes of an image lie."""

    @property
    def file(self) -> str:
        """URL of the file that holds them: the image itself, or an archive of images."""
        ...

    def read(self) -> bytes:
        """Return the encoded image. Called from several threads.

        Raises:
            InputError: it is not there, or not whole.
            StageError: its store has failed several times, or refuses access.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that is a file of its own, below the folder of images."""

    folder: str
    path: str

    @property
    def file(self) -> str:
        """URL of the image."""
        return f"{self.folder.rstrip('/')}/{self.path}"

    def read(self) -> bytes:
        """Return the encoded image; from a store with further tries.

        Raises:
            InputError: it is not there.
            StageError: its store has failed several times, or refuses access.
        """
        # Settings are made of this module, and need no fsspec.
        from openalign.files import remote_reads, storage

        read = storage.read_bytes if storage.is_local(self.file) else remote_reads.read_file
        return read(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkImage:
    """One image of a benchmark with what is known of it."""

    name: str
    """Unique in a benchmark: its path below the folder of images, as the format has it."""

    split: str
    place: ImagePlace

    captions: tuple[str, ...] = ()

    caption_ids: tuple[str, ...] = ()
    """The published id of each caption, where the format has ids."""

    label: int | None = None
    """Place of its class in `Dataset.classes`, where the data set has classes."""

    @property
    def where(self) -> str:
        """What an error calls it: its file, and its name where the file holds several."""
        file = self.place.file
        return file if file.endswith(self.name) else f"{file}: {self.name}"


def places_by_name(images: Iterable[BenchmarkImage]) -> dict[str, int]:
    """Return the place of each image by its name, and by its file name where only one has it.

    Files of queries and ratings often give the file name without its folders.
    """
    names = [image.name for image in images]
    files = [name.rpartition("/")[2] for name in names]
    once = {file for file, count in Counter(files).items() if count == 1}
    found = {file: at for at, file in enumerate(files) if file in once}
    return found | {name: at for at, name in enumerate(names)}
