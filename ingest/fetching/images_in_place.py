"""Images that a source has already: read where they lie, several at once, each once.

The bytes must be those that harvest saw: `image_judging` compares their sha256.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import polars as pl

from openalign.errors import InputError, StageError
from openalign.files import storage
from openalign.files.locators import Locator
from openalign.files.shards import ShardReader
from openalign.files.states import FetchState
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.outcomes import Failure

_READS_AT_ONCE = 16
"""Images that are read while others wait to be decoded: an object store answers slowly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """An image as it was read."""

    url: str
    """What it is called, on the web or by its bytes."""

    locator: Locator
    body: bytes


def require_folder(images: OwnImages) -> None:
    """Check that the folder of a source's images is there.

    Raises:
        InputError: it is not, or cannot be reached.
    """
    storage.check_reachable(images.folder)
    if not storage.exists(images.folder):
        raise InputError(
            f"{images.folder} is not there, and the images lie in it",
            hint="`harvest.source` says where they lie now; if they were moved, change it there",
        )


def read_images(
    rows: pl.DataFrame, reader: ShardReader, *, max_bytes: int
) -> Iterator[OwnImage | Failure]:
    """Yield each image of candidates once, in the order in which they lie.

    One that lies in several places is read from the first by name.

    Raises:
        StageError: a disk or an object store fails.
    """
    lying = rows.select("image_url", "locator").unique()
    first: dict[str, Locator] = {}
    for url, text in lying.iter_rows():
        locator = Locator.parse(text)
        first[url] = min(locator, first.get(url, locator))
    images = sorted(first.items(), key=lambda image: (image[1], image[0]))
    read = partial(_read, reader=reader, max_bytes=max_bytes)
    with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="images") as threads:
        for start in range(0, len(images), _READS_AT_ONCE):
            yield from threads.map(read, images[start : start + _READS_AT_ONCE])


def _read(image: tuple[str, Locator], *, reader: ShardReader, max_bytes: int) -> OwnImage | Failure:
    url, locator = image
    if locator.length > max_bytes:
        return Failure(url=url, state=FetchState.TOO_LARGE, detail=f"{locator.length} bytes")
    try:
        body = reader.read(locator.name, locator.offset, locator.length)
    except InputError:
        return Failure(url=url, state=FetchState.NOT_THERE, detail=locator.name)
    except OSError as error:
        raise StageError(
            f"{locator.name} cannot be read: {error.strerror or error}",
            hint="see that the disk or the object store is well; the same command goes on from "
            "here",
        ) from error
    return OwnImage(url=url, locator=locator, body=body)
