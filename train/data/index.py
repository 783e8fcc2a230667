"""The training pairs by row number, out of memory-mapped files that a machine's ranks share.

A rank keeps a few numbers a file for itself, and nothing a pair.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openalign.errors import StageError
from openalign.files.training_index import map_training_index
from openalign.train.data.order import RowNumbers

_ROWS_LOOKED_AT = 10_000

ImageNumbers = npt.NDArray[np.int64]


class ImagePlace(NamedTuple):
    """Where an image's bytes lie, and their hash (`content_hash`); 0 where it is not known."""

    shard: str
    offset: int
    length: int
    xxh3: int


class TrainingIndex:
    """The rows of all files, one file after the other."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Map the files.

        Raises:
            StageError: they hold no pair.
            InputError: one of them is no index, or one of another version.
        """
        self._files = [map_training_index(path) for path in paths]
        self._first_rows = _starts([file.num_rows for file in self._files])
        self._first_images = _starts([file.num_images for file in self._files])
        if len(self) == 0:
            raise StageError(
                "there is nothing to train on: the training manifest holds no pair",
                hint="look at the funnel of `select` for the rule that dropped the most",
            )

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    @property
    def num_images(self) -> int:
        """How many different images the pairs have."""
        return int(self._first_images[-1])

    def estimated_bytes(self) -> int:
        """Return about how many bytes all images have, after a look at some of the rows."""
        rows = np.linspace(0, len(self) - 1, min(len(self), _ROWS_LOOKED_AT), dtype=np.int64)
        lengths = [self._files[file].length[here].sum() for file, _, here in self._by_file(rows)]
        return int(sum(lengths) / len(rows) * self.num_images)

    def images(self, rows: RowNumbers) -> ImageNumbers:
        """Return the number of each row's image, from 0 on and without a gap.

        Rows have the same number exactly where they have the same image.
        """
        numbers = np.empty(len(rows), dtype=np.int64)
        for file, places, here in self._by_file(rows):
            numbers[places] = self._files[file].image[here] + self._first_images[file]
        return numbers

    def rows_of(self, images: ImageNumbers) -> RowNumbers:
        """Return all rows that have one of some images, sorted.

        It looks at every row of the files that hold them, and takes a byte a row of one file.
        """
        found: list[RowNumbers] = [np.empty(0, dtype=np.int64)]
        for number, file in enumerate(self._files):
            here = images - self._first_images[number]
            here = here[(here >= 0) & (here < file.num_images)]
            if len(here):
                is_one = np.zeros(file.num_images, dtype=bool)
                is_one[here] = True
                found.append(np.flatnonzero(is_one[file.image]) + self._first_rows[number])
        return np.concatenate(found)

    def places(self, rows: RowNumbers) -> list[ImagePlace]:
        """Return where the image of each row lies."""
        found: dict[int, ImagePlace] = {}
        for number, places, here in self._by_file(rows):
            file = self._files[number]
            names = file.shards.take(pa.array(file.shard[here])).to_pylist()
            numbers = (file.offset[here], file.length[here], file.xxh3[here])
            lying = map(ImagePlace, names, *(column.tolist() for column in numbers))
            found.update(zip(places.tolist(), lying, strict=True))
        return [found[at] for at in range(len(rows))]

    def alt_texts(self, rows: RowNumbers) -> list[str]:
        """Return the alt-text of each row."""
        return self._taken(rows, "alt_text")

    def keys(self, rows: RowNumbers) -> list[str]:
        """Return the candidate key of each row."""
        return [key.hex() for key in self._taken(rows, "key")]

    def _taken(self, rows: RowNumbers, name: str) -> list[Any]:
        found: dict[int, Any] = {}
        for number, places, here in self._by_file(rows):
            column: pa.Array = getattr(self._files[number], name)
            found.update(zip(places.tolist(), column.take(pa.array(here)).to_pylist(), strict=True))
        return [found[at] for at in range(len(rows))]

    def _by_file(self, rows: RowNumbers) -> Iterator[tuple[int, RowNumbers, RowNumbers]]:
        """Yield each file that has some of the rows: its number, their places, and in the file."""
        files = np.searchsorted(self._first_rows, rows, side="right") - 1
        order = np.argsort(files, kind="stable")
        borders = np.flatnonzero(np.diff(files[order])) + 1
        for places in np.split(order, borders) if len(order) else ():
            file = int(files[places[0]])
            yield file, places, rows[places] - self._first_rows[file]


def _starts(sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.cumsum([0, *sizes], dtype=np.int64)
