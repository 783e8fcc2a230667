"""Read the captions and images of some splits of Karpathy's JSON.

{"images": [{"filename": "9.jpg", "filepath": "val2014", "split": "train",
"sentences": [{"raw": "A plate of food."}, ...]}, ...]}
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.pvalue import PCollection

from openalign.engines.batches import Paths
from openalign.errors import InputError
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.folder import as_record
from openalign.files.hash_cache import hashes_of
from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.candidates import Harvested
from openalign.ingest.sources.karpathy import KarpathySource
from openalign.ingest.sources.lenient_json import decode
from openalign.ingest.sources.own_images.image_files import measured, name_inside
from openalign.ingest.sources.own_images.own_candidates import (
    SAMPLES_AT_ONCE,
    OwnSample,
    harvested,
)
from openalign.ingest.sources.own_settings import OwnImageSettings

_READS_AT_ONCE = 16
_ANYTHING = msgspec.json.Decoder()
_PLAIN = OwnImageSettings(kind="karpathy")
"""Nothing more is known of an image than its captions."""


class _SplitSentence(msgspec.Struct, frozen=True):
    raw: str


class _Image(msgspec.Struct, frozen=True):
    filename: str
    split: str
    sentences: list[_SplitSentence]
    filepath: str = ""

    @property
    def name(self) -> str | None:
        """Where it lies in the folder; None for a name that leads out of it."""
        return name_inside("", "/".join(part for part in (self.filepath, self.filename) if part))


class _SplitFile(msgspec.Struct, frozen=True):
    images: list[_Image]


@dataclass
class ReadKarpathy(beam.PTransform[Any, Any]):
    """Read all images and captions, spread over the workers."""

    source: KarpathySource

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read. A part is the number of its first image: each worker reads the file."""
        starts = range(0, len(read(self.source)), SAMPLES_AT_ONCE)
        reading: Any = beam.FlatMap(partial(read_part, source=self.source))
        return pipeline | Paths([str(start) for start in starts]) | "Read" >> reading


def read(source: KarpathySource) -> Sequence[_Image]:
    """Return all images of the file, in its order.

    Raises:
        InputError: it is not Karpathy's JSON, or has no image in a split that is taken.
    """
    try:
        values: object = decode(storage.read_bytes(source.path), _ANYTHING)
    except ValueError as error:
        raise InputError(f"{source.path} is not JSON: {error}") from error
    images = as_record(
        values,
        _SplitFile,
        where=source.path,
        hint='Karpathy\'s format is {"images": [{"filename", "split", "sentences"}, ...]}',
    ).images
    there = Counter(image.split for image in images)
    for split in source.splits:
        if split not in there:
            named = ", ".join(f"{name} ({count})" for name, count in there.most_common())
            raise InputError(
                f"{source.path} has no image in the split `{split}`; it has {named or 'none'}"
            )
    return images


def fingerprint(source: KarpathySource, cache: str) -> str:
    """Return the hash of the file and of the images that are taken.

    Raises:
        InputError: the file is not Karpathy's JSON.
    """
    names = sorted({i.name for i in read(source) if i.split in source.splits and i.name})
    urls = [source.path, *(storage.join(source.folder, name) for name in names)]
    hashes = hashes_of(urls, cache=cache)
    of_images = [[name, hashes.get(storage.join(source.folder, name))] for name in names]
    return fingerprint_of([hashes.get(source.path), of_images])


def read_part(start: str, *, source: KarpathySource) -> Iterator[Harvested]:
    """Yield the candidates of so many images, from a number on."""
    part = read(source)[int(start) : int(start) + SAMPLES_AT_ONCE]
    wanted = [image for image in part if image.split in source.splits]
    with ThreadPoolExecutor(_READS_AT_ONCE) as threads:
        found = list(threads.map(partial(_sample, folder=source.folder), wanted))
    ended = Counter(
        {
            HarvestState.LEFT_OUT: len(part) - len(wanted),
            HarvestState.NOT_THERE: found.count(None),
        }
    )
    yield harvested([sample for sample in found if sample is not None], _PLAIN, ended)


def _sample(image: _Image, *, folder: str) -> OwnSample | None:
    """Return an image with its captions; None where it is not there."""
    file = measured(folder, image.name) if image.name else None
    if file is None:
        return None
    return OwnSample(
        locator=file.locator,
        sha256=file.sha256,
        texts=[sentence.raw for sentence in image.sentences],
        found_in=FoundIn.TABLE,
        record={},
    )
