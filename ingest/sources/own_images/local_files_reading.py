"""Read images that are files: below a folder with texts beside them, or as a table names them.

A folder is listed once, before the job starts. Images that share a name up to their ending share
the texts of that name.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, compress
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.pvalue import PCollection

from openalign.engines.batches import Paths
from openalign.errors import InputError
from openalign.files import storage
from openalign.files.fingerprints import canonical_json, fingerprint_of
from openalign.files.found_names import check_names
from openalign.files.hash_cache import hashes_of
from openalign.files.states import FoundIn, HarvestState
from openalign.ingest.candidates import Harvested, damaged_file
from openalign.ingest.sources.listing import ending_of, files_below, is_hidden
from openalign.ingest.sources.local_files import LocalFilesSource
from openalign.ingest.sources.own_images.image_files import content_of, measured, name_inside
from openalign.ingest.sources.own_images.own_candidates import (
    IMAGE_ENDINGS,
    RECORD_ENDING,
    SAMPLES_AT_ONCE,
    TEXT_ENDING,
    BesideError,
    OwnSample,
    captions_in,
    decode_record,
    decode_text,
    harvested,
    meets_all,
    texts_of,
)
from openalign.ingest.sources.source_files import folder_of, name_in
from openalign.ingest.sources.table import TableSource
from openalign.ingest.sources.url_tables.cells import as_records
from openalign.ingest.sources.url_tables.formats import check_files, names_of_columns, read_rows
from openalign.ingest.sources.url_tables.found import table_files
from openalign.ingest.sources.url_tables.rows import DamagedTableError

_READS_AT_ONCE = 16


class _Files(msgspec.Struct, array_like=True):
    """The files of one name, each relative to the source's folder; empty for none."""

    images: list[str] = msgspec.field(default_factory=list[str])
    text: str = ""
    record: str = ""


_PART = msgspec.json.Decoder(list[_Files])


@dataclass
class ReadFiles(beam.PTransform[Any, Any]):
    """Read all images and what lies beside them, spread over the workers."""

    source: LocalFilesSource

    def expand(self, pipeline: beam.Pipeline) -> PCollection[Harvested]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the read."""
        source = self.source
        if source.table:
            parts = table_files(source.table)
            tables = folder_of(source.table, parts)
            read = partial(read_table_part, source=source, tables=tables)
        else:
            found = _by_name(_files_of(source))
            starts = range(0, len(found), SAMPLES_AT_ONCE)
            parts = [canonical_json(found[start : start + SAMPLES_AT_ONCE]) for start in starts]
            read = partial(read_folder_part, source=source)
        reading: Any = beam.FlatMap(read)
        return pipeline | Paths(parts) | "Read" >> reading


# Before anything starts ---------------------------------------------------------------------------


def check(source: LocalFilesSource) -> None:
    """Check that the folder holds images, or that the table can be read and has its columns.

    Raises:
        InputError: names the folder or file, and what was found instead.
    """
    _require_folder(source)
    if source.table:
        _checked_tables(source)
        return
    if not any(ending_of(name) in IMAGE_ENDINGS for name in _files_of(source)):
        names = [name for name in files_below(source.folder) if not is_hidden(name)]
        endings = Counter(ending_of(name) or "none" for name in names)
        there = ", ".join(f"{count} .{ending}" for ending, count in endings.most_common(5))
        raise InputError(
            f"{source.folder} holds no image; it holds {there or 'nothing'}",
            hint=f"images end in {', '.join(IMAGE_ENDINGS)}; tars of images are the source `tars`, "
            "and a table of web addresses the source `table`",
        )


def _require_folder(source: LocalFilesSource) -> None:
    storage.check_reachable(source.folder)
    if not storage.is_folder(source.folder):
        kind = "is a file" if storage.exists(source.folder) else "is not there"
        raise InputError(
            f"{source.folder} {kind}, a folder of images is needed",
            hint="`harvest.source.path` names the folder; a table of paths is named by `table`",
        )


def fingerprint(source: LocalFilesSource, cache: str) -> str:
    """Return the hash of the names and contents of all files that are read.

    Raises:
        InputError: as for `check`; a run asks for this first.
    """
    _require_folder(source)
    if source.table:
        tables = _checked_tables(source)
        rows = chain.from_iterable(_rows_of(url, source) for url in tables)
        named = {name_inside(source.folder, row.get(source.path_column)) for row in rows}
        names = sorted(name for name in named if name)
    else:
        tables, names = [], _files_of(source)
    urls = [*tables, *(storage.join(source.folder, name) for name in names)]
    hashes = hashes_of(urls, cache=cache)
    of_files = [[name, hashes.get(storage.join(source.folder, name))] for name in names]
    folder = folder_of(source.table, tables) if tables else ""
    return fingerprint_of([[[name_in(folder, url), hashes.get(url)] for url in tables], of_files])


def _checked_tables(source: LocalFilesSource) -> list[str]:
    """Return the URLs of the tables, each of which has its columns, unless it is damaged."""
    urls = table_files(source.table)
    check_files(urls, _as_table(source), url_setting="path_column")
    return urls


def _files_of(source: LocalFilesSource) -> list[str]:
    """Return the names of all files below a folder that may be read, in order."""
    wanted = (*IMAGE_ENDINGS, TEXT_ENDING, RECORD_ENDING)
    below = files_below(source.folder)
    names = [name for name in below if not is_hidden(name) and ending_of(name) in wanted]
    check_names(source.folder, names)
    return names


def _by_name(names: Sequence[str]) -> list[_Files]:
    """Return files put together that share a name up to their ending, in order."""
    found: dict[str, _Files] = {}
    for name in names:
        ending = ending_of(name)
        files = found.setdefault(name[: -len(ending)], _Files())
        if ending == TEXT_ENDING:
            files.text = name
        elif ending == RECORD_ENDING:
            files.record = name
        else:
            files.images.append(name)
    return list(found.values())


# A folder -----------------------------------------------------------------------------------------


def read_folder_part(part: str, *, source: LocalFilesSource) -> Iterator[Harvested]:
    """Yield the candidates of files, which `part` names as JSON."""
    read = partial(_read_named, source=source)
    with ThreadPoolExecutor(_READS_AT_ONCE) as threads:
        pieces = list(threads.map(read, _PART.decode(part)))
    samples = [sample for piece in pieces for sample in piece.samples]
    ended = sum((piece.ended for piece in pieces), Counter[HarvestState]())
    yield harvested(samples, source, ended)


@dataclass(frozen=True, slots=True)
class _Named:
    """What the files of one name come to."""

    samples: list[OwnSample] = field(default_factory=list[OwnSample])
    ended: Counter[HarvestState] = field(default_factory=Counter[HarvestState])


def _read_named(files: _Files, *, source: LocalFilesSource) -> _Named:
    if not files.images:
        return _Named(ended=Counter({HarvestState.NO_IMAGE: 1}))
    try:
        text = decode_text(content_of(source.folder, files.text)) if files.text else None
        record = decode_record(content_of(source.folder, files.record)) if files.record else {}
    except (BesideError, InputError):
        return _Named(ended=Counter({HarvestState.BAD_TEXT: len(files.images)}))
    found_in, texts = texts_of(text, record, source)
    images = [measured(source.folder, name) for name in files.images]
    samples = [
        OwnSample(
            locator=image.locator,
            sha256=image.sha256,
            texts=texts,
            found_in=found_in,
            record=record,
        )
        for image in images
        if image is not None
    ]
    return _Named(samples, Counter({HarvestState.NOT_THERE: images.count(None)}))


# A table ------------------------------------------------------------------------------------------


def read_table_part(url: str, *, source: LocalFilesSource, tables: str) -> Iterator[Harvested]:
    """Yield the candidates of a table, in its order; of one that is damaged, those before that.

    `tables` is where names of tables begin.
    """
    name = name_in(tables, url)
    try:
        yield from _read_table(url, name, source)
    except InputError as error:
        yield damaged_file(name, str(error).removeprefix(url).lstrip(": "))


def _read_table(url: str, name: str, source: LocalFilesSource) -> Iterator[Harvested]:
    read = partial(_read_row, source=source)
    table = _with_addresses(_as_table(source), url, source)
    with ThreadPoolExecutor(_READS_AT_ONCE) as threads:
        for rows in read_rows(url, table):
            records = as_records(rows.batch)
            meets = meets_all(records, source.conditions)
            left_out = len(records) - int(meets.sum())
            ended = Counter({HarvestState.BAD_ROW: rows.num_bad, HarvestState.LEFT_OUT: left_out})
            wanted = list(compress(records, meets))  # the others are not read
            for start in range(0, max(len(wanted), 1), SAMPLES_AT_ONCE):
                found = list(threads.map(read, wanted[start : start + SAMPLES_AT_ONCE]))
                ended[HarvestState.NOT_THERE] = found.count(None)
                kept = [each for each in found if each is not None]
                yield harvested(kept, source, ended, origin=name)
                ended = Counter[HarvestState]()


def _read_row(record: Mapping[str, Any], *, source: LocalFilesSource) -> OwnSample | None:
    """Return the image that a row names; None where it is not there."""
    name = name_inside(source.folder, record.get(source.path_column))
    image = measured(source.folder, name) if name else None
    if image is None:
        return None
    return OwnSample(
        locator=image.locator,
        sha256=image.sha256,
        texts=captions_in(record, source),
        found_in=FoundIn.TABLE,
        record=record,
    )


def _rows_of(url: str, source: LocalFilesSource) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table; of one that is damaged, those before that."""
    with suppress(DamagedTableError):
        for rows in read_rows(url, _as_table(source)):
            yield from as_records(rows.batch)


def _as_table(source: LocalFilesSource) -> TableSource:
    """Return the table as the source `table` would read it."""
    return TableSource(
        path=source.table,
        url_column=source.path_column,
        caption_column=source.caption_column,
        language_column=source.language_column,
        carry_columns=source.carry_columns,
        where=source.where,
    )


def _with_addresses(table: TableSource, url: str, source: LocalFilesSource) -> TableSource:
    """Return a table that is also read for its images' addresses, where it has them."""
    if source.url_column not in names_of_columns(url, table):
        return table
    return replace(table, carry_columns=(*table.carry_columns, source.url_column))
