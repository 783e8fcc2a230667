"""The page of a fetch, with the images that it shows."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import polars as pl

from openalign.errors import InputError
from openalign.files import storage
from openalign.files.facts import FetchFacts, FetchSample
from openalign.files.manifest import DataFile
from openalign.files.names import FETCH_PAGE, IMAGE_MEMBERS, SOURCE_FOLDER
from openalign.files.shards import ShardReader
from openalign.images.headers import ImageError
from openalign.images.thumbnails import encode_thumbnail
from openalign.ingest.fetching.setup import FetchSetup
from openalign.ingest.sources.contract import OwnImages
from openalign.settings.fields import identity


def write_page(
    setup: FetchSetup, *, states: Mapping[str, int], facts: FetchFacts, before: str = ""
) -> DataFile:
    """Write the page of a fetch; `states` are those of its rows.

    Its images lie in the output, or in the folder `before`, which a round adds to.
    """
    from openalign.pages.fetch_page import render

    page = render(
        facts,
        states=states,
        thumbnails=dict(_thumbnails(facts.tallies.samples, setup, before)),
        settings=_settings(setup),
    )
    written = storage.write_text(storage.join(setup.output, FETCH_PAGE), page)
    return DataFile.of(FETCH_PAGE, written, num_rows=1)


def _settings(setup: FetchSetup) -> dict[str, Any]:
    settings = identity(setup.config)
    if isinstance(setup.images_from, OwnImages):
        del settings["web"]
    return settings


def _thumbnails(
    samples: Sequence[FetchSample], setup: FetchSetup, before: str
) -> Iterator[tuple[str, bytes]]:
    """Yield a small copy of each sample that can be read, with its key."""
    images_from = setup.images_from
    places = {SOURCE_FOLDER: images_from.folder} if isinstance(images_from, OwnImages) else {}
    for sample in samples:
        if sample.shard is None or sample.index_file is None:
            continue
        is_new = storage.exists(storage.join(setup.output, sample.index_file))
        folder = setup.output if is_new else before
        index = pl.read_parquet(
            io.BytesIO(storage.read_bytes(storage.join(folder, sample.index_file)))
        )
        member = index.filter(pl.col("member").is_in(IMAGE_MEMBERS), key=sample.image_key)
        [(offset, length)] = member.select("offset", "length").iter_rows()
        with closing(ShardReader(folder, places=places)) as reader:
            try:
                yield sample.image_key, encode_thumbnail(reader.read(sample.shard, offset, length))
            except (InputError, ImageError):
                continue  # one that stays with its source may have changed since it was read
