"""One bucket of images to shards: its images fetched, stored, and accounted for in ledgers.

A bucket's images are sorted by key and cut into shards by their number before anything is fetched.
So a shard's name and content do not depend on the order of answers. A shard's tar and index are
written first and its ledger last. The ledger names both by their sha256, because two attempts at
one shard write under the same names and may lose different images to the network. A shard is done
when its ledger names the files beside it. Any other shard is fetched again.

Nothing is written for a shard when its job has ended, or when a failure is this machine's own.
"""

import hashlib
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from openalign.engines.jobs import Attempt
from openalign.engines.parts import Note, Part
from openalign.files import storage
from openalign.files.fingerprints import canonical_json
from openalign.files.hashing import image_key
from openalign.files.locators import Locator
from openalign.files.manifest import DataFile
from openalign.files.names import (
    IMAGE_MEMBER,
    index_name,
    ledger_name,
    shard_of_ledger,
    source_shard,
)
from openalign.files.schemas import CANDIDATE, IMAGE_FACTS, INDEX, LEDGER
from openalign.files.shards import Sample, ShardReader, write_shard
from openalign.files.states import FetchState
from openalign.files.tables import write_table
from openalign.images.headers import ImageError, read_size
from openalign.images.stored import ImageFacts, StoredImage, inspect, store
from openalign.ingest.config import FetchConfig
from openalign.ingest.images_in_place import OwnImage, read_images
from openalign.ingest.ledger_files import is_there, named_by, naming
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.web.answers import BodyRule, Glance, Head, Refusal
from openalign.ingest.web.client import WebClient
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.outcomes import Failure, Outcome, Response

HeaderRule = Callable[[int, int], FetchState | None]
"""Judges an image's width and height: the reason to drop it, or None to keep it."""

_Read = Callable[[pl.DataFrame], Iterator[Outcome | OwnImage]]
"""Gives the images of candidates, each once."""

_ACCEPT = "image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8"
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
    """The place in the spool where a fetched image's JPEG waits to be written to the tar."""

    offset: int
    length: int


@dataclass(slots=True, kw_only=True)
class _Shard:
    """A shard that is being filled."""

    name: str
    spool: IO[bytes]
    expected: dict[str, set[str]]
    """By image URL, the sha256 promised for it; an image without any may be what it is."""

    facts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By image URL, a row of `IMAGE_FACTS` each."""

    spooled: dict[str, _SpooledImage] = field(default_factory=dict[str, _SpooledImage])
    """By image URL, for those that were fetched to be stored."""

    in_place: dict[str, Locator] = field(default_factory=dict[str, Locator])
    """By image URL, where those lie that were fetched and stay."""


@dataclass(frozen=True, kw_only=True)
class FetchBucket:
    """Fetches all images of a bucket."""

    config: FetchConfig
    images_from: WebConfig | OwnImages
    header_rule: HeaderRule | None
    output: str
    attempt: Attempt
    """The job's: a worker that outlives its job seals nothing."""

    def fetch(self, bucket: int, candidates: pl.DataFrame) -> Iterator[Part]:
        """Yield a Part for each shard of the bucket, in order."""
        with self._opened() as read:
            for number, rows in enumerate(cut_into_shards(candidates, self.config)):
                yield self._one_shard(read, ledger_name(bucket, number), rows)

    @contextmanager
    def _opened(self) -> Generator[_Read]:
        """Yield what gives the images of candidates, each once."""
        if isinstance(self.images_from, OwnImages):
            with closing(ShardReader(self.images_from.folder)) as reader:
                yield partial(read_images, reader=reader, max_bytes=self.config.max_bytes)
            return
        body = BodyRule(max_bytes=self.config.max_bytes, look=self._look)
        with WebClient(self.images_from, accept=_ACCEPT, body=body) as client:
            yield lambda rows: client.ask(rows["image_url"].unique(maintain_order=True))

    def _one_shard(self, read: _Read, ledger_file: str, rows: pl.DataFrame) -> Part:
        name = shard_of_ledger(ledger_file)
        if (part := self._finished_shard(ledger_file)) is not None:
            return part
        self.attempt.require()
        with tempfile.TemporaryFile(prefix="openalign-") as spool:
            shard = _Shard(name=name, spool=spool, expected=_expected_hashes(rows))
            for outcome in read(rows):
                self._take(shard, outcome)
            # Another attempt may have finished the shard; its files must not be overwritten.
            if (part := self._finished_shard(ledger_file)) is not None:
                return part
            # The demo's site outlives the attempt, so it still answered if the attempt is current.
            self.attempt.require()
            files = self._write_shard(shard, rows)
        ledger = _ledger(shard, rows)
        table = naming(ledger.to_arrow().cast(LEDGER), files)
        return _part(ledger, [*files, write_table(self.output, ledger_file, table)])

    def _finished_shard(self, ledger_file: str) -> Part | None:
        """Return the Part of a finished shard; None when its ledger does not name its files."""
        url = storage.join(self.output, ledger_file)
        if not storage.exists(url):
            return None
        content = storage.read_bytes(url)
        table = pq.read_table(pa.BufferReader(content))
        files = named_by(table)
        shard = shard_of_ledger(ledger_file)
        names = {shard, index_name(shard)}
        present = {name for name in names if storage.exists(storage.join(self.output, name))}
        if files is None or present != {f.name for f in files}:
            return None
        if not all(is_there(self.output, f) for f in files):
            return None
        written = storage.Written(
            num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        ledger = DataFile.of(ledger_file, written, num_rows=table.num_rows)
        return _part(pl.DataFrame(table), [*files, ledger])

    # One image -----------------------------------------------------------------------------------

    def _look(self, _: Head | None, body: bytes) -> Glance | Refusal:
        """Judge an image by its first bytes: its format, its size, its shape."""
        try:
            size = read_size(body)
        except ImageError as error:
            return _refusal(error)
        if size is None:
            return Glance.MORE
        return self._refusal_of_size(*size) or Glance.TAKE

    def _refusal_of_size(self, width_px: int, height_px: int) -> Refusal | None:
        if width_px * height_px > self.config.max_pixels:
            state = FetchState.TOO_MANY_PIXELS
        elif self.header_rule is None or (state := self.header_rule(width_px, height_px)) is None:
            return None
        return Refusal(state=state, detail=f"{width_px} x {height_px} pixels")

    def _take(self, shard: _Shard, outcome: Outcome | OwnImage) -> None:
        """Enter an outcome's facts, and where its image is, if there is one."""
        facts = dict.fromkeys(_FACT_NAMES)
        facts["image_key"] = image_key(outcome.url)
        if not isinstance(outcome, OwnImage) and outcome.head is not None:
            facts["http_status"] = outcome.head.status
            facts["content_type"] = outcome.head.content_type
        shard.facts[outcome.url] = facts
        if isinstance(outcome, Failure):
            facts |= {"state": outcome.state.value, "detail": outcome.detail}
            facts |= _size_facts(outcome.body)
            return
        found = _other_bytes(outcome, shard) or self._decode(outcome)
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
            "shard": shard.name,
        }
        if isinstance(found, StoredImage):
            place = _SpooledImage(offset=shard.spool.tell(), length=len(found.jpeg))
            shard.spooled[outcome.url] = place
            shard.spool.write(found.jpeg)
        else:
            assert isinstance(outcome, OwnImage), "only such an image stays where it lies"
            shard.in_place[outcome.url] = outcome.locator
            facts["shard"] = source_shard(outcome.locator.name)

    def _decode(self, found: Response | OwnImage) -> ImageFacts | Refusal:
        """Return the facts about an image, with a JPEG of it where it is to be stored."""
        # Judged again with the whole body: some formats show their size only then.
        seen = self._look(None, found.body)
        if isinstance(seen, Refusal):
            return seen
        try:
            if isinstance(self.images_from, OwnImages) and self.images_from.stay:
                return inspect(found.body, max_pixels=self.config.max_pixels)
            return store(
                found.body,
                short_side_px=self.config.short_side_px,
                jpeg_quality=self.config.jpeg_quality,
                max_pixels=self.config.max_pixels,
            )
        except ImageError as error:
            return _refusal(error)

    # One shard -----------------------------------------------------------------------------------

    def _write_shard(self, shard: _Shard, rows: pl.DataFrame) -> list[DataFile]:
        if shard.in_place:
            table = _index_in_place(shard, rows)
            return [write_table(self.output, index_name(shard.name), table)]
        if not shard.spooled:
            # No ledger names a tar that a killed run left under this name.
            for name in (shard.name, index_name(shard.name)):
                storage.remove(storage.join(self.output, name))
            return []
        return write_shard(self.output, shard.name, _samples(shard, rows))


def cut_into_shards(candidates: pl.DataFrame, config: FetchConfig) -> list[pl.DataFrame]:
    """Return a bucket's candidates, sorted by image and key, cut into shards."""
    urls = candidates["image_url"].unique()
    keys = pl.DataFrame(
        {"image_url": urls, "image_key": [image_key(url) for url in urls]},
        schema={"image_url": pl.String, "image_key": pl.String},
    )
    rows = candidates.join(keys, on="image_url").sort("image_key", "key")
    number = (pl.col("image_key").rank("dense").cast(pl.Int64) - 1) // config.images_per_shard
    return rows.with_columns(number=number).partition_by(
        "number", maintain_order=True, include_key=False
    )


def _samples(shard: _Shard, rows: pl.DataFrame) -> Iterator[Sample]:
    """Yield the samples of a shard's fetched images; rows are sorted by image and key."""
    fetched = rows.filter(pl.col("image_url").is_in(list(shard.spooled)))
    texts = pl.struct("key", "alt_text")
    images = fetched.group_by("image_key", "image_url", maintain_order=True).agg(texts=texts)
    for key, url, named in images.iter_rows():
        image = shard.spooled[url]
        shard.spool.seek(image.offset)
        yield Sample(
            key=key,
            members={
                IMAGE_MEMBER: shard.spool.read(image.length),
                "txt": named[0]["alt_text"].encode(),
                "json": _sample_json(url, shard.facts[url], named),
            },
        )


def _index_in_place(shard: _Shard, rows: pl.DataFrame) -> pa.Table:
    """Return where the images of a shard lie that stay; rows are sorted by image and key."""
    images = rows.select("image_key", "image_url").unique(maintain_order=True)
    return pa.Table.from_pylist(
        [
            {"key": key, "member": IMAGE_MEMBER, "offset": lies.offset, "length": lies.length}
            for key, url in images.iter_rows()
            if (lies := shard.in_place.get(url)) is not None
        ],
        schema=INDEX,
    )


def _sample_json(url: str, facts: dict[str, Any], texts: Sequence[dict[str, str]]) -> bytes:
    named = ("content_type", "width_px", "height_px", "num_bytes", "sha256")
    content = {name: facts[name] for name in named}
    content["phash"] = f"{facts['phash']:016x}"  # a JSON number loses bits beyond the 53rd
    content["image_url"] = url
    content["alt_texts"] = list(texts)
    return canonical_json(content).encode()


def _expected_hashes(rows: pl.DataFrame) -> dict[str, set[str]]:
    named = rows.filter(pl.col("expected_sha256").is_not_null())
    by_image = named.group_by("image_url").agg("expected_sha256")
    return {url: set(hashes) for url, hashes in by_image.iter_rows()}


def _other_bytes(image: Response | OwnImage, shard: _Shard) -> Refusal | None:
    """Refuse an image whose bytes are not those that were promised."""
    expected = shard.expected.get(image.url)
    if expected is None:
        return None
    found = hashlib.sha256(image.body).hexdigest()
    if found in expected:
        return None
    return Refusal(state=FetchState.HASH_MISMATCH, detail=f"sha256 is {found}")


def _refusal(error: ImageError) -> Refusal:
    return Refusal(state=FetchState(error.reason.value), detail=error.detail)


def _size_facts(body: bytes) -> dict[str, int]:
    """Return the size of a refused image, as far as its first bytes show it."""
    try:
        size = read_size(body)
    except ImageError:
        return {}
    return {"width_px": size[0], "height_px": size[1]} if size is not None else {}


def _ledger(shard: _Shard, rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each candidate of a shard, sorted by key."""
    schema = pl.DataFrame(LEDGER.empty_table()).schema
    facts = pl.DataFrame(
        list(shard.facts.values()), schema={name: schema[name] for name in _FACT_NAMES}
    )
    ledger = rows.join(facts, on="image_key", how="left", validate="m:1")
    assert ledger["state"].null_count() == 0, "an image ended in no state"
    return ledger.select(*CANDIDATE.names, *_FACT_NAMES).sort("key")


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
