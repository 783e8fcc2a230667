"""Read tars of samples: images with the texts and JSON objects that bear their key.

A sample is what lies side by side in a tar and shares its name up to the first dot, as webdataset
has it. Its image is the member with a plain ending (`KEY.jpg`). A sample without one is divided at
the last dot instead, so that `photo.v2.jpg` finds `photo.v2.txt`. What img2dataset says of an image
in the Parquet file beside a tar counts where the sample's own JSON object does not.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection

from openalign.engines.batches import Paths
from openalign.errors import InputError
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.found_names import check_names
from openalign.files.hash_cache import hashes_of, missing_files
from openalign.files.locators import Locator
from openalign.files.states import FoundIn, HarvestState
from openalign.files.tars import TarMember, sample_name, tar_members
from openalign.ingest.candidates import Harvested, damaged_file
from openalign.ingest.sources.listing import (
    ending_of,
    files_below,
    is_hidden,
    with_braces_expanded,
)
from openalign.ingest.sources.own_images.own_candidates import (
    IMAGE_ENDINGS,
    MAX_TEXT_BYTES,
    RECORD_ENDING,
    SAMPLES_AT_ONCE,
    TEXT_ENDING,
    BesideError,
    OwnSample,
    captions_in,
    decode_record,
    decode_text,
    harvested,
    texts_of,
)
from openalign.ingest.sources.paths import each_of, in_words
from openalign.ingest.sources.tars import COMPRESSED, TAR, TarsSource
from openalign.ingest.sources.url_tables.cells import as_records
from openalign.ingest.sources.url_tables.sound import sound

_TARS = (TAR, *COMPRESSED)
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_UNPACK = "unpack it to a plain tar: images in a compressed one cannot be read where they lie"
_KEY = "key"
"""Column of img2dataset's Parquet file with a sample's key."""

Records = Mapping[str, Mapping[str, Any]]
"""By key, what the Parquet file beside a tar says."""


@dataclass
class ReadTars(beam.PTransform[Any, Any]):
    """Read all tars, spread over the workers."""

    source: TarsSource

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        read: Any = beam.FlatMap(read_tar, source=self.source)
        return pipeline | Paths(tar_names(self.source)) | "Read" >> read


# Before anything starts ---------------------------------------------------------------------------


def check(source: TarsSource) -> None:
    """Check that the tars are there, and look for the first that is one.

    Damaged ones before it pass: the run names them at its end.

    Raises:
        InputError: names the path or the first tar, and what was found instead.
    """
    problem: InputError | None = None
    for name in tar_names(source):
        _refuse_packed(_url(source, name))
        try:
            for _ in tar_members(_url(source, name)):
                break
        except InputError as error:
            problem = problem or error
        else:
            return
    hint = "see that `harvest.source.path` names tars of images"
    raise InputError(str(problem), hint=hint) from problem


def _refuse_packed(url: str) -> None:
    head = storage.read_range(url, 0, 512)
    packing = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    if packing is not None:
        raise InputError(f"{url} is compressed with {packing}", hint=_UNPACK)


def fingerprint(source: TarsSource, cache: str) -> str:
    """Return the hash of the names and contents of the tars, and of the Parquet files beside."""
    names = tar_names(source)
    urls = {name: _url(source, name) for tar in names for name in (tar, _beside(tar))}
    hashes = hashes_of(urls.values(), cache=cache)
    return fingerprint_of([[name, hashes.get(url)] for name, url in urls.items()])


def tar_names(source: TarsSource) -> list[str]:
    """Return the names of all tars, relative to the source's folder, in order; at least one.

    Raises:
        InputError: none is there, one of a pattern is missing, or one is compressed.
    """
    storage.check_reachable(source.folder)
    urls = [
        url
        for path in each_of(source.path)
        for pattern in with_braces_expanded(path)
        for url in _matches(pattern)
    ]
    names = {storage.relative_to(url, source.folder) for url in urls}
    tars = sorted(name for name in names if name.lower().endswith(_TARS) and not is_hidden(name))
    if not tars:
        raise InputError(
            f"{in_words(source.path)} names no tar",
            hint="check `harvest.source.path`: a folder of tars, or a pattern such as "
            "cc3m/{00000..00331}.tar; images that are files are the source `local_files`",
        )
    check_names(source.folder, tars)
    if packed := [name for name in tars if not name.lower().endswith(TAR)]:
        raise InputError(f"{_url(source, packed[0])} is compressed", hint=_UNPACK)
    if missing := missing_files(_url(source, name) for name in tars):
        more = f", and {len(missing) - 1} more of {len(tars)}" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]} is not there{more}", hint="check `harvest.source.path`")
    return tars


def _matches(pattern: str) -> list[str]:
    """Return what a pattern without braces stands for, with the files of folders."""
    found = storage.list_glob(pattern) if "*" in pattern else [pattern]
    return [
        url
        for path in found
        for url in ([path] if path.lower().endswith(_TARS) else _files_in(path))
    ]


def _files_in(path: str) -> list[str]:
    if not storage.is_folder(path):
        return []
    return [storage.join(path, name) for name in files_below(path)]


def _url(source: TarsSource, name: str) -> str:
    return storage.join(source.folder, name)


def _beside(tar: str) -> str:
    """Return the name of the Parquet file that img2dataset writes beside a tar."""
    return f"{tar[: -len(TAR)]}.parquet"


# One tar ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _SampleMembers:
    """Members that lie side by side and share a key."""

    key: str
    images: dict[str, tuple[Locator, str]] = field(default_factory=dict[str, tuple[Locator, str]])
    """By suffix, where an image lies and the hash of its bytes."""

    beside: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """By suffix, the content of texts and JSON objects; one that is too long is cut."""

    @property
    def suffixes(self) -> list[str]:
        """Return the suffixes of its members."""
        return [*self.images, *self.beside]


def read_tar(name: str, *, source: TarsSource) -> Iterator[Harvested]:
    """Yield the candidates of a tar, in its order; of a damaged one, those before the damage.

    Raises:
        InputError: the Parquet file beside it cannot be read.
    """
    records = _records_beside(name, source)
    samples: list[OwnSample] = []
    ended: Counter[HarvestState] = Counter()
    seen: set[str] = set()
    try:
        for group in _groups(name, source):
            if group.key in seen:
                ended[HarvestState.SCATTERED] += 1
                continue
            seen.add(group.key)
            _read_group(group, records, source, samples, ended)
            if len(samples) >= SAMPLES_AT_ONCE:
                yield harvested(samples, source, ended, origin=name)
                samples, ended = [], Counter()
    except InputError as error:
        yield damaged_file(name, str(error).removeprefix(_url(source, name)).lstrip(": "))
    yield harvested(samples, source, ended, origin=name)


def _groups(name: str, source: TarsSource) -> Iterator[_SampleMembers]:
    """Yield the groups of a tar that hold an image or a text."""
    group = _SampleMembers("")
    for member in tar_members(_url(source, name)):
        named = sample_name(member.name)
        if named is None:
            continue
        key, suffix = named
        ending = ending_of(f".{suffix}")
        if key != group.key or suffix in group.suffixes:
            if group.suffixes:
                yield group
            group = _SampleMembers(key)
        if ending in IMAGE_ENDINGS:
            locator = Locator(name, member.offset, member.length)
            group.images[suffix] = (locator, member.sha256())
        elif ending in (TEXT_ENDING, RECORD_ENDING):
            group.beside[suffix] = _beginning(member)
    if group.suffixes:
        yield group


def _beginning(member: TarMember) -> bytes:
    """Return a member's content; of one that is too long for a text, as many zeros."""
    return member.read() if member.length <= MAX_TEXT_BYTES else bytes(MAX_TEXT_BYTES + 1)


def _read_group(
    group: _SampleMembers,
    records: Records,
    source: TarsSource,
    samples: list[OwnSample],
    ended: Counter[HarvestState],
) -> None:
    """Add the samples of a group, and what ended without one."""
    for stem in _stems(group):
        suffixes = [stem + ending for ending in IMAGE_ENDINGS if stem + ending in group.images]
        if not suffixes:
            ended[HarvestState.NO_IMAGE] += 1
            continue
        try:
            text, record = _texts_beside(group, stem)
        except BesideError:
            ended[HarvestState.BAD_TEXT] += 1
            continue
        listed = records.get(group.key.rpartition("/")[2], {}) if not stem else {}
        found_in, texts = texts_of(text, record, source)
        if not texts and (texts := captions_in(listed, source)):
            found_in = FoundIn.TABLE
        locator, sha256 = group.images[suffixes[0]]
        samples.append(
            OwnSample(
                locator=locator,
                sha256=sha256,
                texts=texts,
                found_in=found_in,
                record={**listed, **record},
            )
        )


def _stems(group: _SampleMembers) -> list[str]:
    """Return what stands before the endings of a group's samples: nothing, or up to a last dot."""
    endings = (*IMAGE_ENDINGS, TEXT_ENDING, RECORD_ENDING)
    if not group.images or any(ending in group.images for ending in IMAGE_ENDINGS):
        return [""]
    return list(
        dict.fromkeys(
            suffix.removesuffix(ending_of(f".{suffix}"))
            for suffix in group.suffixes
            if ending_of(f".{suffix}") in endings
        )
    )


def _texts_beside(group: _SampleMembers, stem: str) -> tuple[str | None, dict[str, Any]]:
    """Return the text and the JSON object of a sample.

    Raises:
        BesideError: one of them cannot be read.
    """
    text = group.beside.get(stem + TEXT_ENDING)
    record = group.beside.get(stem + RECORD_ENDING)
    return (
        None if text is None else decode_text(text),
        {} if record is None else decode_record(record),
    )


def _records_beside(name: str, source: TarsSource) -> Records:
    """Return what the Parquet file beside a tar says of its samples, by key; where there is one.

    Raises:
        InputError: it cannot be read.
    """
    url = _url(source, _beside(name))
    if not storage.exists(url):
        return {}
    try:
        with storage.open_read(url) as file:
            parquet = pq.ParquetFile(file)
            there = set(parquet.schema_arrow.names)
            if _KEY not in there:
                return {}
            used = dict.fromkeys((_KEY, *source.columns_used))
            table = parquet.read([column for column in used if column in there])
            rows = [row for batch in table.to_batches() for row in as_records(sound(batch))]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{url} cannot be read as parquet: {error}",
            hint="it lies beside a tar, as img2dataset writes it: mend it, or remove it to go "
            "without what it says",
        ) from error
    return {str(row[_KEY]): row for row in rows}
