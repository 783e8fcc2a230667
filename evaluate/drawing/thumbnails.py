"""Small copies of the images that a report shows, in `thumbnails.parquet`."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from openalign.evaluate.datasets.dataset import Dataset
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.results import made_anew
from openalign.files import storage
from openalign.files.manifest import DataFile
from openalign.files.names import THUMBNAILS_FILE
from openalign.files.tables import read_whole
from openalign.images.thumbnails import encode_thumbnail

_THUMBNAIL = pa.schema(
    [
        ("dataset", pa.string()),  # the benchmark's name
        ("name", pa.string()),
        ("caption", pa.string()),
        ("webp", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small image and what it shows."""

    caption: str
    webp: bytes


def write_thumbnails(
    output: str, images: Iterable[tuple[str, Dataset, BenchmarkImage]]
) -> DataFile:
    """Write small copies of images, each with its benchmark's name and what people call it.

    Each of `images` stands behind its benchmark's name and data set.
    """
    rows = [
        {
            "dataset": benchmark,
            "name": image.name,
            "caption": dataset.title_of(image) or image.name,
            "webp": encode_thumbnail(image.place.read()),
        }
        for benchmark, dataset, image in images
    ]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_THUMBNAIL), content)
    written = storage.write_bytes(storage.join(output, THUMBNAILS_FILE), content.getvalue())
    return DataFile.of(THUMBNAILS_FILE, written, num_rows=len(rows))


def read_thumbnails(url: str) -> dict[tuple[str, str], Thumbnail]:
    """Return the small images by (benchmark, name).

    Raises:
        InputError: it is not a file of small images.
    """
    table = read_whole(url, _THUMBNAIL, what="a file of thumbnails", hint=made_anew(url))
    return {
        (row["dataset"], row["name"]): Thumbnail(caption=row["caption"], webp=row["webp"])
        for row in table.to_pylist()
    }
