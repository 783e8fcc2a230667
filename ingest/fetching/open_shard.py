"""One shard on its way: the outcomes of its images, then its tar, index and ledger.

A shard's tar and index are written first and its ledger last. The ledger names both by their
sha256, because two attempts at one shard write under the same names and may lose different images
to the network. A shard is done when its ledger names the files beside it. Any other shard is
fetched again, one with a damaged ledger too.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.engines.parts import Note, Part
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.hashing import content_hash, image_key
from openalign.files.locators import Locator
from openalign.files.manifest import DataFile
from openalign.files.names import index_name, shard_of_ledger, source_shard
from openalign.files.schemas import CANDIDATE, IMAGE_FACTS, INDEX, LEDGER
from openalign.files.shards import Sample, write_shard
from openalign.files.states import FetchState
from openalign.files.tables import write_table
from openalign.images.headers import ImageError, read_size
from openalign.images.stored import StoredImage
from openalign.ingest.fetching.image_judging import ImageJudge
from openalign.ingest.fetching.images_in_place import OwnImage
from openalign.ingest.fetching.ledger_files import is_there, named_by, naming
from openalign.ingest.fetching.supply import Supplied
from openalign.ingest.web.answers import Refusal
from openalign.ingest.web.outcomes import Failure

_FACT_NAMES = tuple(name for name, _ in IMAGE_FACTS)


class ShardNote(Note, frozen=True, kw_only=True):
    """A shard's share of the stage's facts."""

    images: dict[str, int]
    """Images by `FetchState`."""

    num_bytes: int
    """Of the originals."""

    stored_bytes: int
    """Of the tar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpooledImage:
    """The place in the spool where a fetched image's file waits to be written to the tar."""

    ending: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _ImageInPlace:
    """An image that stays where it lies."""

    ending: str
    locator: Locator
    xxh3: int


class OpenShard:
    """A shard that is being filled."""

    def __init__(self, ledger_file: str, rows: pl.DataFrame) -> None:
        """Open a shard for candidates that are sorted by image and key."""
        self.rows = rows
        self.images = rows.select("image_url", "image_key").unique(maintain_order=True)

        self.ledger_file = ledger_file
        self._name = shard_of_ledger(ledger_file)
        self._spool = tempfile.TemporaryFile(prefix="openalign-")  # noqa: SIM115  # `close` does
        self._expected = _expected_hashes(rows)
        self._num_rows = dict(rows["image_url"].value_counts().iter_rows())
        self._facts: dict[str, dict[str, Any]] = {}
        self._spooled: dict[str, _SpooledImage] = {}
        self._in_place: dict[str, _ImageInPlace] = {}

    @property
    def is_full(self) -> bool:
        """Whether each image has its outcome."""
        return len(self._facts) == self.images.height

    def close(self) -> None:
        """Let go of the images that wait to be written."""
        self._spool.close()

    def num_rows_of(self, url: str) -> int:
        """Return how many candidates name an image."""
        return self._num_rows[url]

    def take(self, outcome: Supplied, judge: ImageJudge) -> FetchState:
        """Enter an outcome's facts, and where its image is, if there is one; return its state."""
        self._enter(outcome, judge)
        return FetchState(self._facts[outcome.url]["state"])

    def _enter(self, outcome: Supplied, judge: ImageJudge) -> None:
        url = outcome.url
        facts = self._facts[url] = dict.fromkeys(_FACT_NAMES)
        facts["image_key"] = image_key(url)
        if not isinstance(outcome, OwnImage) and outcome.head is not None:
            facts["http_status"] = outcome.head.status
            facts["content_type"] = outcome.head.content_type
        if isinstance(outcome, Failure):
            facts |= {"state": outcome.state.value, "detail": outcome.detail}
            facts |= _size_facts(outcome.body)
            return
        found = judge.take(outcome, expected=self._expected.get(url, ()))
        if isinstance(found, Refusal):
            facts |= {"state": found.state.value, "detail": found.detail}
            facts |= _size_facts(outcome.body)
            return
        facts |= {
            "state": FetchState.FETCHED.value,
            "width_px": found.width_px,
            "height_px": found.height_px,
            "num_bytes": len(outcome.body),
            "sha256": found.sha256,
            "phash": found.phash,
            "shard": self._name,
        }
        if isinstance(found, StoredImage):
            self._spooled[url] = _SpooledImage(
                ending=found.ending, offset=self._spool.tell(), length=len(found.content)
            )
            self._spool.write(found.content)
        else:
            assert isinstance(outcome, OwnImage), "only such an image stays where it lies"
            self._in_place[url] = _ImageInPlace(
                found.ending, outcome.locator, content_hash(outcome.body)
            )
            facts["shard"] = source_shard(outcome.locator.name)

    def write(self, folder: str) -> Part:
        """Write the shard's files; the ledger, which names the others, last."""
        files = self._write_images(folder)
        ledger = self._ledger()
        table = naming(ledger.to_arrow().cast(LEDGER), files)
        return _part(ledger, [*files, write_table(folder, self.ledger_file, table)])

    def _write_images(self, folder: str) -> list[DataFile]:
        if self._in_place:
            return [write_table(folder, index_name(self._name), self._index_in_place())]
        if not self._spooled:
            # No ledger names a tar that a killed run left under this name.
            for name in (self._name, index_name(self._name)):
                storage.remove(storage.join(folder, name))
            return []
        return write_shard(folder, self._name, self._samples())

    def _samples(self) -> Iterator[Sample]:
        """Yield the samples of the fetched images."""
        fetched = self.rows.filter(pl.col("image_url").is_in(list(self._spooled)))
        texts = pl.struct("key", "alt_text")
        images = fetched.group_by("image_key", "image_url", maintain_order=True).agg(texts=texts)
        for key, url, named in images.iter_rows():
            image = self._spooled[url]
            self._spool.seek(image.offset)
            yield Sample(
                key=key,
                members={
                    image.ending: self._spool.read(image.length),
                    "txt": named[0]["alt_text"].encode(),
                    "json": _sample_json(url, self._facts[url], named),
                },
            )

    def _index_in_place(self) -> pa.Table:
        """Return where the images lie that stay."""
        return pa.Table.from_pylist(
            [
                {
                    "key": key,
                    "member": image.ending,
                    "offset": image.locator.offset,
                    "length": image.locator.length,
                    "xxh3": image.xxh3,
                }
                for url, key in self.images.iter_rows()
                if url in self._in_place
                for image in [self._in_place[url]]
            ],
            schema=INDEX,
        )

    def _ledger(self) -> pl.DataFrame:
        """Return one row for each candidate, sorted by key."""
        schema = pl.DataFrame(LEDGER.empty_table()).schema
        facts = pl.DataFrame(
            list(self._facts.values()), schema={name: schema[name] for name in _FACT_NAMES}
        )
        ledger = self.rows.join(facts, on="image_key", how="left", validate="m:1")
        assert ledger["state"].null_count() == 0, "an image ended in no state"
        return ledger.select(*CANDIDATE.names, *_FACT_NAMES).sort("key")


def finished_shard(folder: str, ledger_file: str) -> Part | None:
    """Return the Part of a finished shard; None when no whole ledger names its files."""
    url = storage.join(folder, ledger_file)
    if not storage.exists(url):
        return None
    content = storage.read_bytes(url)
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (OSError, pa.ArrowInvalid):
        return None
    files = named_by(table)
    shard = shard_of_ledger(ledger_file)
    names = {shard, index_name(shard)}
    present = {name for name in names if storage.exists(storage.join(folder, name))}
    if files is None or present != {f.name for f in files}:
        return None
    if not all(is_there(folder, f) for f in files):
        return None
    written = storage.Written(num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    ledger = DataFile.of(ledger_file, written, num_rows=table.num_rows)
    return _part(pl.DataFrame(table), [*files, ledger])


def _sample_json(url: str, facts: dict[str, Any], texts: Sequence[dict[str, str]]) -> bytes:
    named = ("content_type", "width_px", "height_px", "num_bytes", "sha256", "phash")
    content = {name: facts[name] for name in named}
    content["image_url"] = url
    content["alt_texts"] = list(texts)
    return canonical_json(content).encode()


def _expected_hashes(rows: pl.DataFrame) -> dict[str, set[str]]:
    named = rows.filter(pl.col("expected_sha256").is_not_null())
    by_image = named.group_by("image_url").agg("expected_sha256")
    return {url: set(hashes) for url, hashes in by_image.iter_rows()}


def _size_facts(body: bytes) -> dict[str, int]:
    """Return the size of a refused image, as far as its first bytes show it."""
    try:
        size = read_size(body)
    except ImageError:
        return {}
    return {"width_px": size[0], "height_px": size[1]} if size is not None else {}


def _part(ledger: pl.DataFrame, files: list[DataFile]) -> Part:
    states = ledger["state"].value_counts()
    images = ledger.unique("image_key")
    stored = sum(f.num_bytes for f in files if f.name.endswith(".tar"))
    return Part(
        files=files,
        counts=dict(states.iter_rows()),
        notes=[
            ShardNote(
                images=dict(images["state"].value_counts().iter_rows()),
                num_bytes=int(images["num_bytes"].sum()),
                stored_bytes=stored,
            )
        ],
    )
